"""How much an answer moves with each assumption, one at a time and all together, so that it carries an interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clustersim.errors import Fault, ScenarioError
from clustersim.planning.assumptions import assumptions_of
from clustersim.planning.point import Runner, scenario_of
from clustersim.planning.uncertainty import Assumption, Outcome, Study, assumptions_with_ranges
from clustersim.planning.validation_error import INTERVAL
from clustersim.result import plain_values
from clustersim.scenario.spec import Scenario
from clustersim.workload.job import budget_steps

SENSITIVITY_SCHEMA = "clustersim/sensitivity/1"
NUM_SAMPLES = 64
MAX_SAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Swing:
    """One assumption at its two ends, all others as they are."""

    assumption: Assumption
    at_low: Outcome
    at_high: Outcome

    @property
    def time_swing_s(self) -> float:
        """By how much the step time moves. [s]"""
        return abs(self.at_high.step_time_s - self.at_low.step_time_s)


@dataclass(frozen=True, slots=True)
class Interval:
    """Between which values a quantity is in nine of ten samples, and in the middle one."""

    low: float
    median: float
    high: float


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How much a step's time, cost and energy move."""

    name: str
    nominal: Outcome
    swings: tuple[Swing, ...]  # the largest in time first, then in cost
    num_samples: int
    seed: int
    num_runs: int  # simulations
    budget_steps: int | None  # steps that cover the scenario's token budget; all times, costs and energies are a step's
    step_time_s: Interval
    cost_usd: Interval | None
    energy_j: Interval | None
    assumptions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``sensitivity --json``."""
        return {"schema": SENSITIVITY_SCHEMA, **plain_values(self)}


def sensitivity(
    scenario: Scenario | str | Path,
    num_samples: int = NUM_SAMPLES,
    seed: int | None = None,
    runner: Runner | None = None,
    on_run: Callable[[int], None] | None = None,
) -> Sensitivity:
    """Return how much a scenario's answers move with what they assume.

    Parameters
    ----------
    scenario
        A scenario, the path of a file, or a name from the gallery.
    num_samples
        Points of the Latin hypercube over all assumptions that are sampled.
    seed
        Of the hypercube; None: the scenario's.
    runner
        Budgets and plugins of its runs; the layout stays.
    on_run
        Called with the number of outcomes that are known already, before each.

    Raises
    ------
    ScenarioError
        A number of samples that is out of range.

    Notes
    -----
    Each assumption is taken at its two ends, then all that are sampled are drawn together: the logarithm of each evenly
    between its ends, each of as many slices of its range hit once, and the order of slices by chance. Assumptions are
    independent of one another. A constant that was fitted is not drawn: it is part of the error of step times.

    References
    ----------
    McKay, Beckman and Conover, "A comparison of three methods for selecting values of input variables in the analysis
    of output from a computer code", Technometrics 21 (2), 1979 (Latin hypercube).
    """
    if not 1 <= num_samples <= MAX_SAMPLES:
        raise ScenarioError(Fault("num_samples", f"got {num_samples}; allowed: 1 to {MAX_SAMPLES}"))
    scenario, runner = scenario_of(scenario), runner or Runner()
    found = assumptions_with_ranges(scenario)
    study, known = Study(scenario, found, runner), 0

    def outcome(values: dict[str, float]) -> Outcome:
        nonlocal known
        if on_run is not None:
            on_run(known)
        known += 1
        return study.outcome(values)

    nominal = outcome({})
    swings = [Swing(one, outcome({one.name: one.low}), outcome({one.name: one.high})) for one in found]
    seed = scenario.seed if seed is None else seed
    sampled = [one for one in found if one.is_sampled]
    drawn = [
        outcome(dict(zip([one.name for one in sampled], row, strict=True)))
        for row in hypercube(sampled, num_samples, seed)
    ]
    return Sensitivity(
        scenario.name,
        nominal,
        tuple(sorted(swings, key=lambda swing: (-swing.time_swing_s, -_cost_swing(swing)))),
        num_samples,
        seed,
        study.num_runs,
        budget_steps(scenario),
        _interval([one.step_time_s for one in drawn]),
        _interval_if_known([one.cost_usd for one in drawn]),
        _interval_if_known([one.energy_j for one in drawn]),
        assumptions_of(scenario, Runner(), study.rates({})),
    )


def hypercube(assumptions: Sequence[Assumption], num_samples: int, seed: int) -> list[list[float]]:
    """Return a value of each assumption for each sample, ``values[sample][assumption]``.

    Examples
    --------
    >>> one = Assumption("latency", "resource", 1.0, 1.0, 16.0, "assumed", True, "")
    >>> rows = hypercube([one], 4, seed=1)
    >>> [sum(low <= row[0] < 2 * low for row in rows) for low in (1, 2, 4, 8)]  # one in each quarter of the range
    [1, 1, 1, 1]
    """
    generator = np.random.default_rng(seed)
    columns: list[npt.NDArray[np.float64]] = []
    for one in assumptions:
        places = (generator.permutation(num_samples) + generator.random(num_samples)) / num_samples
        columns.append(_between(one, places))
    return np.stack(columns, axis=1).tolist() if columns else [[] for _ in range(num_samples)]


def _between(one: Assumption, places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the values at places from 0 to 1 of a range: even in the logarithm, unless the range begins at 0."""
    if one.low <= 0:
        return one.low + places * (one.high - one.low)
    return np.asarray(one.low * (one.high / one.low) ** places)


def _cost_swing(swing: Swing) -> float:
    ends = swing.at_low.cost_usd, swing.at_high.cost_usd
    return 0.0 if ends[0] is None or ends[1] is None else abs(ends[1] - ends[0])


def _interval(values: Sequence[float]) -> Interval:
    low, median, high = np.quantile(values, [(1 - INTERVAL) / 2, 0.5, (1 + INTERVAL) / 2]).tolist()
    return Interval(low, median, high)


def _interval_if_known(values: Sequence[float | None]) -> Interval | None:
    known = [value for value in values if value is not None]
    return _interval(known) if len(known) == len(values) else None
