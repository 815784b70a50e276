"""What an answer assumes, how far each of it may be from the truth, and what then becomes of a step.

How far off all that was fitted to measurements may be, taken together, is what the step times of published
configurations say. What nobody measured has a range of its own: that with which a calibration starts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any, Literal

from clustersim.analysis.sensitivity import COMPUTE, LATENCY, NETWORK, SCALE_UP
from clustersim.changed_costs import with_costs
from clustersim.economics import Rates, economics_of, spending
from clustersim.ops import Job
from clustersim.planning.constants import IN_TRAINING, PARAMETERS, Constants
from clustersim.planning.point import Runner
from clustersim.planning.validation_error import ClassError, class_error_of
from clustersim.scenario.economics import Economics, GpuPrice
from clustersim.scenario.spec import Scenario
from clustersim.scenario.units import PS_PER_S
from clustersim.simulation import WholeRun, run_whole
from clustersim.workload.rank_devices import usual_device

Kind = Literal["constant", "resource", "error", "price", "share"]
_GIVEN_COMPUTE = 0.1  # assumed, where a scenario gives the times of its stages and nobody knows how well
_LATENCY = 2.0  # latencies of topologies are assumed, within a factor
_UNKNOWN_PRICE = 0.3  # assumed, where the economics give no lowest and highest
_OF_ECONOMICS = "economics."
PRICE = f"{_OF_ECONOMICS}price"
_GRAIN = 10**6  # factors become fractions of this


@dataclass(frozen=True, slots=True)
class Assumption:
    """Something that an answer rests on, its value, and between which values it may be."""

    name: str
    kind: Kind
    value: float
    low: float
    high: float
    origin: str  # measured, derived, assumed or given
    is_sampled: bool  # False: what is wrong with it is part of the error of step times
    basis: str  # where the range comes from


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a step."""

    step_time_s: float
    cost_usd: float | None
    energy_j: float | None


def assumptions_with_ranges(scenario: Scenario) -> list[Assumption]:
    """Return what a scenario's answers rest on: its kernels, links, the error of step times, prices and power."""
    return [*_constants(scenario), *_resources(scenario), *_error(scenario), *_prices(scenario), *_shares(scenario)]


def _constants(scenario: Scenario) -> list[Assumption]:
    if scenario.model is None:
        told = "assumed: nobody knows how well the given times are"
        return [Assumption("compute", "resource", 1.0, 1 - _GIVEN_COMPUTE, 1 + _GIVEN_COMPUTE, "given", True, told)]
    device = usual_device(scenario)
    kernels, error = device.kernels, class_error_of(scenario)
    if kernels is None or error is None:
        return []
    constants, found = Constants(device), []
    for name in (*_used(scenario), "launch"):
        parameter, origin, value = PARAMETERS[name], kernels.origin(name), constants.value(name)  # type: ignore[arg-type]
        factor, why = _factor(parameter.spread, error if origin != "assumed" else None)
        unit = f" [{parameter.unit}]" if parameter.unit else ""
        basis = f"of {device.name}{unit}, {origin}: {why}"
        high = min(parameter.highest, value * factor)
        is_sampled = origin == "assumed"
        found.append(Assumption(f"kernels.{name}", "constant", value, value / factor, high, origin, is_sampled, basis))
    return found


def _factor(spread: float, error: ClassError | None) -> tuple[float, str]:
    """Return by which factor a constant may be off, and why: as step times are, or as a calibration starts."""
    if error is not None:
        return 1 + error.ninth_decile, f"{100 * error.ninth_decile:.2g} %, which nine of ten published step times meet"
    return math.exp(spread), f"a factor of {math.exp(spread):.2g}, with which a calibration starts"


def _used(scenario: Scenario) -> tuple[str, ...]:
    """Return the shares of peaks that the times of a scenario follow from."""
    assert scenario.model is not None
    precision, attention = scenario.training.precision, ("attention_forward", "attention_backward")
    narrow = ("gemm_fp8",) if "fp8" in precision else ("gemm_fp4",) if "fp4" in precision else ()
    experts = ("experts",) if scenario.model.moe else ()
    usual = scenario.training.flash_attention and scenario.training.attention_kernel is None
    return ("gemm", *narrow, *experts, *(attention if usual else ()), "memory")


def _resources(scenario: Scenario) -> list[Assumption]:
    """Return what may be off about links; bandwidths that collectives were fitted to are as well known as kernels."""
    library, error = scenario.cluster.topology.collectives, class_error_of(scenario)
    fitted = library.fitted if library else ()
    found = []
    for name, scope in ((SCALE_UP, "scaleup"), (NETWORK, "network")):
        known = error if scope in fitted else None
        factor, why = _factor(PARAMETERS[IN_TRAINING].spread, known)
        origin = "assumed" if known is None else "derived"
        basis = f"{origin}: {why}"
        found.append(Assumption(f"{name} bandwidth", "resource", 1.0, 1 / factor, factor, origin, known is None, basis))
    of_latency = f"assumed: a factor of {_LATENCY:g}"
    return [*found, Assumption(LATENCY, "resource", 1.0, 1 / _LATENCY, _LATENCY, "assumed", True, of_latency)]


def _error(scenario: Scenario) -> list[Assumption]:
    error = class_error_of(scenario)
    if error is None:
        return []
    low, high = 1 / (1 + error.high), 1 / (1 + error.low)
    basis = f"nine of ten of {error.num_rows} published {error.group} configurations, measured over ours"
    return [Assumption("error of step times", "error", 1.0, low, high, "measured", True, basis)]


def _prices(scenario: Scenario) -> list[Assumption]:
    economics, device = economics_of(scenario), scenario.cluster.topology.device
    name = usual_device(scenario).name if device else ""
    price = economics.prices.get(name)
    if price is None:
        return []
    value = float(price.usd_per_gpu_h)
    given = price.lowest is not None and price.highest is not None
    low = float(price.lowest) if price.lowest is not None else value * (1 - _UNKNOWN_PRICE)
    high = float(price.highest) if price.highest is not None else value * (1 + _UNKNOWN_PRICE)
    basis = "lowest and highest of the economics" if given else f"assumed: {100 * _UNKNOWN_PRICE:g} %"
    return [Assumption(PRICE, "price", value, low, high, "given", True, f"USD a {name} and hour; {basis}")]


def _shares(scenario: Scenario) -> list[Assumption]:
    economics, power = economics_of(scenario), scenario.cluster.topology.power
    names = [name for name in economics.ranges if name != "host" or power.node is None]
    found = []
    for name in names:
        value = getattr(economics, name)
        if name == "pue" and power.pue is not None and (scenario.economics is None or scenario.economics.pue is None):
            value = power.pue
        least, most = economics.ranges[name]
        low, high = min(least, value), max(most, value)
        found.append(
            Assumption(f"{_OF_ECONOMICS}{name}", "share", value, low, high, "given", True, "ranges of the economics")
        )
    return found


class Study:
    """One scenario under other assumptions; what was run once is not run again."""

    def __init__(self, scenario: Scenario, assumptions: Sequence[Assumption], runner: Runner) -> None:
        self._scenario, self._runner = scenario, runner
        self._kinds = {assumption.name: assumption.kind for assumption in assumptions}
        self._times_s: dict[tuple[tuple[str, float], ...], float] = {}
        self._placed: WholeRun | None = None

    @property
    def num_runs(self) -> int:
        """How many simulations there were."""
        return len(self._times_s)

    def outcome(self, values: Mapping[str, float]) -> Outcome:
        """Return what becomes of a step with other values of some assumptions, by name."""
        run = {name: value for name, value in values.items() if self._kinds[name] in ("constant", "resource")}
        key = tuple(sorted(run.items()))
        if key not in self._times_s:
            self._times_s[key] = self._time_s(run)
        time_s = self._times_s[key]
        for name, value in values.items():
            time_s *= value if self._kinds[name] == "error" else 1.0
        spent = spending(self.rates({name: value for name, value in values.items() if name not in run}), time_s)
        return Outcome(time_s, spent.cost_usd, spent.energy_j)

    def rates(self, values: Mapping[str, float]) -> Rates:
        """Return what the job costs and draws with other prices and shares, where its first run placed it."""
        assert self._placed is not None
        economics = self._economics(values)
        return self._placed._replace(scenario=self._scenario.model_copy(update={"economics": economics})).rates()

    def _time_s(self, values: Mapping[str, float]) -> float:
        constants = {name.removeprefix("kernels."): value for name, value in values.items() if self._of_kernels(name)}
        device = Constants(usual_device(self._scenario)).with_values(constants).device if constants else None
        shares = {
            name.removesuffix(" bandwidth"): _share(name, value)
            for name, value in values.items()
            if not self._of_kernels(name)
        }
        change = partial(_changed, shares=shares) if shares else None
        run = run_whole(self._scenario, self._runner.limits, self._runner.plugins, device, change)
        self._placed = self._placed or run
        return run.trace.makespan_ps / (PS_PER_S * run.trace.num_steps)

    def _of_kernels(self, name: str) -> bool:
        return self._kinds[name] == "constant"

    def _economics(self, values: Mapping[str, float]) -> Economics | None:
        """Return the scenario's economics with other values."""
        own = self._scenario.economics or Economics()
        shares = {
            name.removeprefix(_OF_ECONOMICS): value for name, value in values.items() if self._kinds[name] == "share"
        }
        prices = dict(own.prices)
        if PRICE in values:
            name = usual_device(self._scenario).name
            # the nearest float is near enough: the price is a sample
            prices[name] = GpuPrice.model_construct(price=Fraction(values[PRICE]), gpus=1, terms="", date="", source="")
        return Economics.model_construct(
            _fields_set=own.model_fields_set | set(shares) | {"prices"},
            **{**{key: getattr(own, key) for key in Economics.model_fields}, **shares, "prices": prices},
        )


def _share(name: str, value: float) -> Fraction:
    """Return by what a resource's time is multiplied: a bandwidth divides it, a latency or compute multiplies it."""
    factor = Fraction(round(value * _GRAIN), _GRAIN)
    return factor if name in (LATENCY, COMPUTE) else 1 / factor


def _changed(job: Job, cluster: Any, shares: Mapping[str, Fraction]) -> tuple[Job, Any]:
    for resource, share in shares.items():
        job, cluster = with_costs(job, cluster, resource, share)
    return job, cluster
