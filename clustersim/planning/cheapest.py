"""The cheapest cluster of a list on which a model is trained on so many tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from clustersim.errors import ClustersimError, Fault, InvariantError, ScenarioError
from clustersim.planning.assumptions import assumptions_of
from clustersim.planning.fewest import fewest_gpus, limit_faults
from clustersim.planning.point import Point, Refused, Runner, Training, point_of, scenario_of, training_of
from clustersim.planning.variant import reason_of
from clustersim.result import plain_values
from clustersim.scenario.document import READERS
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
    scenario: Scenario | str | FilePath,
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
        Names of topologies, or paths from the current folder.
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
        No clusters, no model, no tokens, or a time that is none. What is wrong with one cluster is told in its row.
    """
    scenario, runner = scenario_of(scenario), runner or Runner()
    if faults := list(_faults(scenario, clusters, tokens, limit_s, most_gpus)):
        raise ScenarioError(faults)
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
        assumptions_of(scenario, runner),
    )


def _faults(
    scenario: Scenario, clusters: Sequence[str], tokens: int, limit_s: float | None, most_gpus: int | None
) -> Iterator[Fault]:
    if scenario.model is None:
        yield Fault("model", "the scenario gives the costs of its stages; tokens need a `model`")
    if not clusters:
        yield Fault("clusters", "got none; names or paths of topologies")
    if tokens <= 0:
        yield Fault("tokens", f"got {tokens}; allowed: above 0")
    if limit_s is not None:
        yield from limit_faults(limit_s)
    elif most_gpus is not None:
        gpus = scenario.parallelism.num_gpus
        what = f"got at most {most_gpus}, but no time that it may take: each cluster then has the scenario's {gpus}"
        yield Fault("cluster.gpus", what, hint="say by when, or leave it out")


def _priced(
    scenario: Scenario, name: str, tokens: int, limit_s: float | None, most_gpus: int | None, runner: Runner
) -> PricedCluster:
    gpus = scenario.parallelism.num_gpus
    try:
        # a file is found from the current folder, not from the scenario's
        topology = str(FilePath(name).absolute()) if FilePath(name).suffix.lower() in READERS else name
        on_it = vary(scenario, {"cluster.topology": topology, "cluster.gpus": gpus})
        if limit_s is not None:
            return _sized(on_it, name, tokens, limit_s, most_gpus, runner)
        found = point_of(on_it, runner)
    except InvariantError:
        raise
    except ClustersimError as error:
        return PricedCluster(name, "refused", reason_of(error), None, None, "")
    if isinstance(found, Refused):
        return PricedCluster(name, "refused", found.reason, None, None, "")
    return _row(name, found.point, training_of(found, tokens), True, found.rates.price_basis)


def _sized(
    scenario: Scenario, name: str, tokens: int, limit_s: float, most_gpus: int | None, runner: Runner
) -> PricedCluster:
    """Return a cluster with the fewest GPUs that meet the limit, or those that come nearest."""
    found = fewest_gpus(scenario, tokens, limit_s, most_gpus, runner=runner)
    best = found.answer or found.nearest
    if best is None:
        reason = found.refused[0].reason if found.refused else "every number of GPUs is too small"
        return PricedCluster(name, "late" if not found.refused else "refused", reason, None, None, "")
    return _row(name, best.point, best.training, best.in_time, best.price_basis)


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
