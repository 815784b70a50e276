"""Sweeps: one simulation for every combination of values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clustersim.errors import Fault, LimitError, ScenarioError
from clustersim.limits import Limits
from clustersim.planning.variant import Outcome, Status, run_variant
from clustersim.result import Result
from clustersim.scenario.keys import axis_findings
from clustersim.scenario.load import load_scenario
from clustersim.scenario.node import dotted
from clustersim.scenario.spec import Scenario
from clustersim.workload.job import num_samples

SWEEP_SCHEMA = "clustersim/sweep/1"
MAX_POINTS = 10_000

Measure = float | int | None

MEASURES: dict[str, Callable[[Result], Measure]] = {
    "step_time_s": lambda result: result.step_time_s,
    "compute_s": lambda result: result.time_s.compute,
    "exposed_communication_s": lambda result: result.time_s.exposed_communication,
    "bubble_s": lambda result: result.time_s.bubble,
    "bubble_fraction": lambda result: result.bubble.fraction,
    "bubble_overhead": lambda result: result.bubble.overhead,
    "span_fraction": lambda result: result.bubble.span_fraction,
    "global_batch_size": lambda result: num_samples(result.scenario),
    "samples_per_s": lambda result: result.throughput.samples_per_s,
    "peak_bytes": lambda result: result.memory.peak_bytes,
    "capacity_bytes": lambda result: result.memory.capacity_bytes,
    "cost_usd_per_step": lambda result: result.step_cost.cost_usd,
    "energy_j_per_step": lambda result: result.step_cost.energy_j,
}
"""Result columns of a row, with their units; None where a point was refused."""


@dataclass(frozen=True, slots=True)
class SweepRow:
    """One point: its value on each axis, how it went, and what was measured."""

    values: Mapping[str, Any]
    status: Status
    reason: str
    measures: Mapping[str, Measure]

    def to_dict(self) -> dict[str, Any]:
        """Return the row flat: axes under their dotted keys, status, reason, result columns."""
        return {**self.values, "status": self.status, "reason": self.reason, **self.measures}


@dataclass(frozen=True, slots=True)
class SweepResult:
    """All points, the last axis varying fastest."""

    axes: Mapping[str, tuple[Any, ...]]
    rows: tuple[SweepRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``sweep --json``."""
        axes = {axis: list(values) for axis, values in self.axes.items()}
        return {"schema": SWEEP_SCHEMA, "axes": axes, "rows": [row.to_dict() for row in self.rows]}


def sweep(
    scenario: Scenario | str | Path,
    axes: Mapping[str, Sequence[Any]] | None = None,
    limits: Limits | None = None,
    max_points: int = MAX_POINTS,
    on_row: Callable[[SweepRow], None] | None = None,
) -> SweepResult:
    """Return a row for every combination of the axes' values.

    Parameters
    ----------
    scenario
        A Scenario that was loaded, the path of a file, or a name from the gallery.
    axes
        Values of dotted keys; they add to the scenario's own ``sweep.axes`` and replace those of the same key.
    limits
        Budgets of each simulation; a point that uses one up is refused.
    max_points
        Combinations allowed.
    on_row
        Called with each row as it is done.

    Raises
    ------
    ScenarioError
        There is nothing to vary, or an axis is no key of a scenario. What is wrong with one point is told in its row.
    LimitError
        The axes have more combinations than `max_points`.
    """
    if not isinstance(scenario, Scenario):
        scenario = load_scenario(scenario)
    own = scenario.sweep.axes if scenario.sweep else {}
    merged = {axis: tuple(values) for axis, values in {**own, **(axes or {})}.items()}
    _check_axes(merged, max_points)
    rows = []
    for row in _rows(scenario, merged, limits):
        rows.append(row)
        if on_row is not None:
            on_row(row)
    return SweepResult(merged, tuple(rows))


def num_points(axes: Mapping[str, Sequence[Any]]) -> int:
    """Return the number of combinations."""
    return math.prod(len(values) for values in axes.values())


def _check_axes(axes: Mapping[str, Sequence[Any]], max_points: int) -> None:
    if not axes:
        hint = "give the scenario `sweep: {axes: {...}}`, or --axis batch.num_microbatches=4,8"
        raise ScenarioError(Fault("sweep.axes", "there is nothing to vary", hint=hint))
    faults = [Fault(dotted(finding.path), finding.what, hint=finding.hint) for finding in axis_findings(Scenario, axes)]
    faults += [Fault(f"sweep.axes.{axis}", "no values") for axis, values in axes.items() if not values]
    if faults:
        raise ScenarioError(faults)
    if (number := num_points(axes)) > max_points:
        sizes = " * ".join(str(len(values)) for values in axes.values())
        raise LimitError(f"the sweep has {sizes} = {number} points; allowed: --max-sweep-points {max_points}")


def _rows(scenario: Scenario, axes: Mapping[str, Sequence[Any]], limits: Limits | None) -> Iterator[SweepRow]:
    for combination in itertools.product(*axes.values()):
        values = dict(zip(axes, combination, strict=True))
        yield _row(values, run_variant(scenario, values, limits))


def _row(values: Mapping[str, Any], outcome: Outcome) -> SweepRow:
    result = outcome.result
    measures = {name: None if result is None else measure(result) for name, measure in MEASURES.items()}
    return SweepRow(values, outcome.status, outcome.reason, measures)
