"""One replica that runs ahead: a process a rank, whose clock is a number."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Generator, Iterable, Iterator
from functools import cached_property
from itertools import chain, islice
from typing import Any

import numpy as np

from clustersim.columns import Numbers
from clustersim.engine.clock import Hold
from clustersim.engine.cohort import Timing
from clustersim.engine.waking import STRETCH, Meeting, Waking
from clustersim.ops import Kind
from clustersim.trace import Ints

_ROWS_AT_ONCE = 1024  # that are made into Python's numbers: the next ones are made where these were


class Single:
    """One replica: a process a rank, whose clock is a number. It notes arrivals alone: starts follow from them."""

    def __init__(self, env: Waking, timing: Timing) -> None:
        self.env, self.timing, self.cohort = env, timing, timing.cohort
        # Of each message its arrival; before that, who waits for it, if anyone does.
        self.inbox: list[Any] = [None] * timing.columns.num_messages
        self.free_at = [0] * len(self.cohort.links)
        self.queued = [0] * len(self.cohort.links)
        self.needs, self.sends = timing.columns.needs.only(), timing.columns.sends.only()
        self.unusual = _unusual_rows(timing)
        self.unusual_rows = list(self.unusual)  # in rising order
        self.delay_of_way = np.array(_delays_ps(timing, self.sends, self.unusual), dtype=np.int64)
        self.started_on_long_ways: dict[int, int] = {}
        self.releases_ps: list[list[int]] = [[] for _ in range(self.num_ranks)]  # of the barrier, step by step
        self.num_done = 0

    @property
    def num_ranks(self) -> int:
        """Ranks of each replica."""
        return self.timing.columns.num_ranks

    def gpu(self, pp_rank: int, hold: Hold, meeting: Meeting) -> Generator[Hold, Any, None]:
        """Run the program of a rank; the hottest path."""
        inbox, woken, mine = self.inbox, self.env.woken, self.timing.rows(pp_rank)
        free_at, queued = self.free_at, self.queued
        ways: Any = self.timing.ways  # of numbers: there is one member
        rows, clock = self._rows(mine), 0
        for num_usual, unusual in self._stretches(mine):
            for duration, need, message, delay in islice(rows, num_usual):
                if need >= 0:
                    arrival = inbox[need]
                    if arrival is None:
                        inbox[need] = hold
                        yield hold
                        arrival = inbox[need]
                    if arrival > clock:
                        clock = arrival
                clock += duration
                if message >= 0:
                    if delay >= 0:
                        arrival = clock + delay
                    else:
                        ((link, lasts, latency),) = ways[-1 - delay]
                        start, free = clock, free_at[link]
                        if free > start:
                            queued[link] += free - start
                            start = free
                        free_at[link] = free = start + lasts
                        arrival = free + latency
                    waiter = inbox[message]
                    inbox[message] = arrival
                    if waiter is not None:
                        woken.append(waiter)
            if unusual is not None:
                noted = self.releases_ps[pp_rank]
                clock = yield from self._unusual(unusual, clock, next(rows)[0], hold, meeting, noted)
            elif num_usual == STRETCH:
                woken.append(hold)
                yield hold
        self.num_done += 1
        yield hold  # nobody resumes it again

    def _rows(self, mine: slice) -> Iterator[tuple[int, int, int, int]]:
        """Return of each row how long it lasts, what it needs and sends (-1: nothing), and the delay of that."""
        firsts = range(mine.start, mine.stop, _ROWS_AT_ONCE)
        chunks = (self._columns(slice(first, min(first + _ROWS_AT_ONCE, mine.stop))) for first in firsts)
        return chain.from_iterable(zip(*(column.tolist() for column in chunk), strict=True) for chunk in chunks)

    def _columns(self, rows: slice) -> tuple[Numbers, Numbers, Numbers, Numbers]:
        sent = self.sends[rows]
        # What sends nothing gets the delay of some message, which nobody looks at.
        delay = self.delay_of_way[self.timing.way_of_message[sent]] if len(self.inbox) else sent
        return self.timing.columns.duration_ps[rows], self.needs[rows], sent, delay

    def _stretches(self, rows: slice) -> Iterator[tuple[int, Unusual | None]]:
        """Yield how many usual rows to run in one go, and the unusual one that follows them, if one does."""
        numbers, here = self.unusual_rows, rows.start
        for row in [*numbers[bisect_left(numbers, rows.start) : bisect_left(numbers, rows.stop)], rows.stop]:
            while row - here > STRETCH:
                yield STRETCH, None
                here += STRETCH
            yield row - here, self.unusual[row] if row < rows.stop else None
            here = row + 1

    def _unusual(
        self, row: Unusual, clock: int, duration_ps: int, hold: Hold, meeting: Meeting, releases_ps: list[int]
    ) -> Generator[Hold, Any, int]:
        """Run a row that waits for or sends several messages, sends over several links, or is a barrier."""
        needs, sends, is_barrier = row
        for need in needs:
            if self.inbox[need] is None:
                self.inbox[need] = hold
                yield hold
            clock = max(clock, self.inbox[need])
        if is_barrier:
            meeting.arrive(hold, clock)
            yield hold
            clock = int(meeting.released_ps)
            releases_ps.append(clock)
        clock += duration_ps
        for message in sends:
            self._send(message, clock)
        return clock

    def _send(self, message: int, time_ps: int) -> None:
        way: Any = self.timing.ways[self.timing.way_of_message.item(message)]
        for hop, (link, hold_ps, latency_ps) in enumerate(way):
            start = max(time_ps, self.free_at[link])
            self.queued[link] += start - time_ps
            self.free_at[link] = start + hold_ps
            time_ps = start + hold_ps + latency_ps
            if hop == 0 and len(way) > 1:
                self.started_on_long_ways[message] = start
        waiter = self.inbox[message]
        self.inbox[message] = time_ps
        if waiter is not None:
            self.env.woken.append(waiter)

    def is_done(self) -> bool:
        """Return whether every rank has come to its end."""
        return self.num_done == self.num_ranks

    @cached_property
    def _arrived(self) -> Ints:
        return np.fromiter(self.inbox, dtype=np.int64, count=len(self.inbox))

    def starts_by_member(self) -> list[Ints]:
        """Return the starts of all rows, rank after rank.

        A row starts at the end of the one before it or when the last that it waits for is there: the largest sum of an
        arrival and what is computed since.
        """
        columns = self.timing.columns
        has_need = columns.needs.count > 0
        input_ps = np.where(has_need, self._arrived[self.needs], 0) if len(self._arrived) else self.needs * 0
        several = np.flatnonzero(columns.needs.count > 1)
        for row, needs in zip(several.tolist(), columns.needs.of(several), strict=True):
            input_ps[row] = self._arrived[list(needs)].max()
        at_barrier = np.flatnonzero(columns.kind == Kind.BARRIER)
        input_ps[at_barrier] = list(chain.from_iterable(self.releases_ps))
        starts = np.empty(columns.num_rows, dtype=np.int64)
        for rank in range(self.num_ranks):
            mine = self.timing.rows(rank)
            before_ps = np.cumsum(columns.duration_ps[mine]) - columns.duration_ps[mine]
            starts[mine] = np.maximum.accumulate(input_ps[mine] - before_ps) + before_ps
        return [starts]

    def started_by_member(self) -> list[Ints]:
        """Return when the first link took each message."""
        held_ps = np.array([sum(hold + latency for _, hold, latency in way) for way in self.timing.ways])
        started = self._arrived - held_ps[self.timing.way_of_message] if len(self._arrived) else self._arrived
        for message, start in self.started_on_long_ways.items():
            started[message] = start
        return [started]

    def arrived_by_member(self) -> list[Ints]:
        """Return when each message arrived."""
        return [self._arrived]

    def queued_by_link(self) -> dict[int, int]:
        """Return how long messages waited for each link of the cluster."""
        return {number: queued for (number,), queued in zip(self.cohort.links, self.queued, strict=True)}


Unusual = tuple[tuple[int, ...], tuple[int, ...], bool]  # what a row waits for, what it sends, whether it is a barrier


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
