"""Simulated time: the SimPy environment at absolute integer times, and the reusable wake-up of processes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from typing import Any

import simpy
from simpy.events import NORMAL, Event, Process, ProcessGenerator

EVENTS_BETWEEN_CHECKS = 20_000


class Timeline(simpy.Environment):
    """A SimPy environment whose clock is integer picoseconds and whose events are set at absolute times.

    Ops that end at one time are common, as stages are alike. Events of normal priority that are set for one time
    therefore wait in one list, in the order in which they were set, and a heap holds their times alone, which are
    compared in half the time of SimPy's entries. Events of other priorities are in SimPy's own heap. So the order of
    all is SimPy's: by time, by priority, and as they were set. Urgent events may be set before the run only.
    """

    _now: int
    _queue: list[Any]

    def __init__(self) -> None:
        super().__init__()
        self.calls_at: dict[int, list[Callable[[Any], Any]]] = {}  # what the events of each time call, with that time
        self.times: list[int] = []  # the heap of these

    @property
    def now(self) -> int:
        """The simulated time. [ps]"""
        return self._now

    def wake(self, event: Event, time_ps: int, priority: int = NORMAL) -> None:
        """Schedule `event` for `time_ps`."""
        if priority != NORMAL:
            heappush(self._queue, (time_ps, priority, next(self._eid), event))
            return
        self.call_at(time_ps, event.resume if isinstance(event, Hold) else partial(call_back, event))

    def call_at(self, time_ps: int, come: Callable[[Any], Any]) -> None:
        """Schedule a call, such as what resumes a process, for `time_ps`: it is an event of normal priority."""
        if time_ps in self.calls_at:
            self.calls_at[time_ps].append(come)
        else:
            self.calls_at[time_ps] = [come]
            heappush(self.times, time_ps)

    def schedule(self, event: Event, priority: int = NORMAL, delay: float = 0) -> None:
        """Schedule `event` as SimPy's own events are, in a whole number of picoseconds from now."""
        self.wake(event, self._now + int(delay), priority)

    def run_to_end(self, check: Callable[[int], None], most_events_between_checks: int = EVENTS_BETWEEN_CHECKS) -> int:
        """Run until nothing is scheduled and return the number of events; `check` is told their count now and then.

        It does what ``simpy.Environment.run`` does, but leaves an event its callbacks, so that a :class:`Hold` can be
        used again; no process here waits for an event that may fail, so an exception ends the run at once.
        """
        queue, times, calls_at = self._queue, self.times, self.calls_at
        num_events = next_check = 0
        while times or queue:
            if num_events >= next_check:
                check(num_events)
                next_check = num_events + most_events_between_checks
            if queue and (not times or queue[0] < (times[0], NORMAL)):
                self._now, _, _, event = heappop(queue)
                call_back(event)
                num_events += 1
                continue
            self._now = now = heappop(times)
            calls = calls_at.pop(now)
            if num_events + len(calls) > next_check:
                self._put_back(calls, next_check - num_events)
            for come in calls:
                come(now)
            num_events += len(calls)
        check(num_events)
        return num_events

    def _put_back(self, calls: list[Callable[[Any], Any]], num_taken: int) -> None:
        """Leave only so many of the calls of now, as a check comes before the others."""
        self.calls_at[self._now] = calls[num_taken:]
        heappush(self.times, self._now)
        del calls[num_taken:]


def call_back(event: Event, _now: int | None = None) -> None:
    """Do what SimPy does when an event comes."""
    for callback in event.callbacks:
        callback(event)


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

    def leave(self) -> None:
        """Give up what the process holds, once nobody resumes it: it and its hold know each other, and so stay."""
        self._generator.close()
