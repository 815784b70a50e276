"""The row of a point: its values, how it went, and what was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clustersim.planning.variant import Outcome, Status
from clustersim.result import Result
from clustersim.workload.job import num_samples

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
"""Result columns of a row, with their units; None where a point did not run."""


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


PlacedRow = tuple[int, SweepRow]
"""The position of a point, and its row."""


def row_of(values: Mapping[str, Any], outcome: Outcome) -> SweepRow:
    """Return the row of the point where axes have `values`."""
    result = outcome.result
    measures = {name: None if result is None else measure(result) for name, measure in MEASURES.items()}
    return SweepRow(values, outcome.status, outcome.reason, measures)
