"""One replica that runs ahead: a process a rank, whose clock is a number."""

from __future__ import annotations

from collections.abc import Generator
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from clustersim.engine.clock import Hold
from clustersim.engine.cohort import Timing
from clustersim.engine.plain_rows import ROWS_AT_ONCE, PlainRows, Unusual
from clustersim.engine.waking import STRETCH, Meeting, Waking
from clustersim.trace import Ints

_PIECES_AT_ONCE = STRETCH // ROWS_AT_ONCE


class Single:
    """One replica: a process a rank, whose clock is a number. It notes arrivals alone: starts follow from them."""

    def __init__(self, env: Waking, timing: Timing) -> None:
        self.env, self.timing, self.cohort = env, timing, timing.cohort
        # Of each message its arrival; before that, who waits for it, if anyone does. Rows that need none, -1, find the
        # last: it is always there.
        self.inbox: list[Any] = [None] * timing.columns.num_messages + [0]
        self.free_at = [0] * len(self.cohort.links)
        self.queued = [0] * len(self.cohort.links)
        self.rows = PlainRows(timing)
        self.started_on_long_ways: dict[int, int] = {}
        self.releases_ps: list[list[int]] = [[] for _ in range(self.num_ranks)]  # of the barrier, step by step
        self.num_done = 0

    @property
    def num_ranks(self) -> int:
        """Ranks of each replica."""
        return self.timing.columns.num_ranks

    def gpu(self, pp_rank: int, hold: Hold, meeting: Meeting) -> Generator[Hold, Any, None]:
        """Run the program of a rank; the hottest path."""
        inbox, woken, usual = self.inbox, self.env.woken, self.rows.usual
        delay = self.rows.only_delay_ps(pp_rank)
        clock = 0
        for number, (rows, unusual) in enumerate(self.rows.pieces(pp_rank), 1):
            if delay is None:
                clock = yield from self._with_delays(rows, clock, hold)
            else:
                for duration, need, message in usual(rows):
                    arrival = inbox[need]
                    if arrival is None:
                        inbox[need] = hold
                        yield hold
                        arrival = inbox[need]
                    if arrival > clock:
                        clock = arrival
                    clock += duration
                    if message >= 0:
                        waiter = inbox[message]
                        inbox[message] = clock + delay
                        if waiter is not None:
                            woken.append(waiter)
            if unusual is not None:
                clock = yield from self._unusual(unusual, clock, hold, meeting, self.releases_ps[pp_rank])
            elif not number % _PIECES_AT_ONCE:
                woken.append(hold)
                yield hold
        self.num_done += 1
        yield hold  # nobody resumes it again

    def _with_delays(self, rows: slice, clock: int, hold: Hold) -> Generator[Hold, Any, int]:
        """Run usual rows of a rank whose messages take one time or another, or may find their link taken."""
        inbox, free_at, queued = self.inbox, self.free_at, self.queued
        ways: Any = self.timing.ways  # of numbers: there is one member
        for (duration, need, message), delay in zip(self.rows.usual(rows), self.rows.delays(rows), strict=True):
            arrival = inbox[need]
            if arrival is None:
                inbox[need] = hold
                yield hold
                arrival = inbox[need]
            if arrival > clock:
                clock = arrival
            clock += duration
            if message >= 0:
                arrival = clock + delay
                if delay < 0:
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
                    self.env.woken.append(waiter)
        return clock

    def _unusual(
        self, row: Unusual, clock: int, hold: Hold, meeting: Meeting, releases_ps: list[int]
    ) -> Generator[Hold, Any, int]:
        """Run a row that waits for or sends several messages, sends over several links, or is a barrier."""
        for need in row.needs:
            if self.inbox[need] is None:
                self.inbox[need] = hold
                yield hold
            clock = max(clock, self.inbox[need])
        if row.is_barrier:
            meeting.arrive(hold, clock)
            yield hold
            clock = int(meeting.released_ps)
            releases_ps.append(clock)
        clock += row.duration_ps
        for message in row.sends:
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
        """When each message arrived, and the 0 of rows that wait for none at the end."""
        return np.fromiter(self.inbox, np.int64, len(self.inbox))

    def starts_by_member(self) -> list[Ints]:
        """Return the starts of all rows, rank after rank."""
        return [self.rows.starts_ps(self._arrived, chain.from_iterable(self.releases_ps))]

    def started_by_member(self) -> list[Ints]:
        """Return when the first link took each message."""
        return [self.rows.started_ps(self._arrived, self.started_on_long_ways.__getitem__)]

    def arrived_by_member(self) -> list[Ints]:
        """Return when each message arrived."""
        return [self._arrived[:-1]]

    def queued_by_link(self) -> dict[int, int]:
        """Return how long messages waited for each link of the cluster."""
        return {number: queued for (number,), queued in zip(self.cohort.links, self.queued, strict=True)}
