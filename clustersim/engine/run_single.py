"""One replica that runs ahead: a process a rank, whose clock is a number."""

from __future__ import annotations

from array import array
from collections.abc import Generator
from functools import cached_property
from typing import Any

import numpy as np

from clustersim.engine.clock import Hold
from clustersim.engine.cohort import Timing
from clustersim.engine.plain_rows import ROWS_AT_ONCE, PlainRows, Unusual
from clustersim.engine.plain_times import PlainTimes
from clustersim.engine.waking import STRETCH, Meeting, Waking
from clustersim.trace import Ints

_PIECES_AT_ONCE = STRETCH // ROWS_AT_ONCE
_LARGEST_IN_FLOATS_PS = 2**52  # half of that up to which doubles hold all whole numbers


class Single:
    """One replica: a process a rank, whose clock is a number.

    Python adds and compares floats in half the time that integers of this size take. So times are floats where none of
    them can be too large for that: whole numbers all the same, and every sum of them exact.
    """

    def __init__(self, env: Waking, timing: Timing) -> None:
        self.env, self.timing, self.cohort = env, timing, timing.cohort
        computed_ps = timing.columns.duration_ps.sum(dtype=np.float64)  # which cannot overflow, and is off by little
        self._number = float if timing.most_ps(int(computed_ps)) < _LARGEST_IN_FLOATS_PS else int
        # Of each message its arrival; before that, who waits for it, if anyone does; and after it was looked at, 0, so
        # that the memory of its number is used again. Rows that need none, -1, find the last: it is always there.
        self.inbox: list[Any] = [None] * timing.columns.num_messages + [self._number(0)]
        self.free_at = [0] * len(self.cohort.links)
        self.queued = [0] * len(self.cohort.links)
        self.rows = PlainRows(timing, self._number)
        self.times = PlainTimes(self.rows)
        self.num_done = 0

    @property
    def num_ranks(self) -> int:
        """Ranks of each replica."""
        return self.timing.columns.num_ranks

    def gpu(self, pp_rank: int, hold: Hold, meeting: Meeting) -> Generator[Hold, Any, None]:
        """Run the program of a rank; the hottest path."""
        inbox, woken, usual = self.inbox, self.env.woken, self.rows.usual
        delay = self.rows.only_delay_ps(pp_rank)
        clock = nothing = self._number(0)
        starts, resume = self.times.none_yet(), hold.resume
        for number, (rows, unusual) in enumerate(self.rows.pieces(pp_rank), 1):
            if delay is None:
                clock = yield from self._with_delays(rows, clock, hold, starts)
            else:
                for duration, need, message in usual(rows):
                    arrival = inbox[need]
                    if arrival is None:
                        inbox[need] = resume
                        yield hold
                        arrival = inbox[need]
                    inbox[need] = nothing
                    if arrival > clock:
                        clock = arrival
                    starts.append(clock)
                    clock += duration
                    if message >= 0:
                        waiter = inbox[message]
                        inbox[message] = clock + delay
                        if waiter is not None:
                            woken.append(waiter)
            if starts:
                self.times.note(rows, starts)
            if unusual is not None:
                clock = yield from self._unusual(rows.stop, unusual, clock, hold, meeting)
            elif not number % _PIECES_AT_ONCE:
                woken.append(resume)
                yield hold
        self.num_done += 1
        yield hold  # nobody resumes it again

    def _with_delays(self, rows: slice, clock: Any, hold: Hold, starts: array[Any]) -> Generator[Hold, Any, Any]:
        """Run usual rows of a rank whose messages take one time or another, or may find their link taken."""
        inbox, free_at, queued = self.inbox, self.free_at, self.queued
        ways: Any = self.timing.ways  # of numbers: there is one member
        nothing = self._number(0)
        for duration, need, message, delay in self.rows.usual(rows, self.rows.delays(rows)):
            arrival = inbox[need]
            if arrival is None:
                inbox[need] = hold.resume
                yield hold
                arrival = inbox[need]
            inbox[need] = nothing
            if arrival > clock:
                clock = arrival
            starts.append(clock)
            clock += duration
            if message >= 0:
                arrival = clock + delay
                if delay < 0:
                    ((link, lasts, latency),) = ways[-1 - delay]
                    start, free = clock, free_at[link]
                    if free > start:
                        queued[link] += int(free - start)
                        start = free
                    free_at[link] = free = start + lasts
                    self.times.arrived_ps[message] = arrival = free + latency
                waiter = inbox[message]
                inbox[message] = arrival
                if waiter is not None:
                    self.env.woken.append(waiter)
        return clock

    def _unusual(
        self, number: int, row: Unusual, clock: Any, hold: Hold, meeting: Meeting
    ) -> Generator[Hold, Any, Any]:
        """Run a row that waits for or sends several messages, sends over several links, or is a barrier."""
        for need in row.needs:
            if self.inbox[need] is None:
                self.inbox[need] = hold.resume
                yield hold
            clock = max(clock, self.inbox[need])
        if row.is_barrier:
            meeting.arrive(hold, clock)
            yield hold
            clock = self._number(meeting.released_ps)
        self.times.starts_ps[number] = clock
        clock += row.duration_ps
        for message in row.sends:
            self._send(message, clock)
        return clock

    def _send(self, message: int, time_ps: Any) -> None:
        way: Any = self.timing.ways[self.timing.way_of_message.item(message)]
        for hop, (link, hold_ps, latency_ps) in enumerate(way):
            start = max(time_ps, self.free_at[link])
            self.queued[link] += int(start - time_ps)
            self.free_at[link] = start + hold_ps
            time_ps = start + hold_ps + latency_ps
            if hop == 0 and len(way) > 1:
                self.times.started_ps[message] = start
        self.times.arrived_ps[message] = time_ps
        waiter = self.inbox[message]
        self.inbox[message] = time_ps
        if waiter is not None:
            self.env.woken.append(waiter)

    def is_done(self) -> bool:
        """Return whether every rank has come to its end."""
        return self.num_done == self.num_ranks

    @cached_property
    def _times_of_messages(self) -> tuple[Ints, Ints]:
        return self.times.of_messages()

    def starts_by_member(self) -> list[Ints]:
        """Return the starts of all rows, rank after rank."""
        return [self.times.starts_ps]

    def started_by_member(self) -> list[Ints]:
        """Return when the first link took each message."""
        return [self._times_of_messages[0]]

    def arrived_by_member(self) -> list[Ints]:
        """Return when each message arrived."""
        return [self._times_of_messages[1]]

    def queued_by_link(self) -> dict[int, int]:
        """Return how long messages waited for each link of the cluster."""
        return {number: queued for (number,), queued in zip(self.cohort.links, self.queued, strict=True)}
