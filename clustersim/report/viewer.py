"""What trace viewers show: processes, threads, slices, arrows and counters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from clustersim.trace import Ints

ARROW_FROM, ARROW_TO = "from", "to"
COMPUTES, MESSAGES, COLLECTIVES, PATH, EXCERPT = "compute", "message", "collective", "critical path", "excerpt"


@dataclass(frozen=True, slots=True)
class Thread:
    """A row of slices in a viewer."""

    process: int
    name: str


@dataclass(frozen=True, slots=True)
class Slices:
    """What happened on some threads, one row each; on one thread they follow one another, in order."""

    kind: str  # COMPUTES, MESSAGES, COLLECTIVES, PATH or EXCERPT
    thread: Ints  # number over all parts, in rising order, and so by process
    name: Ints  # index into names
    names: tuple[str, ...]
    start_ps: Ints
    end_ps: Ints
    number_name: str  # what `number` is
    number: Ints  # something to tell of each slice, at least 0
    arrow: Ints | None = None  # number of the arrow that begins or ends at each
    arrow_end: str = ARROW_FROM

    def __len__(self) -> int:
        return len(self.thread)


@dataclass(frozen=True, slots=True)
class Counter:
    """The values of one counter of each process over time, by process, then by time."""

    name: str
    process: Ints
    time_ps: Ints
    value: Ints


@dataclass(frozen=True, slots=True)
class Part:
    """Some slices, and the threads that they are on, which no other part has."""

    first_thread: int  # over all parts, from 0
    threads: tuple[Thread, ...]
    slices: Slices


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that a viewer shows, in parts that are made when asked for, so that no two are in memory at one time."""

    name: str
    processes: tuple[str, ...]
    parts: Callable[[], Iterator[Part]]
    counter: Callable[[], Counter]
    excerpt: str = ""  # what is kept of the run, where that is not all
