"""One replica that runs ahead: a process a rank, whose clock is a number."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Generator, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np

from clustersim.engine.clock import Hold
from clustersim.engine.cohort import Timing
from clustersim.engine.waking import STRETCH, Meeting, Waking
from clustersim.ops import Kind
from clustersim.trace import Ints


class Single:
    """One replica: a process a rank, whose clock is a number. It notes arrivals alone: starts follow from them."""

    def __init__(self, env: Waking, timing: Timing) -> None:
        self.env, self.timing, self.cohort = env, timing, timing.cohort
        num_messages = timing.columns.num_messages
        self.arrived = [-1] * num_messages
        self.waiters: list[Hold | None] = [None] * num_messages
        self.free_at = [0] * len(self.cohort.links)
        self.queued = [0] * len(self.cohort.links)
        self.way_of_message: list[int] = timing.way_of_message.tolist()
        self.needs, self.sends = timing.columns.needs.only(), timing.columns.sends.only()
        self.unusual = _unusual_rows(timing)
        self.unusual_rows = list(self.unusual)  # in rising order
        self.started_on_long_ways: dict[int, int] = {}
        self.releases_ps: list[list[int]] = [[] for _ in range(self.num_ranks)]  # of the barrier, step by step
        self.num_done = 0

    @property
    def num_ranks(self) -> int:
        """Ranks of each replica."""
        return self.timing.columns.num_ranks

    def gpu(self, pp_rank: int, hold: Hold, meeting: Meeting) -> Generator[Hold, Any, None]:
        """Run the program of a rank; the hottest path."""
        arrived, waiters, woken, mine = self.arrived, self.waiters, self.env.woken, self.timing.rows(pp_rank)
        free_at, queued, way_of, ways = self.free_at, self.queued, self.way_of_message, self._short_ways()
        durations: Any = self.timing.durations_ps(pp_rank)  # numbers: there is one member
        rows = zip(durations, self.needs[mine].tolist(), self.sends[mine].tolist(), strict=True)
        clock = 0
        for num_usual, unusual in self._stretches(mine):
            for duration, need, message in islice(rows, num_usual):
                if need >= 0:
                    arrival = arrived[need]
                    if arrival < 0:
                        waiters[need] = hold
                        yield hold
                        arrival = arrived[need]
                    if arrival > clock:
                        clock = arrival
                clock += duration
                if message >= 0:
                    link, lasts, latency = ways[way_of[message]]
                    start, free = clock, free_at[link]
                    if free > start:
                        queued[link] += free - start
                        start = free
                    free_at[link] = free = start + lasts
                    arrived[message] = free + latency
                    waiter = waiters[message]
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

    def _stretches(self, rows: slice) -> Iterator[tuple[int, Unusual | None]]:
        """Yield how many usual rows to run in one go, and the unusual one that follows them, if one does."""
        numbers, here = self.unusual_rows, rows.start
        for row in [*numbers[bisect_left(numbers, rows.start) : bisect_left(numbers, rows.stop)], rows.stop]:
            while row - here > STRETCH:
                yield STRETCH, None
                here += STRETCH
            yield row - here, self.unusual[row] if row < rows.stop else None
            here = row + 1

    def _short_ways(self) -> list[tuple[int, Any, Any]]:
        """Return the link, hold and latency of each way; those of several links are taken in :meth:`_unusual`."""
        return [way[0] if way else (-1, 0, 0) for way in self.timing.ways]

    def _unusual(
        self, row: Unusual, clock: int, duration_ps: int, hold: Hold, meeting: Meeting, releases_ps: list[int]
    ) -> Generator[Hold, Any, int]:
        """Run a row that waits for or sends several messages, sends over several links, or is a barrier."""
        needs, sends, is_barrier = row
        for need in needs:
            if self.arrived[need] < 0:
                self.waiters[need] = hold
                yield hold
            clock = max(clock, self.arrived[need])
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
        way: Any = self.timing.ways[self.way_of_message[message]]
        for hop, (link, hold_ps, latency_ps) in enumerate(way):
            start = max(time_ps, self.free_at[link])
            self.queued[link] += start - time_ps
            self.free_at[link] = start + hold_ps
            time_ps = start + hold_ps + latency_ps
            if hop == 0 and len(way) > 1:
                self.started_on_long_ways[message] = start
        self.arrived[message] = time_ps
        waiter = self.waiters[message]
        if waiter is not None:
            self.env.woken.append(waiter)

    def is_done(self) -> bool:
        """Return whether every rank has come to its end."""
        return self.num_done == self.num_ranks

    def starts_by_member(self) -> list[Ints]:
        """Return the starts of all rows, rank after rank.

        A row starts at the end of the one before it or when the last that it waits for is there: the largest sum of an
        arrival and what is computed since.
        """
        columns = self.timing.columns
        input_ps = np.zeros(columns.num_rows, dtype=np.int64)
        waiting = np.repeat(np.arange(columns.num_rows), columns.needs.count)
        np.maximum.at(input_ps, waiting, np.array(self.arrived, dtype=np.int64)[columns.needs.joined])
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
        arrived = np.array(self.arrived, dtype=np.int64)
        started = arrived - held_ps[self.timing.way_of_message] if len(arrived) else arrived
        for message, start in self.started_on_long_ways.items():
            started[message] = start
        return [started]

    def arrived_by_member(self) -> list[list[int]]:
        """Return when each message arrived."""
        return [self.arrived]

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
