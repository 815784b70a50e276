"""One replica that runs ahead: a process a rank, whose clock is a number."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from heapq import heappush
from itertools import islice
from typing import Any

import numpy as np
from simpy.events import URGENT

from clustersim.engine.clock import Hold
from clustersim.engine.cohort import Timing
from clustersim.engine.waking import STRETCH, Meeting, Waking
from clustersim.ops import Kind, Program
from clustersim.trace import Ints


def _single_of(items: Sequence[tuple[int, ...]]) -> list[int]:
    return [item[0] if item else -1 for item in items]


class Single:
    """One replica: a process a rank, whose clock is a number."""

    def __init__(self, env: Waking, timing: Timing) -> None:
        self.env, self.timing, self.cohort = env, timing, timing.cohort
        self.num_messages = len(timing.way_of_message)
        self.started, self.arrived = [-1] * self.num_messages, [-1] * self.num_messages
        self.waiters: list[Hold | None] = [None] * self.num_messages
        self.free_at = [0] * len(self.cohort.links)
        self.queued = [0] * len(self.cohort.links)
        self.starts: list[list[int]] = [[] for _ in self.cohort.pipelines[0].programs]

    @property
    def num_ranks(self) -> int:
        """Ranks of each replica."""
        return len(self.cohort.pipelines[0].programs)

    def gpu(self, pp_rank: int, hold: Hold, meeting: Meeting) -> Generator[Hold, Any, None]:
        """Run the program of a rank; the hottest path."""
        program = self.cohort.pipelines[0].programs[pp_rank]
        arrived, started, waiters, note_start = self.arrived, self.started, self.waiters, self.starts[pp_rank].append
        free_at, queued, way_of, ways = self.free_at, self.queued, self.timing.way_of_message, self._short_ways()
        queue, numbers = self.env._queue, self.env._eid
        rows = zip(
            self.timing.durations_ps(pp_rank),
            _single_of(program.waits_for),
            _single_of(program.sends),
            _unusual_rows(program, self.timing),
            strict=True,
        )
        clock: Any = 0
        for first in range(0, len(program), STRETCH):
            if first:
                self.env.wake_next(hold)
                yield hold
            duration: Any  # a number: there is one member
            for duration, need, message, unusual in islice(rows, STRETCH):
                if unusual is not None:
                    clock = yield from self._unusual(unusual, clock, duration, hold, meeting, note_start)
                    continue
                if need >= 0:
                    arrival = arrived[need]
                    if arrival < 0:
                        waiters[need] = hold
                        yield hold
                        arrival = arrived[need]
                    if arrival > clock:
                        clock = arrival
                note_start(clock)
                clock += duration
                if message >= 0:
                    link, holds, latency = ways[way_of[message]]
                    start, free = clock, free_at[link]
                    if free > start:
                        queued[link] += free - start
                        start = free
                    started[message] = start
                    free_at[link] = free = start + holds
                    arrived[message] = free + latency
                    waiter = waiters[message]
                    if waiter is not None:
                        heappush(queue, (0, URGENT, -next(numbers), waiter))
        yield hold  # nobody resumes it again

    def _short_ways(self) -> list[tuple[int, Any, Any]]:
        """Return the link, hold and latency of each way; those of several links are taken in :meth:`_unusual`."""
        return [way[0] if way else (-1, 0, 0) for way in self.timing.ways]

    def _unusual(
        self,
        row: tuple[tuple[int, ...], tuple[int, ...], bool],
        clock: int,
        duration_ps: int,
        hold: Hold,
        meeting: Meeting,
        note_start: Callable[[int], None],
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
            clock = meeting.released_ps
        note_start(clock)
        clock += duration_ps
        for message in sends:
            self._send(message, clock)
        return clock

    def _send(self, message: int, time_ps: int) -> None:
        first_start = -1
        for link, hold_ps, latency_ps in self.timing.ways[self.timing.way_of_message[message]]:
            start = max(time_ps, self.free_at[link])
            self.queued[link] += start - time_ps
            self.free_at[link] = start + hold_ps  # type: ignore[assignment]
            time_ps = start + hold_ps + latency_ps  # type: ignore[assignment]
            first_start = start if first_start < 0 else first_start
        self.started[message], self.arrived[message] = first_start, time_ps
        waiter = self.waiters[message]
        if waiter is not None:
            self.env.wake_next(waiter)

    def is_done(self) -> bool:
        """Return whether every rank has come to its end."""
        return all(map(_has_all, self.starts, self.cohort.pipelines[0].programs))

    def starts_by_member(self) -> list[Ints]:
        """Return the starts of all rows, rank after rank."""
        return [np.concatenate([np.array(starts, dtype=np.int64) for starts in self.starts])]

    def started_by_member(self) -> list[list[int]]:
        """Return when the first link took each message."""
        return [self.started]

    def arrived_by_member(self) -> list[list[int]]:
        """Return when each message arrived."""
        return [self.arrived]

    def queued_by_link(self) -> dict[int, int]:
        """Return how long messages waited for each link of the cluster."""
        return {number: queued for (number,), queued in zip(self.cohort.links, self.queued, strict=True)}


def _has_all(starts: Sequence[int], program: Program) -> bool:
    return len(starts) == len(program)


def _unusual_rows(program: Program, timing: Timing) -> list[tuple[tuple[int, ...], tuple[int, ...], bool] | None]:
    """Return what the few rows have that are not one wait, an op and one message over one link."""
    is_short = [len(way) == 1 for way in timing.ways]
    return [
        None
        if kind is not Kind.BARRIER
        and len(needs) < 2
        and (not sends or (len(sends) == 1 and is_short[timing.way_of_message[sends[0]]]))
        else (needs, sends, kind is Kind.BARRIER)
        for kind, needs, sends in zip(program.kinds, program.waits_for, program.sends, strict=True)
    ]
