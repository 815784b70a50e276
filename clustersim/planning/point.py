"""One configuration of a plan: how long its steps take, between which bounds, what limits them, and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from clustersim.analysis.account import account_of
from clustersim.analysis.critical_path import critical_path
from clustersim.analysis.sensitivity import LATENCY, NETWORK, SCALE_UP, resource_times_ps
from clustersim.economics import Rates, spending
from clustersim.errors import ClustersimError, InvariantError
from clustersim.limits import Limits
from clustersim.ops import Plugin
from clustersim.planning.validation_error import class_error_of
from clustersim.planning.variant import reason_of
from clustersim.scenario.load import load_scenario
from clustersim.scenario.spec import Scenario
from clustersim.scenario.units import PS_PER_S
from clustersim.simulation import WholeRun, run_whole
from clustersim.workload.job import budget_steps, num_samples

Layout = Callable[[Scenario], Scenario]
"""Returns a scenario with the layout that it is to be asked with; as it is, or planned again."""


@dataclass(frozen=True, slots=True)
class Runner:
    """How configurations are run.

    Parameters
    ----------
    layout
        Called with each configuration before it is run; None: it is run as it is.
    limits, plugins
        As `simulate` takes them.
    """

    layout: Layout | None = None
    limits: Limits | None = None
    plugins: Mapping[str, Plugin] | None = None

    def laid_out(self, scenario: Scenario) -> Scenario:
        """Return the scenario in the layout that it is asked with."""
        return scenario if self.layout is None else self.layout(scenario)

    def run(self, scenario: Scenario) -> WholeRun:
        """Return the run of a scenario's whole job."""
        return run_whole(scenario, self.limits, self.plugins)


@dataclass(frozen=True, slots=True)
class Point:
    """What was found of one configuration; times, costs and energies are those of a step."""

    num_gpus: int
    layout: dict[str, int]  # sizes of the axes, and vpp
    global_batch_size: int
    step_time_s: float
    step_time_interval_s: tuple[float, float] | None  # by the errors of published configurations of its kind
    tokens: int | None  # of a step; None without a model
    peak_bytes: int
    capacity_bytes: int | None  # of the smallest GPU of the job
    fits: bool | None  # every rank in the memory of its own GPU
    compute_share: float  # of the time of all GPUs
    exposed_communication_share: float
    bubble_share: float
    network_share: float  # of the critical path: links outside scale-up domains, and latencies
    scale_up_share: float  # of the critical path: links inside them
    gpu_hours: float
    cost_usd: float | None
    energy_j: float | None

    @property
    def samples_per_s(self) -> float:
        """Samples that are trained on in a second."""
        return self.global_batch_size / self.step_time_s


@dataclass(frozen=True, slots=True)
class Refused:
    """A configuration that can't be run, and why."""

    num_gpus: int
    reason: str


class Found(NamedTuple):
    """A configuration as it was run, what was found of it, and at what rates it is paid and draws."""

    scenario: Scenario
    point: Point
    rates: Rates


def scenario_of(given: Scenario | str | Path) -> Scenario:
    """Return a scenario: as it is, or the one in a file or of that name in the gallery."""
    return given if isinstance(given, Scenario) else load_scenario(given)


def point_of(scenario: Scenario, runner: Runner) -> Found | Refused:
    """Return a configuration as it was laid out, with what was found of it; why not, if it can't be run."""
    try:
        return found_in(runner.run(runner.laid_out(scenario)))
    except InvariantError:
        raise
    except ClustersimError as error:
        return Refused(scenario.parallelism.num_gpus, reason_of(error))


def found_in(run: WholeRun) -> Found:
    """Return what the run of a configuration says of it."""
    scenario, _, trace = run
    account, rates = account_of(trace), run.rates()
    step_time_s = trace.makespan_ps / (PS_PER_S * trace.num_steps)
    total_ps = trace.makespan_ps * len(trace.ranks)
    compute, exposed, bubble = (time_ps / total_ps for time_ps in account.ranks.times.of_all_ps())
    path = critical_path(trace.standing_for(account.replicas_to_follow(trace)))
    on_path = resource_times_ps(trace, path)
    error, spent = class_error_of(scenario), spending(rates, step_time_s)
    peaks, capacities = account.ranks.memory.peak_bytes.tolist(), run.capacities_bytes()
    samples = num_samples(scenario)
    point = Point(
        scenario.parallelism.num_gpus,
        layout_of(scenario),
        samples,
        step_time_s,
        None if error is None else error.interval_s(step_time_s),
        samples * scenario.model.seq_length if scenario.model else None,
        max(peaks),
        min((capacity for capacity in capacities if capacity is not None), default=None),
        all_fit(peaks, capacities),
        compute,
        exposed,
        bubble,
        (on_path[NETWORK] + on_path[LATENCY]) / trace.makespan_ps,
        on_path[SCALE_UP] / trace.makespan_ps,
        spent.gpu_hours,
        spent.cost_usd,
        spent.energy_j,
    )
    return Found(scenario, point, rates)


def all_fit(peaks_bytes: Sequence[int], capacities_bytes: Sequence[int | None]) -> bool | None:
    """Return whether each peak fits into its own GPU's memory; None where nobody knows how much one of them has.

    Examples
    --------
    >>> all_fit([60, 30], [80, 40]), all_fit([60, 50], [80, 40]), all_fit([60, 30], [80, None])
    (True, False, None)
    """
    known = [capacity for capacity in capacities_bytes if capacity is not None]
    if len(known) < len(capacities_bytes):
        return None
    return all(peak <= capacity for peak, capacity in zip(peaks_bytes, known, strict=True))


def layout_of(scenario: Scenario) -> dict[str, int]:
    """Return the sizes of a scenario's axes."""
    parallelism = scenario.parallelism
    return {axis: getattr(parallelism, axis) for axis in ("tp", "cp", "ep", "dp", "pp", "vpp")}


@dataclass(frozen=True, slots=True)
class Training:
    """What training on so many tokens takes in one configuration."""

    tokens: int
    num_steps: int  # whole steps that cover them
    time_s: float
    time_interval_s: tuple[float, float] | None
    gpu_hours: float
    cost_usd: float | None
    energy_j: float | None


def training_of(found: Found, tokens: int) -> Training:
    """Return what training on `tokens` takes at the pace of a configuration, which has a model."""
    point, num_steps = found.point, budget_steps(found.scenario, tokens)
    assert point.tokens is not None
    assert num_steps is not None
    interval = point.step_time_interval_s
    time_s = num_steps * point.step_time_s
    spent = spending(found.rates, time_s)
    return Training(
        num_steps * point.tokens,
        num_steps,
        time_s,
        None if interval is None else (num_steps * interval[0], num_steps * interval[1]),
        spent.gpu_hours,
        spent.cost_usd,
        spent.energy_j,
    )
