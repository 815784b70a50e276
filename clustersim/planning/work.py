"""What a worker does: the rows of some points, wherever it runs.

A task is small: values of points, and the scenario as bytes, which a worker unpacks once and keeps for the next task.
Any executor can carry it, as it needs nothing but that clustersim can be imported.
"""

from __future__ import annotations

import gc
import hashlib
import os
import pickle
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from clustersim.limits import Limits
from clustersim.planning.row import PlacedRow, SweepRow, row_of
from clustersim.planning.variant import Outcome, run_variant
from clustersim.scenario.spec import Scenario

_OBJECTS_BETWEEN_COLLECTIONS = 100_000


@dataclass(frozen=True, slots=True)
class Base:
    """What all points of a sweep have in common."""

    scenario: Scenario
    limits: Limits | None


@dataclass(frozen=True, slots=True)
class PackedBase:
    """The same as bytes, and their digest, by which a worker knows that it has them."""

    sha256: str
    data: bytes


def packed(base: Base) -> PackedBase:
    """Return a base as it goes to workers."""
    data = pickle.dumps(base, pickle.HIGHEST_PROTOCOL)
    return PackedBase(hashlib.sha256(data).hexdigest(), data)


@dataclass(frozen=True, slots=True)
class Task:
    """Points to be run one after the other; `number` makes equal tasks different for executors that remember."""

    number: int
    base: PackedBase
    points: tuple[tuple[int, Mapping[str, Any]], ...]


@dataclass(frozen=True, slots=True)
class Done:
    """Rows of a task, and how long they took. [s]"""

    rows: tuple[PlacedRow, ...]
    time_s: float


def run_task(task: Task) -> Done:
    """Return the rows of a task's points."""
    started_s = time.perf_counter()
    base = _unpacked(task.base)
    rows = tuple((position, run_point(base, values)) for position, values in task.points)
    return Done(rows, time.perf_counter() - started_s)


def run_point(base: Base, values: Mapping[str, Any]) -> SweepRow:
    """Return the row of one point, whatever happens in it: one point's defect is not the end of a sweep."""
    try:
        outcome = run_variant(base.scenario, values, base.limits)
    except Exception as error:
        outcome = Outcome("failed", f"{type(error).__name__}: {error}".partition("\n")[0], None)
    return row_of(values, outcome)


def failed_row(values: Mapping[str, Any], reason: str) -> SweepRow:
    """Return the row of a point that nobody could run."""
    return row_of(values, Outcome("failed", reason, None))


_kept: dict[str, Base] = {}  # of this worker: the last base that it had


def _unpacked(base: PackedBase) -> Base:
    found = _kept.get(base.sha256)
    if found is None:
        found = pickle.loads(base.data)
        _kept.clear()
        _kept[base.sha256] = found
    return found


def begin_worker(lifeline: Connection) -> None:
    """Prepare a process of our own pool: it ends when nobody holds the other end of its lifeline any more.

    So it does when the process that began the sweep closes that end, or is gone however it went; an event or a queue
    would wait for workers that were killed. Interrupts are for the sweep's process, which then stops the others.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()


def _end_with(lifeline: Connection) -> None:
    wait([lifeline])  # nothing is ever sent: what comes is its end
    os._exit(1)
