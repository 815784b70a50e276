"""Simulated time: the SimPy environment at absolute integer times, and the reusable wake-up of processes."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

import simpy
from simpy.events import NORMAL, Event, Process, ProcessGenerator

EVENTS_BETWEEN_CHECKS = 20_000


class Timeline(simpy.Environment):
    """A SimPy environment whose clock is integer picoseconds and whose events are set at absolute times."""

    _now: int
    _queue: list[Any]

    @property
    def now(self) -> int:
        """The simulated time. [ps]"""
        return self._now

    def wake(self, event: Event, time_ps: int, priority: int = NORMAL) -> None:
        """Schedule `event` for `time_ps`."""
        heappush(self._queue, (time_ps, priority, next(self._eid), event))

    def run_to_end(self, check: Callable[[int], None], most_events_between_checks: int = EVENTS_BETWEEN_CHECKS) -> int:
        """Run until nothing is scheduled and return the number of events; `check` is told their count now and then.

        It does what ``simpy.Environment.run`` does, but leaves an event its callbacks, so that a :class:`Hold` can be
        used again; no process here waits for an event that may fail, so an exception ends the run at once.
        """
        queue = self._queue
        num_events = 0
        while queue:
            check(num_events)
            for _ in range(most_events_between_checks):
                if not queue:
                    break
                self._now, _, _, event = heappop(queue)
                for callback in event.callbacks:
                    callback(event)
                num_events += 1
        check(num_events)
        return num_events


class _Fixed(list[Any]):
    """Callbacks that nobody adds to: SimPy registers a process with what it yields, and a hold knows its process."""

    def append(self, _callback: object) -> None:
        """Keep nothing."""


class Hold(Event):
    """The wake-up of one process, used again and again; one event each time it is set.

    The process sets it itself, or, if it waits for messages, whoever brings the last one: that is ``missing`` more, of
    which the latest so far arrives at ``ready``, and then follows an op that lasts ``duration``. [ps]
    """

    def __init__(self, env: Timeline) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        self._timeline = env
        self.resume: Callable[[Any], Any]  # its process, which sets it
        self.missing = 0
        self.ready = 0
        self.duration = 0

    def note_arrival(self, time_ps: int) -> None:
        """Take note that one missing message arrives at `time_ps`; after the last, set the wake-up at the op's end."""
        if time_ps > self.ready:
            self.ready = time_ps
        self.missing -= 1
        if not self.missing:
            self._timeline.wake(self, self.ready + self.duration)


class Actor(Process):
    """A SimPy process that its hold resumes directly.

    SimPy's own relay through ``Process._resume`` would cost as much as the op itself. The generator therefore yields
    nothing but its hold; it ends the process itself before its last yield, since nobody waits for its return.
    """

    def __init__(self, env: Timeline, generator: ProcessGenerator, hold: Hold) -> None:
        super().__init__(env, generator)
        hold.resume = generator.send
        hold.callbacks = _Fixed([hold.resume])
