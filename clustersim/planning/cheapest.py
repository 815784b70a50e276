"""The cheapest cluster of a list on which a model is trained on so many tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clustersim.economics import rates_of
from clustersim.errors import ClustersimError, Fault, InvariantError, ScenarioError
from clustersim.planning.assumptions import assumptions_of
from clustersim.planning.fewest import fewest_gpus
from clustersim.planning.point import Point, Refused, Runner, Training, point_of, scenario_of, training_of
from clustersim.planning.variant import reason_of
from clustersim.result import plain_values
from clustersim.scenario.load import vary
from clustersim.scenario.spec import Scenario

CHEAPEST_SCHEMA = "clustersim/size-cluster/1"


@dataclass(frozen=True, slots=True)
class PricedCluster:
    """One cluster of the list."""

    cluster: str
    status: str  # ok, unfit, late, unpriced or refused
    reason: str
    point: Point | None
    training: Training | None
    price_basis: str


@dataclass(frozen=True, slots=True)
class Cheapest:
    """The cheapest cluster, and how the others do."""

    name: str
    tokens: int
    limit_s: float | None
    answer: str | None  # None: none can do it
    nearest: str | None  # then the one that comes nearest
    clusters: tuple[PricedCluster, ...]  # the cheapest first, then those that can't
    assumptions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``size cluster --json``."""
        return {"schema": CHEAPEST_SCHEMA, **plain_values(self)}


def cheapest_cluster(
    scenario: Scenario | str | Path,
    clusters: Sequence[str],
    tokens: int,
    limit_s: float | None = None,
    most_gpus: int | None = None,
    runner: Runner | None = None,
    on_cluster: Callable[[str], None] | None = None,
) -> Cheapest:
    """Return which of some clusters trains a model on `tokens` for the least money.

    Parameters
    ----------
    scenario
        A scenario with a model that was loaded, the path of a file, or a name from the gallery.
    clusters
        Names or paths of topologies.
    tokens
        Tokens of the training.
    limit_s
        How long it may take; then each cluster has the fewest GPUs that meet it. None: each has the scenario's. [s]
    most_gpus
        GPUs that a cluster may have where the time is limited.
    runner
        How each configuration is laid out and run.
    on_cluster
        Called with each name before it is run.

    Raises
    ------
    ScenarioError
        No clusters, no model or no tokens. What is wrong with one cluster is told in its row.
    """
    scenario, runner = scenario_of(scenario), runner or Runner()
    if scenario.model is None or not clusters or tokens <= 0:
        what = "needs a `model`, names of topologies, and tokens above 0"
        raise ScenarioError(Fault("size cluster", what))
    rows = []
    for name in dict.fromkeys(clusters):
        if on_cluster is not None:
            on_cluster(name)
        rows.append(_priced(scenario, name, tokens, limit_s, most_gpus, runner))
    rows.sort(key=_order)
    return Cheapest(
        scenario.name,
        tokens,
        limit_s,
        rows[0].cluster if rows[0].status == "ok" else None,
        None if rows[0].status == "ok" else _nearest(rows),
        tuple(rows),
        assumptions_of(scenario, runner, priced=False),
    )


def _priced(
    scenario: Scenario, name: str, tokens: int, limit_s: float | None, most_gpus: int | None, runner: Runner
) -> PricedCluster:
    gpus = scenario.parallelism.num_gpus
    try:
        on_it = vary(scenario, {"cluster.topology": name, "cluster.gpus": gpus})
        basis = rates_of(on_it).price_basis
        if limit_s is not None:
            return _sized(on_it, name, tokens, limit_s, most_gpus, runner, basis)
        found = point_of(on_it, runner)
    except InvariantError:
        raise
    except ClustersimError as error:
        return PricedCluster(name, "refused", reason_of(error), None, None, "")
    if isinstance(found, Refused):
        return PricedCluster(name, "refused", found.reason, None, None, basis)
    laid_out, point = found
    return _row(name, point, training_of(laid_out, point, tokens), True, basis)


def _sized(
    scenario: Scenario, name: str, tokens: int, limit_s: float, most_gpus: int | None, runner: Runner, basis: str
) -> PricedCluster:
    """Return a cluster with the fewest GPUs that meet the limit, or those that come nearest."""
    found = fewest_gpus(scenario, tokens, limit_s, most_gpus, runner=runner)
    best = found.answer or found.nearest
    if best is None:
        reason = found.refused[0].reason if found.refused else "every number of GPUs is too small"
        return PricedCluster(name, "late" if not found.refused else "refused", reason, None, None, basis)
    return _row(name, best.point, best.training, best.in_time, basis)


def _row(name: str, point: Point, training: Training, in_time: bool, basis: str) -> PricedCluster:
    if point.fits is False:
        status, reason = "unfit", "does not fit in memory"
    elif not in_time:
        status, reason = "late", "takes longer than the limit"
    elif training.cost_usd is None:
        status, reason = "unpriced", basis
    else:
        status, reason = "ok", ""
    return PricedCluster(name, status, reason, point, training, basis)


def _order(row: PricedCluster) -> tuple[int, float]:
    """Return by what clusters are sorted: those that can by their cost, then the others as they are."""
    if row.status == "ok" and row.training is not None and row.training.cost_usd is not None:
        return 0, row.training.cost_usd
    return 1 + ("unpriced", "late", "unfit", "refused").index(row.status), 0.0


def _nearest(rows: Sequence[PricedCluster]) -> str | None:
    """Return the cluster that comes nearest where none can: the soonest of those that are late, or the leanest."""
    for status in ("unpriced", "late", "unfit"):
        found = [row for row in rows if row.status == status and row.point and row.training]
        if found:
            by_memory = status == "unfit"
            return min(found, key=lambda row: _lack(row, by_memory)).cluster
    return None


def _lack(row: PricedCluster, by_memory: bool) -> float:
    assert row.point is not None
    assert row.training is not None
    return row.point.peak_bytes / (row.point.capacity_bytes or 1) if by_memory else row.training.time_s
