"""The rows of programs that exchange nothing but messages over private links, as GPUs go through them.

Nearly all wait for one message at most and send one over one link at most. These come as numbers, some hundred rows
at a time; the few others are told apart.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import Any

import numpy as np

from clustersim.columns import Numbers
from clustersim.engine.cohort import Timing
from clustersim.engine.waking import STRETCH
from clustersim.ops import Kind

_ROWS_AT_ONCE = 256  # that are made into Python's numbers: the next ones are made where these were

Unusual = tuple[tuple[int, ...], tuple[int, ...], bool]  # what a row waits for, what it sends, whether it is a barrier


class PlainRows:
    """The rows of one replica.

    Parameters
    ----------
    timing
        How long its ops last, and its messages hold their links: numbers, as of a cohort with one member.
    """

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self.needs, self.sends = timing.columns.needs.only(), timing.columns.sends.only()
        self.unusual = _unusual_rows(timing)
        self.unusual_rows = list(self.unusual)  # in rising order
        self.delay_of_way = np.array(_delays_ps(timing, self.sends, self.unusual), dtype=np.int64)

    def usual(self, pp_rank: int) -> Iterator[tuple[int, int, int, int]]:
        """Return of each row how long it lasts, what it needs and sends (-1: nothing), and the delay of that."""
        return chain.from_iterable(self._pieces(pp_rank))

    def _pieces(self, pp_rank: int) -> Iterator[Iterator[tuple[int, int, int, int]]]:
        mine, columns = self.timing.rows(pp_rank), self.timing.columns
        sources = [source for source, _, _ in columns.kinds_of_messages[0]]
        delays = {d for d, source in zip(self.delay_of_way.tolist(), sources, strict=True) if source == pp_rank}
        same = repeat(delays.pop() if delays else 0) if len(delays) < 2 else None
        for first in range(mine.start, mine.stop, _ROWS_AT_ONCE):
            rows = slice(first, min(first + _ROWS_AT_ONCE, mine.stop))
            numbers = (column[rows].tolist() for column in (columns.duration_ps, self.needs, self.sends))
            yield zip(*numbers, same or self._delays(rows), strict=False)

    def _delays(self, rows: slice) -> list[int]:
        """Return the delay of what each row sends; of a row that sends nothing that of any message."""
        delays: list[int] = self.delay_of_way[self.timing.way_of_message[self.sends[rows]]].tolist()
        return delays

    def stretches(self, rows: slice) -> Iterator[tuple[int, Unusual | None]]:
        """Yield how many usual rows to run in one go, and the unusual one that follows them, if one does."""
        numbers, here = self.unusual_rows, rows.start
        for row in [*numbers[bisect_left(numbers, rows.start) : bisect_left(numbers, rows.stop)], rows.stop]:
            while row - here > STRETCH:
                yield STRETCH, None
                here += STRETCH
            yield row - here, self.unusual[row] if row < rows.stop else None
            here = row + 1


def _unusual_rows(timing: Timing) -> dict[int, Unusual]:
    """Return the few rows that are not at most one wait, an op, and at most one message over one link."""
    columns = timing.columns
    is_long = np.array([len(way) != 1 for way in timing.ways], dtype=np.bool_)
    is_unusual = (columns.kind == Kind.BARRIER) | (columns.needs.count > 1) | (columns.sends.count > 1)
    is_unusual[columns.producer[is_long[timing.way_of_message]]] = True
    rows = np.flatnonzero(is_unusual)
    needs, sends = columns.needs.of(rows), columns.sends.of(rows)
    is_barrier = (columns.kind[rows] == Kind.BARRIER).tolist()
    return dict(zip(rows.tolist(), zip(needs, sends, is_barrier, strict=True), strict=True))


def _delays_ps(timing: Timing, sends: Numbers, unusual: Iterable[int]) -> list[Any]:
    """Return how long after its op the messages of each way arrive; -1 - way where one may find its link taken. [ps]

    A link is free again before its next message comes if it is held for no longer than the op lasts that makes that
    message. What unusual rows send may come sooner.
    """
    columns = timing.columns
    sending = np.flatnonzero(sends >= 0)
    least_ps = np.full(max(1, len(timing.ways)), np.iinfo(np.int64).max)  # of the ops that send over each way
    np.minimum.at(least_ps, timing.way_of_message[sends[sending]], columns.duration_ps[sending])
    rows = list(unusual)
    sent_by_unusual = chain.from_iterable(columns.sends.of(np.array(rows, dtype=np.int64)))
    taken = {link for message in sent_by_unusual for link, *_ in timing.ways[timing.way_of_message[message]]}
    longest_ps, shortest_ps = dict[int, Any](), dict[int, int]()
    for way, least in zip(timing.ways, least_ps.tolist(), strict=False):
        for link, hold_ps, _ in way:
            longest_ps[link] = max(longest_ps.get(link, 0), hold_ps)
            shortest_ps[link] = min(shortest_ps.get(link, least), least)
    waits = {link for link in longest_ps if link in taken or longest_ps[link] > shortest_ps[link]}
    return [
        -1 - number if len(way) != 1 or way[0][0] in waits else way[0][1] + way[0][2]
        for number, way in enumerate(timing.ways)
    ]
