"""Plans of many groups: made once for groups that lie alike on the fabric, and laid on the links of each.

Two groups lie alike if their members are on hosts in the same way, and all that their algorithms send takes routes over
links of the same kinds, which meet in the same places. What a plan says of times and bytes then holds for both; its
links are those that stand in the same places on the routes of the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustersim.collectives.members import Stream
from clustersim.ops import CollectivePlan, Phase
from clustersim.topology.cluster import Cluster, Ints
from clustersim.topology.link_roles import link_kinds
from clustersim.workload.group_plan import GroupPlanner, domain_of

Kind = tuple[str, int, int]  # operation, size [bytes], repeats
Plans = dict[Kind, CollectivePlan]
Flags = NDArray[np.bool_]


def plans_of_groups(
    groups: Sequence[tuple[int, ...]], kinds: Sequence[tuple[Kind, ...]], cluster: Cluster
) -> list[Plans]:
    """Return the plans of each group for each kind of collective that it does, in training.

    Parameters
    ----------
    groups
        The GPUs of each group.
    kinds
        What each group does.
    cluster
        Where the GPUs are.

    Raises
    ------
    UnroutableError
        Two GPUs of a group have no path between them.
    """
    domain_by_gpu = _domains(groups, cluster)
    alike: dict[object, list[int]] = {}
    for number, (gpus, own) in enumerate(zip(groups, kinds, strict=True)):
        alike.setdefault((own, _pattern([domain_by_gpu[gpu] for gpu in gpus])), []).append(number)
    plans: list[Plans] = [{} for _ in groups]
    for waiting in alike.values():
        while waiting:  # the first of them is the model of those that lie like it
            model = _Model(groups[waiting[0]], kinds[waiting[0]], cluster)
            found = model.laid_on(np.array([groups[number] for number in waiting], dtype=np.int64))
            for number, own_plans in zip(waiting, found, strict=True):
                plans[number] = own_plans or {}
            waiting = [number for number, own_plans in zip(waiting, found, strict=True) if own_plans is None]
    return plans


def _domains(groups: Sequence[tuple[int, ...]], cluster: Cluster) -> dict[int, object]:
    """Return the scale-up domain of each GPU of any group."""
    return {gpu: domain_of(gpu, cluster) for gpu in {gpu: None for gpus in groups for gpu in gpus}}


def _pattern(domains: Sequence[object]) -> tuple[object, ...]:
    """Return which members share a domain, and which have none but themselves."""
    first: dict[object, int] = {}
    return tuple([(first.setdefault(domain, len(first)), isinstance(domain, int)) for domain in domains])


@dataclass(frozen=True, slots=True)
class _Columns:
    """The routes of one group's streams, and where each phase finds its links on them."""

    streams: Ints  # source and target, as members
    places: dict[int, Ints]  # by the links of a phase (their identity): where each is on all routes together


class _Model:
    """The plans of one group, from which those of others that lie like it follow."""

    def __init__(self, gpus: tuple[int, ...], kinds: Sequence[Kind], cluster: Cluster) -> None:
        self.cluster = cluster
        planner = GroupPlanner(gpus, cluster, in_training=True)
        self.plans = {
            (operation, size_bytes, repeats): planner.plan(operation, size_bytes).repeated(repeats)
            for operation, size_bytes, repeats in kinds
        }
        self._columns = self._on_routes(planner, planner.probes)

    def _on_routes(self, planner: GroupPlanner, probes: list[Stream] | None) -> _Columns | None:
        """Return what the planner looked at: routes that tell how hosts are wired, and those of all streams."""
        if probes is None:
            return None
        routed = planner.routed_streams
        streams = np.array([*probes, *(stream for _, own in routed for stream in own)], dtype=np.int64).reshape(-1, 2)
        crossed, lengths = self.cluster.routes(*np.array(planner.gpus, dtype=np.int64)[streams].T)
        first = np.concatenate([[0], np.cumsum(lengths)])
        begin, places = len(probes), dict[int, Ints]()
        for links, own in routed:
            on_way = crossed[first[begin] : first[begin + len(own)]].tolist()
            place = {link: int(first[begin]) + place for place, link in reversed(list(enumerate(on_way)))}
            places[id(links)] = np.array([place[link] for link in links], dtype=np.int64)
            begin += len(own)
        return _Columns(streams, places)

    def laid_on(self, groups: Ints) -> list[Plans | None]:
        """Return the plans of groups, a row each, the first the model's own; None for those that lie otherwise."""
        found: list[Plans | None] = [self.plans, *[None] * (len(groups) - 1)]
        if self._columns is None or len(groups) == 1:
            return found
        ends = groups[:, self._columns.streams]
        links, lengths = self.cluster.routes(ends[:, :, 0].ravel(), ends[:, :, 1].ravel())
        of_group = lengths.reshape(len(groups), -1)
        numbers = np.flatnonzero((of_group == of_group[0]).all(axis=1))
        kept = np.isin(np.repeat(np.arange(len(groups)), of_group.sum(axis=1)), numbers)
        rows = links[kept].reshape(len(numbers), -1)
        is_alike = _are_alike(rows, link_kinds(self.cluster, rows.ravel()).reshape(rows.shape))
        used = {id(phase.links) for plan in self.plans.values() for phase in plan.phases}
        tables = {key: rows[:, place].tolist() for key, place in self._columns.places.items() if key in used}
        for row in np.flatnonzero(is_alike)[1:].tolist():
            laid = {key: tuple(table[row]) for key, table in tables.items()}
            found[numbers[row]] = {kind: _laid(plan, laid) for kind, plan in self.plans.items()}
        return found


def _are_alike(rows: Ints, kinds: Ints) -> Flags:
    """Return which rows of links are like the first: of the same kinds, and equal to one another in the same places."""
    _, first, which = np.unique(rows[0], return_index=True, return_inverse=True)
    in_order = np.sort(rows, axis=1)
    num_different = 1 + (in_order[:, 1:] != in_order[:, :-1]).sum(axis=1)
    repeats = (rows == rows[:, first[which.reshape(-1)]]).all(axis=1) & (num_different == len(first))
    is_alike: Flags = repeats & (kinds == kinds[0]).all(axis=1)
    return is_alike


def _laid(plan: CollectivePlan, links: Mapping[int, tuple[int, ...]]) -> CollectivePlan:
    phases = tuple(
        [Phase(links[id(phase.links)], phase.streams, phase.volume_bytes, phase.latency_ps) for phase in plan.phases]
    )
    return CollectivePlan(plan.operation, plan.algorithm, plan.size_bytes, phases)
