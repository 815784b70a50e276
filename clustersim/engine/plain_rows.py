"""The rows of programs that exchange nothing but messages over private links, as GPUs go through them.

Nearly all wait for one message at most and send one over one link at most. These come as numbers, some hundred rows
at a time; the few others are told apart.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clustersim.engine.cohort import Timing
from clustersim.ops import Kind
from clustersim.trace import Flags, Ints

ROWS_AT_ONCE = 512  # whose numbers are made ready for Python, and whose times are noted together

Number = type[int] | type[float]


class Unusual(NamedTuple):
    """A row that waits for or sends several messages, sends over several links, or is a barrier."""

    needs: tuple[int, ...]
    sends: tuple[int, ...]
    is_barrier: bool
    duration_ps: int


class PlainRows:
    """The rows of one replica.

    Parameters
    ----------
    timing
        How long its ops last, and its messages hold their links: numbers, as of a cohort with one member.
    number
        What durations come as; float only where every time is below 2**53 ps, up to which it holds all whole numbers.
    """

    def __init__(self, timing: Timing, number: Number = int) -> None:
        columns = timing.columns
        self.timing, self.number = timing, number
        self.needs, self.sends = columns.needs.only(), columns.sends.only()
        self._durations = columns.duration_ps.astype(number, copy=False)
        self.unusual = _unusual_rows(timing)  # in rising order
        self._delay_of_way = np.array(_delays_ps(timing, self.unusual), dtype=np.int64)
        self._delays: list[set[int]] = [set() for _ in range(columns.num_ranks)]  # of what each rank sends
        for (source, _, _), delay in zip(columns.kinds_of_messages[0], self._delay_of_way.tolist(), strict=True):
            self._delays[source].add(delay)

    def pieces(self, pp_rank: int) -> Iterator[tuple[slice, Unusual | None]]:
        """Yield where a rank's rows are: some hundred usual ones, and the unusual one that follows, if one does."""
        mine = self.timing.rows(pp_rank)
        after_unusual = [row + 1 for row in self._unusual_within(mine.start, mine.stop - 1)]
        begins = sorted({*range(mine.start, mine.stop, ROWS_AT_ONCE), *after_unusual})
        for first, end in pairwise([*begins, mine.stop]):
            unusual = self.unusual.get(end - 1)
            yield slice(first, end - (unusual is not None)), unusual

    def usual(self, rows: slice, *more: Iterable[int]) -> Iterable[tuple[Any, ...]]:
        """Return usual rows, one after the other: how long each lasts, what it needs and sends (-1: nothing), and more.

        Parameters
        ----------
        rows
            Which rows.
        more
            Further columns of them.
        """
        columns = (self._durations, self.needs, self.sends)
        return zip(*(_numbers(column[rows]) for column in columns), *more, strict=False)

    def only_delay_ps(self, pp_rank: int) -> Any:
        """Return how long after its op a rank's messages arrive; None if that differs, or may take longer. [ps]"""
        delays = self._delays[pp_rank] or {0}
        return self.number(max(delays)) if len(delays) == 1 and min(delays) >= 0 else None

    def delays(self, rows: slice) -> list[int]:
        """Return how long after its op the message of each usual row arrives; see ``_delays_ps``.

        Of a row that sends nothing it is that of any message.
        """
        delays: list[int] = self._delay_of_way[self.timing.way_of_message[self.sends[rows]]].tolist()
        return delays

    def may_wait(self, rows: slice, arrived_ps: Ints) -> Flags:
        """Return which rows have yet to wait for something, be it the barrier.

        `arrived_ps` has the arrival of each message, below 0 if it is not there, and a 0 at the end.
        """
        waits = arrived_ps[self.needs[rows]] < 0
        for row in self._unusual_within(rows.start, rows.stop):
            unusual = self.unusual[row]
            waits[row - rows.start] = unusual.is_barrier or any(arrived_ps[need] < 0 for need in unusual.needs)
        return waits

    def _unusual_within(self, first: int, end: int) -> list[int]:
        rows = self._unusual_rows
        return rows[bisect_left(rows, first) : bisect_left(rows, end)]

    @cached_property
    def _unusual_rows(self) -> list[int]:
        return list(self.unusual)


def _numbers(column: NDArray[Any]) -> array[Any]:
    """Return an array of Python's, which makes a number of each entry when one comes to it, and keeps none of them."""
    return array("d" if column.dtype.kind == "f" else "q", column.tobytes())


def _unusual_rows(timing: Timing) -> dict[int, Unusual]:
    """Return the few rows that are not at most one wait, an op, and at most one message over one link."""
    columns = timing.columns
    is_long = np.array([len(way) != 1 for way in timing.ways], dtype=np.bool_)
    is_unusual = (columns.kind == Kind.BARRIER) | columns.needs.has_several() | columns.sends.has_several()
    if is_long.any():
        is_unusual[columns.producer[is_long[timing.way_of_message]]] = True
    rows = np.flatnonzero(is_unusual)
    needs, sends = columns.needs.of(rows), columns.sends.of(rows)
    is_barrier, durations_ps = (columns.kind[rows] == Kind.BARRIER).tolist(), columns.duration_ps[rows].tolist()
    return dict(zip(rows.tolist(), map(Unusual, needs, sends, is_barrier, durations_ps), strict=True))


def _delays_ps(timing: Timing, unusual: Iterable[int]) -> list[Any]:
    """Return how long after its op the messages of each way arrive; -1 - way where one may find its link taken. [ps]

    A link is free again before its next message comes if it is held for no longer than the op lasts that makes that
    message. What unusual rows send may come sooner.
    """
    columns = timing.columns
    least_ps = np.full(len(timing.ways), np.iinfo(np.int64).max)  # of the ops that send over each way
    np.minimum.at(least_ps, timing.way_of_message, columns.duration_ps[columns.producer])
    rows = list(unusual)
    sent_by_unusual = chain.from_iterable(columns.sends.of(np.array(rows, dtype=np.int64)))
    taken = {link for message in sent_by_unusual for link, *_ in timing.ways[timing.way_of_message[message]]}
    longest_ps, shortest_ps = dict[int, Any](), dict[int, int]()
    for way, least in zip(timing.ways, least_ps.tolist(), strict=True):
        for link, hold_ps, _ in way:
            longest_ps[link] = max(longest_ps.get(link, 0), hold_ps)
            shortest_ps[link] = min(shortest_ps.get(link, least), least)
    waits = {link for link in longest_ps if link in taken or longest_ps[link] > shortest_ps[link]}
    return [
        -1 - number if len(way) != 1 or way[0][0] in waits else way[0][1] + way[0][2]
        for number, way in enumerate(timing.ways)
    ]
