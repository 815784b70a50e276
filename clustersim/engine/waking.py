"""Wake-ups of processes that run ahead: the last who was woken goes first, and a barrier where all of them meet."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop

from clustersim.engine.clock import EVENTS_BETWEEN_CHECKS, Hold, Timeline

STRETCH = 10_000  # rows that a process runs in one go: budgets are looked at in between


class Waking(Timeline):
    """A SimPy environment in which the last who was woken goes first; processes that have yet to begin go last.

    Where no order is asked for, a heap that keeps one would cost as much as an op.
    """

    def __init__(self) -> None:
        super().__init__()
        self.woken: list[Hold] = []

    def run_to_end(self, check: Callable[[int], None], most_events_between_checks: int = EVENTS_BETWEEN_CHECKS) -> int:
        """Run until nobody is woken any more, and return the number of events; as in time order, else."""
        woken, queue = self.woken, self._queue
        num_events = 0
        while woken or queue:
            check(num_events)
            until = num_events + most_events_between_checks
            while num_events < until:
                if woken:
                    hold = woken.pop()
                    hold.callbacks[0](hold)
                elif queue:
                    _, _, _, event = heappop(queue)
                    for callback in event.callbacks:
                        callback(event)
                else:
                    break
                num_events += 1
        check(num_events)
        return num_events


class Meeting:
    """The barrier: where every process waits for the last one, once a step."""

    def __init__(self, env: Waking, num_processes: int) -> None:
        self._env, self._num_processes, self._latest_ps = env, num_processes, 0
        self._waiting: list[Hold] = []
        self.released_ps = 0

    def arrive(self, hold: Hold, time_ps: int) -> None:
        """Let one more process arrive; the last one wakes them all."""
        self._waiting.append(hold)
        self._latest_ps = max(self._latest_ps, time_ps)
        if len(self._waiting) == self._num_processes:
            self.released_ps = self._latest_ps
            arrived, self._waiting = self._waiting, []
            for member in arrived:
                self._env.woken.append(member)
