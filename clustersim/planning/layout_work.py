"""Evaluates layouts, in this process or in several: the paths through their orders, and simulations."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from typing import Any, NamedTuple

from clustersim.analysis.mean_times import MeanTimes, mean_times
from clustersim.errors import ClustersimError, InvariantError, LimitError
from clustersim.planning.layouts import Layout
from clustersim.planning.variant import reason_of
from clustersim.result import Result
from clustersim.scenario.load import vary
from clustersim.scenario.spec import Scenario
from clustersim.scenario.units import PS_PER_S
from clustersim.simulation import simulate, simulate_representatives
from clustersim.workload.alone import Alone, Estimate, OrderKey


class Simulated(NamedTuple):
    """What a simulation of a whole layout gives. [ps, bytes]"""

    makespan_ps: int
    peak_bytes: int
    layout: Layout
    warnings: tuple[str, ...]
    explained: MeanTimes

    @property
    def step_time_s(self) -> float:
        """Time of the step. [s]"""
        return self.makespan_ps / PS_PER_S


@dataclass(frozen=True, slots=True)
class Setting:
    """What every process needs to know: any layout of the job on all GPUs, and the choices that stay as it has them."""

    scenario: Scenario
    fixed: Mapping[str, Any]
    capacity_bytes: int | None

    def scenario_of(self, layout: Layout) -> Scenario:
        """Return the scenario with a layout in it."""
        return vary(self.scenario, layout.values(self.fixed))


class Worker:
    """Evaluates layouts of one setting, in the process in which it is made."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.alone = Alone.of(setting.scenario)

    def estimates(self, key: OrderKey, layouts: Sequence[Layout]) -> list[Estimate]:
        """Return what layouts of one order take at least."""
        usual = self.setting.scenario.parallelism
        alternatives = [layout.alternative(usual) for layout in layouts]
        return self.alone.estimates(key, alternatives, self.setting.capacity_bytes)

    def alone_ps(self, layout: Layout) -> int | str:
        """Return how long a step takes if one replica stands for all, or why it can't be run. [ps]"""
        try:
            return simulate_representatives(self.setting.scenario_of(layout)).makespan_ps
        except (InvariantError, LimitError):
            raise
        except ClustersimError as error:
            return reason_of(error)

    def peak_bytes(self, layout: Layout, is_exact: bool) -> int:
        """Return the peak of a layout's memory, or quicker what is no more than that. [bytes]"""
        return self.alone.peak_bytes(layout.alternative(self.setting.scenario.parallelism), is_exact)

    def simulated(self, layout: Layout) -> Simulated:
        """Return what the simulation of all replicas gives."""
        return _simulated(layout, simulate(self.setting.scenario_of(layout)))


def _simulated(layout: Layout, result: Result) -> Simulated:
    return Simulated(
        result.trace.makespan_ps,
        result.memory.peak_bytes,
        layout,
        result.warnings,
        mean_times(result.trace),
    )


class Workers:
    """Processes that evaluate layouts of one setting."""

    def __init__(self, setting: Setting, num_jobs: int) -> None:
        self.num_jobs = num_jobs
        self.own = Worker(setting)
        self._executor: ProcessPoolExecutor | None = None
        self._setting = setting

    def call(self, method: str, arguments: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """Yield what a method of a worker returns for each of several lists of arguments, in order."""
        if self.num_jobs == 1 or len(arguments) < 2:
            for given in arguments:
                yield getattr(self.own, method)(*given)
            return
        if self._executor is None:
            context = get_context("spawn")
            self._executor = ProcessPoolExecutor(self.num_jobs, context, _begin, (self._setting,))
        for future in [self._executor.submit(_call, method, given) for given in arguments]:
            yield future.result()

    def close(self, wait: bool) -> None:
        """End the processes; do not wait for what nobody needs any more."""
        if self._executor is not None:
            self._executor.shutdown(wait=wait, cancel_futures=True)


@contextmanager
def workers_for(setting: Setting, num_jobs: int) -> Iterator[Workers]:
    """Yield workers, which are gone afterwards."""
    others = set(active_children())
    workers = Workers(setting, num_jobs)
    try:
        yield workers
    except BaseException:
        for process in set(active_children()) - others:
            process.terminate()
        workers.close(wait=False)
        raise
    workers.close(wait=True)


# orders are many small tuples that stay: looking through them for cycles takes longer than making them
_OBJECTS_BETWEEN_COLLECTIONS = 100_000
_worker: Worker | None = None  # of a process that only evaluates


def _begin(setting: Setting) -> None:
    global _worker
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _worker = Worker(setting)


def _call(method: str, given: tuple[Any, ...]) -> Any:
    return getattr(_worker, method)(*given)
