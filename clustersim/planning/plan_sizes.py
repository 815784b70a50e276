"""On which clusters, and on how many of their GPUs, a plan looks for layouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clustersim.errors import Fault, ScenarioError
from clustersim.scenario.faults import fault_of
from clustersim.scenario.findings import Finding
from clustersim.scenario.load import Draft
from clustersim.scenario.node import Path
from clustersim.scenario.parallelism import MAX_GPUS
from clustersim.scenario.plan import Objective, PlanSpec
from clustersim.scenario.spec import Scenario

_SEED = {"parallelism": {}, "schedule": "1f1b", "batch.micro_batch_size": 1, "cluster.gpus": 1, "steps": 1}
_OWN: Path = ("cluster", "gpus")


@dataclass(frozen=True, slots=True)
class Pool:
    """One cluster to choose from."""

    scenario: Scenario  # on one GPU of it
    values: Mapping[str, Any]  # by which it differs from the draft, by dotted key
    num_gpus: int  # that may be used: as many as are asked for, or all that it has

    @property
    def name(self) -> str:
        """What its topology is called."""
        return self.scenario.loaded_from.topology_name if self.scenario.loaded_from else ""


def seed_of(draft: Draft) -> Scenario:
    """Return the scenario on one GPU of the draft's cluster; of the first that its plan chooses from, if it has none.

    Raises
    ------
    ScenarioError
        What the draft says has mistakes, told where they stand.
    """
    clusters, values, where = draft.value("plan.clusters"), {}, _OWN[:1]
    if draft.value("cluster.topology") is None and isinstance(clusters, tuple) and clusters:
        first = clusters[0]
        values = {"cluster.topology": first.get("topology") if isinstance(first, dict) else first}
        where = ("plan", "clusters", 0)
    return _seeded_at(draft, values, where)


def pools_of(draft: Draft, own: Scenario) -> list[Pool]:
    """Return the clusters that a draft has to choose from.

    Raises
    ------
    ScenarioError
        There is no such cluster, or it can't have as many GPUs as are asked for.
    """
    clusters = None if own.plan is None else own.plan.clusters
    if clusters is None:
        return [Pool(own, {}, _num_gpus(draft, {}, draft.value("cluster.gpus"), _OWN))]
    pools = []
    for index, cluster in enumerate(clusters):
        values = {"cluster.topology": cluster.topology}
        where: Path = ("plan", "clusters", index)
        scenario = _seeded_at(draft, values, where)
        pools.append(Pool(scenario, values, _num_gpus(draft, values, cluster.gpus, (*where, "gpus"))))
    return pools


def numbers_of_gpus(spec: PlanSpec, pool: Pool, objective: Objective) -> list[int]:
    """Return on how many GPUs of a cluster layouts are looked for.

    All of them give the shortest step. What is cheapest, or keeps to a budget, may take fewer: halves are then looked
    at, too, unless the plan says which numbers.
    """
    limits, whole = spec.limits, pool.num_gpus
    most = min(whole, limits.gpus or whole)
    if spec.gpus is not None:
        there = [number for number in dict.fromkeys(spec.gpus) if number <= whole]
        return [number for number in there if number <= most] or there
    if objective == "step-time" and not any((limits.budget, limits.energy, limits.gpus)):
        return [most]
    halves = {*_halves(most), *(number for number in _halves(whole) if number <= most)}
    return sorted(halves, reverse=True)


def require_numbers_there(draft: Draft, spec: PlanSpec, pools: Sequence[Pool]) -> None:
    """Refuse numbers of GPUs that no cluster has."""
    largest = max(pools, key=lambda pool: pool.num_gpus)
    what = f"{largest.name} has {largest.num_gpus}, as `cluster.gpus` or `plan.clusters` or its topology says"
    faults = [
        fault_of(
            Finding(("plan", "gpus", index), f"got {number}; {what}", "give fewer, or more to choose from"), draft.root
        )
        for index, number in enumerate(spec.gpus or ())
        if number > largest.num_gpus
    ]
    if faults:
        raise ScenarioError(faults)


def _halves(number: int) -> list[int]:
    """Return a number, and its halves as long as they are whole.

    Examples
    --------
    >>> _halves(12)
    [12, 6, 3]
    """
    return [number, *_halves(number // 2)] if number % 2 == 0 else [number]


def _seeded(draft: Draft, values: Mapping[str, Any]) -> Scenario:
    """Return the scenario on one GPU, which every model can be laid out for, whatever it says of its own layout."""
    return draft.scenario(_seed(draft, values))


def _seeded_at(draft: Draft, values: Mapping[str, Any], where: Path) -> Scenario:
    """Return the scenario on one GPU of the cluster that stands at `where`, and tell its mistakes there."""
    try:
        return _seeded(draft, values)
    except ScenarioError as error:
        raise ScenarioError(list(dict.fromkeys(_retold(fault, where, draft) for fault in error.faults))) from None


def _seed(draft: Draft, values: Mapping[str, Any]) -> dict[str, Any]:
    return {**_SEED, "training.recompute": draft.value("training.recompute"), **values}


def _num_gpus(draft: Draft, values: Mapping[str, Any], asked: object, where: Path) -> int:
    """Return the GPUs of a cluster that may be used; what is asked for is checked as in any scenario."""
    if asked is not None:
        faults = _faults_of(draft, values, asked, where)
        if faults:
            raise ScenarioError(faults)
        assert isinstance(asked, int)
        return asked
    num_there = _seeded(draft, {**values, "cluster.gpus": None}).cluster.topology.num_gpus
    if num_there is None:
        what = "the topology does not say beforehand how many GPUs it has"
        raise ScenarioError(fault_of(Finding(where, what, "say how many to use"), draft.root))
    return num_there


def _faults_of(draft: Draft, values: Mapping[str, Any], asked: object, where: Path) -> list[Fault]:
    """Return what is wrong with a number of GPUs, each of which is a replica here: whether the batch can be dealt is
    for the layouts to say.
    """
    is_number = type(asked) is int and 0 < asked <= MAX_GPUS
    seed = _seed(draft, values) | {"parallelism": {"dp": asked if is_number else 1}, "cluster.gpus": asked}
    if where == _OWN:
        del seed["cluster.gpus"]  # with its place in the file
    try:
        draft.scenario(seed)
    except ScenarioError as error:
        found = [fault for fault in error.faults if fault.where == "cluster.gpus"]
        return found if where == _OWN else [_retold(fault, where[:-1], draft) for fault in found]
    return []


def _retold(fault: Fault, where: Path, draft: Draft) -> Fault:
    """Return a fault of ``cluster`` as one of the cluster that stands at `where`; any other as it is."""
    section, *steps = fault.where.split(".")
    return fault if section != "cluster" else fault_of(Finding((*where, *steps), fault.what, fault.hint), draft.root)
