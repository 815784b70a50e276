"""Measured rows under different constants: their times, and what changes with each constant."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context

import numpy as np
import numpy.typing as npt

from clustersim.errors import ClustersimError
from clustersim.ops import StageCosts
from clustersim.planning.constants import Constants, nudged
from clustersim.planning.fit import Vector
from clustersim.planning.variant import reason_of
from clustersim.scenario.devices import Device
from clustersim.scenario.measured import Measured
from clustersim.simulation import shares_nics, simulate_representatives
from clustersim.workload.layer_times import layer_costs, layer_times
from clustersim.workload.stages import stage_costs


@dataclass(frozen=True, slots=True)
class Task:
    """A row, and the constants under which its time is asked for."""

    row: Measured
    several: tuple[Constants, ...]
    alone: bool = False  # whether one replica stands for all, which is quicker, even where several share a NIC
    first_ps: int | None = None  # its time under the first of them, if it is known


def times_ps(task: Task) -> list[int] | str:
    """Return the time of a row under each of several constants; the reason, if it can't be run.

    Constants under which nothing of the row takes another time than under the first are not run again.
    """
    times: list[int] = []
    try:
        first = _needs(task.row, task.several[0])
        times.append(_time_ps(task, task.several[0], first) if task.first_ps is None else task.first_ps)
        for constants in task.several[1:]:
            needs = _needs(task.row, constants)
            times.append(times[0] if needs == first else _time_ps(task, constants, needs))
    except ClustersimError as error:
        return reason_of(error)
    return times


@dataclass(frozen=True, slots=True)
class _Needs:
    """What the time of a row depends on."""

    costs: tuple[StageCosts, ...]  # of stages, or of the one layer
    in_training: float | None


def _needs(row: Measured, constants: Constants) -> _Needs:
    has_groups = row.scenario.parallelism.num_gpus > row.scenario.parallelism.pp
    return _Needs(_costs(row, constants.device), constants.in_training if has_groups else None)


def _costs(row: Measured, device: Device) -> tuple[StageCosts, ...]:
    if row.layer is None:
        return stage_costs(row.scenario, device)
    return (layer_costs(row.scenario, row.layer.index, device),)


def _time_ps(task: Task, constants: Constants, needs: _Needs) -> int:
    row = task.row
    if row.layer is None:
        trace = simulate_representatives(row.scenario, constants.device, constants.in_training, task.alone)
        return trace.makespan_ps // row.scenario.steps
    fabric = row.scenario.cluster.topology
    if constants.in_training is not None:
        fabric = fabric.with_in_training(constants.in_training)
    times = layer_times(row.scenario, needs.costs[0], fabric if row.layer.has_communication else None)
    return times.forward_ps if row.quantity == "forward" else times.backward_ps


Run = Callable[[Iterable[Task]], Iterable[list[int] | str]]
"""Runs tasks as :func:`times_ps` does, in order."""


@contextmanager
def runner(num_jobs: int) -> Iterator[Run]:
    """Yield what runs tasks, several at a time."""
    if num_jobs == 1:
        yield lambda tasks: map(times_ps, tasks)
        return
    others = set(active_children())
    with ProcessPoolExecutor(num_jobs, get_context("spawn"), _leave_interrupts_to_parent) as executor:

        def run(tasks: Iterable[Task]) -> Iterator[list[int] | str]:
            for future in [executor.submit(times_ps, task) for task in tasks]:
                yield future.result()

        try:
            yield run
        except BaseException as error:
            for process in set(active_children()) - others:  # a run can take minutes, which nobody waits for any more
                process.terminate()
            if isinstance(error, BrokenProcessPool):
                what = "a process was ended from outside, perhaps for lack of memory; give fewer --jobs"
                raise ClustersimError(what) from None
            raise


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Runs:
    """The times of rows under different constants; what was run once is not run again."""

    def __init__(self, rows: Sequence[Measured], names: Sequence[str], start: Constants, run: Run) -> None:
        self.rows, self.names, self.start, self._run = rows, names, start, run
        self._known: dict[tuple[int, bool, tuple[float, ...]], int] = {}
        self._shares_nics = [row.layer is None and shares_nics(row.scenario.cluster.topology) for row in rows]

    def runnable(self) -> dict[int, str]:
        """Return the reasons of rows that can't be run, by row, after running all at the start."""
        reasons = {}
        for index, found in enumerate(self._run(Task(row, (self.start,)) for row in self.rows)):
            if isinstance(found, str):
                reasons[index] = found
            else:
                self._known[index, False, self._values(self.start)] = found[0]
        return reasons

    def times_ps(
        self, indices: Sequence[int], several: Sequence[Constants], alone: bool = False
    ) -> npt.NDArray[np.int64]:
        """Return ``times[row, constants]`` of some rows, each of all its representatives, or of one alone. [ps]"""
        keys = {
            index: [(index, alone and self._shares_nics[index], self._values(constants)) for constants in several]
            for index in indices
        }
        missing = [index for index in indices if any(key not in self._known for key in keys[index])]
        tasks = (
            Task(self.rows[index], tuple(several), keys[index][0][1], self._known.get(keys[index][0]))
            for index in missing
        )
        for index, found in zip(missing, self._run(tasks), strict=True):
            if isinstance(found, str):
                raise ClustersimError(f"{self.rows[index].label}: {found}")
            self._known.update(zip(keys[index], found, strict=True))
        return np.array([[self._known[key] for key in keys[index]] for index in indices], dtype=np.int64)

    def sharing(self, constants: Constants) -> Vector:
        """Return what sharing NICs adds to the time of each row, as the logarithm of a factor."""
        indices = range(len(self.rows))
        both = [self.times_ps(indices, [constants], alone)[:, 0] for alone in (False, True)]
        factors: Vector = np.log(both[0] / both[1])
        return factors

    def _values(self, constants: Constants) -> tuple[float, ...]:
        return tuple(constants.value(name) for name in self.names)


@dataclass(frozen=True, slots=True)
class Timed:
    """Some rows as a model whose constants can be fitted: one replica of each is run, times what sharing NICs adds."""

    runs: Runs
    indices: tuple[int, ...]
    sharing: Vector  # of all rows; see :meth:`Runs.sharing`

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
        factors = self.sharing[list(self.indices)] - measured
        errors: Vector = np.log(self.runs.times_ps(self.indices, several, alone=True)) + factors[:, None]
        return errors
