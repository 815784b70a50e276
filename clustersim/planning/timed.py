"""Measured rows under different constants: their times, and what changes with each constant."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import numpy.typing as npt

from clustersim.errors import ClustersimError
from clustersim.ops import StageCosts
from clustersim.planning.constants import Constants, nudged
from clustersim.planning.fit import Vector
from clustersim.planning.variant import reason_of
from clustersim.scenario.measured import Measured
from clustersim.simulation import simulate_representatives
from clustersim.workload.layer_times import layer_costs, layer_times
from clustersim.workload.stages import stage_costs


@dataclass(frozen=True, slots=True)
class Task:
    """A row, and the constants under which its time is asked for."""

    row: Measured
    several: tuple[Constants, ...]
    first_ps: int | None = None  # its time under the first of them, if it is known


def times_ps(task: Task) -> list[int] | str:
    """Return the time of a row under each of several constants; the reason, if it can't be run.

    Constants under which nothing of the row takes another time than under the first are not run again.
    """
    times: list[int] = []
    try:
        first = _key(task.row, task.several[0])
        for constants in task.several:
            if times and _key(task.row, constants) == first:
                times.append(times[0])
            elif not times and task.first_ps is not None:
                times.append(task.first_ps)
            else:
                times.append(_time_ps(task.row, constants))
    except ClustersimError as error:
        return reason_of(error)
    return times


def _key(row: Measured, constants: Constants) -> object:
    """Return what the time of a row depends on."""
    has_groups = row.scenario.parallelism.num_gpus > row.scenario.parallelism.pp
    costs = stage_costs(row.scenario, constants.device) if row.layer is None else _layer_costs(row, constants)
    return costs, constants.in_training if has_groups else None


def _layer_costs(row: Measured, constants: Constants) -> StageCosts:
    assert row.layer is not None
    return layer_costs(row.scenario, row.layer.index, constants.device)


def _time_ps(row: Measured, constants: Constants) -> int:
    if row.layer is None:
        trace = simulate_representatives(row.scenario, constants.device, constants.in_training)
        return trace.makespan_ps // row.scenario.steps
    fabric = row.scenario.cluster.topology
    if constants.in_training is not None:
        fabric = fabric.with_in_training(constants.in_training)
    used = fabric if row.layer.has_communication else None
    times = layer_times(row.scenario, _layer_costs(row, constants), used)
    return times.forward_ps if row.quantity == "forward" else times.backward_ps


Run = Callable[[Iterable[Task]], Iterable[list[int] | str]]
"""Runs tasks as :func:`times_ps` does, in order."""


@contextmanager
def runner(num_jobs: int) -> Iterator[Run]:
    """Yield what runs tasks, several at a time."""
    if num_jobs == 1:
        yield lambda tasks: map(times_ps, tasks)
        return
    with ProcessPoolExecutor(num_jobs, get_context("spawn"), _leave_interrupts_to_parent) as executor:
        yield lambda tasks: executor.map(times_ps, tasks)


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Runs:
    """The times of rows under different constants; what was run once is not run again."""

    def __init__(self, rows: Sequence[Measured], names: Sequence[str], start: Constants, run: Run) -> None:
        self.rows, self.names, self.start, self._run = rows, names, start, run
        self._known: dict[tuple[int, tuple[float, ...]], int] = {}

    def runnable(self) -> dict[int, str]:
        """Return the reasons of rows that can't be run, by row, after running all at the start."""
        tasks = [Task(row, (self.start,)) for row in self.rows]
        reasons = {}
        for index, found in enumerate(self._run(tasks)):
            if isinstance(found, str):
                reasons[index] = found
            else:
                self._known[index, self._values(self.start)] = found[0]
        return reasons

    def times_ps(self, indices: Sequence[int], several: Sequence[Constants]) -> npt.NDArray[np.int64]:
        """Return ``times[row, constants]`` of some rows. [ps]"""
        keys = [self._values(constants) for constants in several]
        missing = [index for index in indices if any((index, key) not in self._known for key in keys)]
        tasks = (Task(self.rows[index], tuple(several), self._known.get((index, keys[0]))) for index in missing)
        for index, found in zip(missing, self._run(tasks), strict=True):
            if isinstance(found, str):
                raise ClustersimError(f"{self.rows[index].label}: {found}")
            self._known.update(zip([(index, key) for key in keys], found, strict=True))
        return np.array([[self._known[index, key] for key in keys] for index in indices], dtype=np.int64)

    def _values(self, constants: Constants) -> tuple[float, ...]:
        return tuple(constants.value(name) for name in self.names)


@dataclass(frozen=True, slots=True)
class Timed:
    """Some rows as a model whose constants can be fitted."""

    runs: Runs
    indices: tuple[int, ...]

    def errors(self, values: Sequence[float]) -> Vector:
        """Return the logarithm of ours over theirs, by row."""
        return self._errors([self._at(values)])[:, 0]

    def slopes(self, values: Sequence[float], which: Sequence[int]) -> Vector:
        """Return ``slopes[row, index]``: changes of the errors by those of the logarithms of some constants."""
        names, here = self.runs.names, self._at(values)
        near_by = [here.with_values({names[index]: nudged(names[index], here.value(names[index]))}) for index in which]
        errors = self._errors([here, *near_by])
        widths = [
            np.log(there.value(names[index]) / here.value(names[index]))
            for index, there in zip(which, near_by, strict=True)
        ]
        slopes: Vector = (errors[:, 1:] - errors[:, :1]) / np.array(widths)
        return slopes

    def _at(self, values: Sequence[float]) -> Constants:
        return self.runs.start.with_values(dict(zip(self.runs.names, values, strict=True)))

    def _errors(self, several: Sequence[Constants]) -> Vector:
        measured = np.log([self.runs.rows[index].time_ps for index in self.indices])
        errors: Vector = np.log(self.runs.times_ps(self.indices, several)) - measured[:, None]
        return errors
