"""One replica that runs ahead: a process a rank, whose clock is a number."""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import islice, repeat
from typing import Any

import numpy as np

from clustersim.engine.clock import Hold
from clustersim.engine.cohort import Timing
from clustersim.engine.waking import STRETCH, Meeting, Waking
from clustersim.ops import Kind
from clustersim.trace import Ints


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
        self.way_of_message: list[int] = timing.way_of_message.tolist()
        self.needs, self.sends = timing.columns.needs.only(), timing.columns.sends.only()
        self.unusual = _unusual_rows(timing)

    @property
    def num_ranks(self) -> int:
        """Ranks of each replica."""
        return len(self.cohort.pipelines[0].programs)

    def gpu(self, pp_rank: int, hold: Hold, meeting: Meeting) -> Generator[Hold, Any, None]:
        """Run the program of a rank; the hottest path."""
        arrived, started, waiters, note_start = self.arrived, self.started, self.waiters, self.starts[pp_rank].append
        free_at, queued, way_of, ways = self.free_at, self.queued, self.way_of_message, self._short_ways()
        woken, mine = self.env.woken, self.timing.rows(pp_rank)
        rows = zip(
            self.timing.durations_ps(pp_rank),
            self.needs[mine].tolist(),
            self.sends[mine].tolist(),
            [self.unusual.get(row) for row in range(mine.start, mine.stop)] if self.unusual else repeat(None),
            strict=False,
        )
        clock: Any = 0
        for first in range(0, mine.stop - mine.start, STRETCH):
            if first:
                self.env.woken.append(hold)
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
                        woken.append(waiter)
        yield hold  # nobody resumes it again

    def _short_ways(self) -> list[tuple[int, Any, Any]]:
        """Return the link, hold and latency of each way; those of several links are taken in :meth:`_unusual`."""
        return [way[0] if way else (-1, 0, 0) for way in self.timing.ways]

    def _unusual(
        self,
        row: Unusual,
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
        for link, hold_ps, latency_ps in self.timing.ways[self.way_of_message[message]]:
            start = max(time_ps, self.free_at[link])
            self.queued[link] += start - time_ps
            self.free_at[link] = start + hold_ps  # type: ignore[assignment]
            time_ps = start + hold_ps + latency_ps  # type: ignore[assignment]
            first_start = start if first_start < 0 else first_start
        self.started[message], self.arrived[message] = first_start, time_ps
        waiter = self.waiters[message]
        if waiter is not None:
            self.env.woken.append(waiter)

    def is_done(self) -> bool:
        """Return whether every rank has come to its end."""
        num_rows: list[int] = np.diff(self.timing.columns.first_op).tolist()
        return [len(starts) for starts in self.starts] == num_rows

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
