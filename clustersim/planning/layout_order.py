"""Whether simulated step times put the layouts of a sweep in the order in which they were measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from clustersim.planning.validation import Deviation

_FEWEST = 20  # configurations of one model on one cluster that count as a sweep


@dataclass(frozen=True, slots=True)
class LayoutOrder:
    """How well the order of a sweep's layouts is met."""

    source: str
    model: str
    num_gpus: int
    num_rows: int
    kendall_tau: float  # 1: the same order, -1: the opposite one
    first_over_best: float  # measured time of the layout that we put first, over the shortest measured, less one


def layout_orders(found: Iterable[Deviation]) -> list[LayoutOrder]:
    """Return how well each sweep's order is met: layouts of one model on one cluster, by time a sample."""
    sweeps: dict[tuple[str, str, int], list[tuple[float, float]]] = {}
    for row in found:
        if row.step_time_s is not None:
            scenario, measured_s = row.measurement.scenario, row.measurement.step_time_s
            model = scenario["model"]
            name = model if isinstance(model, str) else json.dumps(model, sort_keys=True)
            samples = scenario["batch"]["global_batch_size"]
            key = (row.measurement.source, name, scenario["cluster"]["gpus"])
            sweeps.setdefault(key, []).append((row.step_time_s / samples, measured_s / samples))
    return [
        LayoutOrder(source, _short(model), num_gpus, len(pairs), kendall_tau(pairs), _first_over_best(pairs))
        for (source, model, num_gpus), pairs in sweeps.items()
        if len(pairs) >= _FEWEST
    ]


def kendall_tau(pairs: Sequence[tuple[float, float]]) -> float:
    """Return Kendall's tau-a of pairs: those in the same order less those in the opposite one, over all.

    Examples
    --------
    >>> kendall_tau([(1, 10), (2, 20), (3, 15)])
    0.3333333333333333
    """
    orders = [(a[0] - b[0]) * (a[1] - b[1]) for a, b in combinations(pairs, 2)]
    return sum((order > 0) - (order < 0) for order in orders) / len(orders)


def _first_over_best(pairs: Sequence[tuple[float, float]]) -> float:
    _, measured = min(pairs)
    return measured / min(measured for _, measured in pairs) - 1


def _short(model: str) -> str:
    if not model.startswith("{"):
        return model
    shape = json.loads(model)
    return f"{shape['num_layers']} layers, hidden size {shape['hidden_size']}"
