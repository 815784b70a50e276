"""Wake-ups of processes that run ahead: the last who was woken goes first, and a barrier where all of them meet."""

from __future__ import annotations

from heapq import heappush

from simpy.events import URGENT

from clustersim.engine.clock import Hold, Timeline

STRETCH = 10_000  # rows that a process runs in one go: budgets are looked at in between


class Waking(Timeline):
    """A SimPy environment in which the last who was woken goes first; processes that have yet to begin go last."""

    def wake_next(self, hold: Hold) -> None:
        """Let `hold` be the next event."""
        heappush(self._queue, (0, URGENT, -next(self._eid), hold))


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
                self._env.wake_next(member)
