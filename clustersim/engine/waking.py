"""Wake-ups of processes that run ahead: the last who was woken goes first, and a barrier where all of them meet."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop
from typing import Any

import numpy as np

from clustersim.engine.clock import EVENTS_BETWEEN_CHECKS, Hold, Timeline, call_back
from clustersim.trace import Ints

STRETCH = 10_000  # rows that a process runs in one go: budgets are looked at in between


class Waking(Timeline):
    """A SimPy environment in which the last who was woken goes first; processes that have yet to begin go last.

    Where no order is asked for, a heap that keeps one would cost as much as an op.
    """

    def __init__(self) -> None:
        super().__init__()
        self.woken: list[Callable[[None], Any]] = []  # what resumes each process

    def run_to_end(self, check: Callable[[int], None], most_events_between_checks: int = EVENTS_BETWEEN_CHECKS) -> int:
        """Run until nobody is woken any more, and return the number of events; as in time order, else."""
        woken, queue = self.woken, self._queue
        next_woken = woken.pop
        num_events = next_check = 0
        while woken or queue:
            if num_events >= next_check:
                check(num_events)
                next_check = num_events + most_events_between_checks
            if not woken:
                _, _, _, event = heappop(queue)
                call_back(event)
                num_events += 1
                continue
            for number in range(num_events + 1, next_check + 1):
                next_woken()(None)
                if not woken:
                    num_events = number
                    break
            else:
                num_events = next_check
        check(num_events)
        return num_events


class Meeting:
    """The barrier: where every process waits for the last one, once a step.

    All that processes stand for meets there together; or else, where they stand for many runs of one shape, each run
    has a barrier of its own.
    """

    def __init__(self, env: Waking, num_processes: int, together: bool = True) -> None:
        self._env, self._num_processes, self._together = env, num_processes, together
        self._waiting: list[Hold] = []
        self._latest_ps: int | Ints = 0
        self.released_ps: int | Ints = 0

    def arrive(self, hold: Hold, clock: float | Ints) -> None:
        """Let one more process arrive; the last one wakes them all."""
        self._waiting.append(hold)
        if not self._together:
            self._latest_ps = np.maximum(self._latest_ps, clock)
        else:
            self._latest_ps = max(self._latest_ps, int(clock.max() if isinstance(clock, np.ndarray) else clock))
        if len(self._waiting) == self._num_processes:
            self.released_ps = int(self._latest_ps) if self._together else self._latest_ps
            arrived, self._waiting = self._waiting, []
            for member in arrived:
                self._env.woken.append(member.resume)
