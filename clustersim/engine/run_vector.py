"""A cohort of replicas that run ahead together: a process a stage, with a clock for each replica."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any

import numpy as np

from clustersim.engine.clock import Hold
from clustersim.engine.cohort import Time, Timing
from clustersim.engine.waking import STRETCH, Meeting, Waking
from clustersim.ops import Kind
from clustersim.trace import Ints

_COLUMNS_AT_ONCE = 32


class Vector:
    """A cohort: a process a stage, with a clock for each replica."""

    def __init__(self, env: Waking, timing: Timing, draws_ps: Ints | None = None) -> None:
        self.env, self.timing, self.cohort = env, timing, timing.cohort
        self.draws_ps = draws_ps  # how long each row lasts, for each of many runs of one replica, or as timing says
        pipeline = self.cohort.pipelines[0]
        num_members = len(self.cohort.replicas) if draws_ps is None else len(draws_ps)
        num_messages = len(timing.way_of_message)
        self.started, self.arrived = (np.empty((num_messages, num_members), dtype=np.int64) for _ in range(2))
        self.way_of_message: list[int] = timing.way_of_message.tolist()
        self.has_arrived = bytearray(num_messages)
        self.waiters: list[Hold | None] = [None] * num_messages
        self.free_at, self.queued = (np.zeros((len(self.cohort.links), num_members), dtype=np.int64) for _ in range(2))
        self.starts = np.empty((sum(map(len, pipeline.programs)), num_members), dtype=np.int64)
        self.end_ps = np.zeros(num_members, dtype=np.int64)
        self.num_done = 0

    @property
    def num_ranks(self) -> int:
        """Ranks of each replica."""
        return len(self.cohort.pipelines[0].programs)

    def gpu(self, pp_rank: int, hold: Hold, meeting: Meeting) -> Generator[Hold, Any, None]:
        """Run the program of a rank for all replicas, row by row."""
        programs = self.cohort.pipelines[0].programs
        program, first_row = programs[pp_rank], sum(map(len, programs[:pp_rank]))
        clock = np.zeros(len(self.end_ps), dtype=np.int64)
        columns = (self._durations_ps(pp_rank), program.waits_for, program.sends, program.kinds)
        for row, (duration, needs, sends, kind) in enumerate(zip(*columns, strict=True)):
            for need in needs:
                if not self.has_arrived[need]:
                    self.waiters[need] = hold
                    yield hold
                np.maximum(clock, self.arrived[need], out=clock)
            if kind is Kind.BARRIER:
                meeting.arrive(hold, clock)
                yield hold
                clock[:] = meeting.released_ps
            self.starts[first_row + row] = clock
            clock += duration
            for message in sends:
                self._send(message, clock)
            if row % STRETCH == STRETCH - 1:
                self.env.woken.append(hold.resume)
                yield hold
        np.maximum(self.end_ps, clock, out=self.end_ps)
        self.num_done += 1
        yield hold  # nobody resumes it again

    def _durations_ps(self, pp_rank: int) -> Sequence[Time]:
        if self.draws_ps is None:
            return self.timing.durations_ps(pp_rank)
        return list(np.ascontiguousarray(self.draws_ps[:, self.timing.rows(pp_rank)].T))

    def _send(self, message: int, clock: Ints) -> None:
        arrived = self.arrived[message]
        arrived[:] = clock
        self.started[message] = clock
        for hop, (link, hold_ps, latency_ps) in enumerate(self.timing.ways[self.way_of_message[message]]):
            free_at = self.free_at[link]
            np.maximum(arrived, free_at, out=free_at)
            self.queued[link] += free_at
            self.queued[link] -= arrived
            if hop == 0:
                self.started[message] = free_at
            free_at += hold_ps
            np.add(free_at, latency_ps, out=arrived)
        self.has_arrived[message] = True
        waiter = self.waiters[message]
        if waiter is not None:
            self.env.woken.append(waiter.resume)

    def is_done(self) -> bool:
        """Return whether every rank has come to its end."""
        return self.num_done == self.num_ranks

    def starts_by_member(self) -> Iterator[Ints]:
        """Return the starts of all rows, rank after rank, of each replica."""
        return _columns(self.starts)

    def started_by_member(self) -> Iterator[Ints]:
        """Return when the first link took each message of each replica."""
        return _columns(self.started)

    def arrived_by_member(self) -> Iterator[Ints]:
        """Return when each message of each replica arrived."""
        return _columns(self.arrived)

    def queued_by_link(self) -> dict[int, int]:
        """Return how long messages waited for each link of the cluster."""
        return {
            number: queued
            for numbers, row in zip(self.cohort.links, self.queued.tolist(), strict=True)
            for number, queued in zip(numbers, row, strict=True)
        }


def _columns(table: Ints) -> Iterator[Ints]:
    """Yield the columns of a table, turned a few at a time: one alone would touch a page of memory for each row."""
    for first in range(0, table.shape[1], _COLUMNS_AT_ONCE):
        yield from np.ascontiguousarray(table[:, first : first + _COLUMNS_AT_ONCE].T)
