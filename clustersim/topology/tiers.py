"""Tiers of a fabric: how far its nodes are from the GPUs, and what joins one tier to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustersim.topology.cluster import Cluster
from clustersim.topology.link_table import LinkTable, Numbers

GPU_TIER = 0
_HOST_TIERS = 1  # GPUs, and what they are on: NICs, switches and sockets
_UNREACHED = -1
_OTHER = "other"


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """Nodes of one kind in one tier: hops to the nearest GPU, every link taken both ways; None: none can be reached."""

    kind: str
    tier: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Tiers:
    """Where each node of a cluster stands.

    Parameters
    ----------
    groups
        From the GPUs upwards, in a tier by first appearance of their kinds; last what no GPU is joined to.
    group_of
        Group of each node, a position in `groups`.
    tier
        Tier of each node, of those that no GPU is joined to the number of nodes.
    """

    groups: tuple[NodeGroup, ...]
    group_of: Numbers
    tier: Numbers


@dataclass(frozen=True, slots=True)
class NodeKind:
    """Nodes of one kind in one tier, and the bandwidth of that one of them which is most oversubscribed.

    Parameters
    ----------
    tier
        Hops to the nearest GPU; None: no GPU can be reached.
    fewest_ports, most_ports
        Neighbours of the node that has the fewest, or the most.
    below_bytes_per_s
        Bandwidth of all links from lower tiers into the node; None: unlimited. [bytes/s]
    above_bytes_per_s
        Bandwidth of all its links to higher tiers. [bytes/s]
    beside_bytes_per_s
        Bandwidth of all its links within its tier. [bytes/s]
    """

    kind: str
    tier: int | None
    count: int
    fewest_ports: int
    most_ports: int
    below_bytes_per_s: Fraction | None
    above_bytes_per_s: Fraction | None
    beside_bytes_per_s: Fraction | None
    first: str
    second: str | None
    last: str

    @property
    def oversubscription(self) -> Fraction | None:
        """Bandwidth below over bandwidth above; None for GPUs, at the top, and where either is unlimited."""
        if not self.below_bytes_per_s or not self.above_bytes_per_s:
            return None
        return self.below_bytes_per_s / self.above_bytes_per_s


@dataclass(frozen=True, slots=True)
class Island:
    """GPUs joined below the first tier of the network, with what else is there: a node, or an NVLink domain."""

    name: str
    num_hosts: int
    nodes: Mapping[str, int]  # how many of each kind


@dataclass(frozen=True, slots=True)
class Islands:
    """All islands: how many, their kinds as (count, the first of them), and the first two and the last by name."""

    count: int
    kinds: tuple[tuple[int, Island], ...]
    shown: tuple[str, ...]


def tiers_of(cluster: Cluster, table: LinkTable | None) -> Tiers:
    """Return the tier of each node; None stands for the links of a full mesh, which has but GPUs."""
    names = [str(attributes.get("kind", _OTHER)) for attributes in cluster.nodes.values()]
    gpu_kind = np.array([name == "gpu" for name in names], dtype=np.bool_)
    tier = np.where(gpu_kind, GPU_TIER, _UNREACHED)
    reached = GPU_TIER
    while table is not None:
        ends = ((table.source, table.target), (table.target, table.source))
        found = [there[(tier[here] == reached) & (tier[there] == _UNREACHED)] for here, there in ends]
        if not sum(map(len, found)):
            break
        reached += 1
        tier[np.concatenate(found)] = reached
    tier[tier == _UNREACHED] = len(names)
    number_by_kind = {name: number for number, name in enumerate(dict.fromkeys(names))}
    kinds = np.array([number_by_kind[name] for name in names], dtype=np.int64)
    keys, group_of = np.unique(tier * len(number_by_kind) + kinds, return_inverse=True)
    kind_by_number = tuple(number_by_kind)
    groups = []
    for key in keys.tolist():
        level, kind = divmod(key, len(number_by_kind))
        groups.append(NodeGroup(kind_by_number[kind], None if level == len(names) else level))
    return Tiers(tuple(groups), group_of, tier)


def node_kinds(cluster: Cluster, table: LinkTable | None, tiers: Tiers) -> tuple[NodeKind, ...]:
    """Return the nodes of a cluster by tier and kind, from the GPUs upwards."""
    nodes = tuple(cluster.nodes)
    if table is None:
        return (_of_mesh(cluster),)
    steps = np.sign(tiers.tier[table.target] - tiers.tier[table.source])
    sums = (
        _Sums(table, table.target, steps > 0),
        _Sums(table, table.source, steps > 0),
        _Sums(table, table.source, steps == 0),
    )
    ports = _ports(cluster, table)
    found = []
    for number, group in enumerate(tiers.groups):
        members = np.flatnonzero(tiers.group_of == number)
        worst = _most_oversubscribed(members, *sums[:2])
        below, above, beside = (summed.of(worst) for summed in sums)
        found.append(
            NodeKind(
                group.kind,
                group.tier,
                len(members),
                int(ports[members].min()),
                int(ports[members].max()),
                below,
                above,
                beside,
                *_shown([nodes[member] for member in (*members[:2], *members[2:][-1:])]),
            )
        )
    return tuple(found)


def _of_mesh(cluster: Cluster) -> NodeKind:
    num_ports, none = len(cluster.gpus) - 1, Fraction(0)
    bandwidth = cluster.links[0].bandwidth_bytes_per_s if num_ports else none
    beside = None if bandwidth is None else num_ports * bandwidth
    return NodeKind("gpu", GPU_TIER, len(cluster.gpus), num_ports, num_ports, none, none, beside, *_shown(cluster.gpus))


def _ports(cluster: Cluster, table: LinkTable) -> Numbers:
    """Return the number of neighbours of each node, links taken both ways."""
    num_nodes = len(table.nodes)
    if not cluster.directed:
        return np.bincount(table.source, minlength=num_nodes)
    ends = (table.source * num_nodes + table.target, table.target * num_nodes + table.source)
    return np.bincount(np.unique(np.concatenate(ends)) // num_nodes, minlength=num_nodes)


def _shown(names: Sequence[str]) -> tuple[str, str | None, str]:
    return names[0], names[1] if len(names) > 1 else None, names[-1]


class _Sums:
    """Bandwidth of some links, added up by node."""

    def __init__(self, table: LinkTable, node: Numbers, counted: NDArray[np.bool_]) -> None:
        self._denominator = table.denominator
        capacities = table.capacities
        self.total: NDArray[Any] = np.zeros(len(table.nodes), dtype=capacities.dtype)
        np.add.at(self.total, node[counted], capacities[table.make[counted]])
        self.is_unlimited = np.zeros(len(table.nodes), dtype=np.bool_)
        self.is_unlimited[node[counted & table.is_unlimited[table.make]]] = True

    def of(self, node: int) -> Fraction | None:
        return None if self.is_unlimited[node] else Fraction(int(self.total[node]), self._denominator)


def _most_oversubscribed(members: Numbers, below: _Sums, above: _Sums) -> int:
    """Return the node with the largest ratio; of equal ones, or where none has any, the first."""
    known = members[~(below.is_unlimited[members] | above.is_unlimited[members])]
    known = known[above.total[known] > 0]
    if not len(known):
        return int(members[0])
    return int(known[np.argmax(below.total[known].astype(float) / above.total[known].astype(float))])


def components(table: LinkTable, counted: NDArray[np.bool_] | None = None) -> Numbers:
    """Return a number for each node, the same for two that links (or the `counted` ones) join, taken both ways.

    Each round gives both ends of a link the smaller number, then follows numbers to their roots; the rounds grow with
    the logarithm of the longest path and not with its length.
    """
    source, target = (table.source, table.target) if counted is None else (table.source[counted], table.target[counted])
    root = np.arange(len(table.nodes))
    while True:
        ends = root[source], root[target]
        if (ends[0] == ends[1]).all():
            return root
        smaller = np.minimum(*ends)
        for end in ends:
            np.minimum.at(root, end, smaller)
        while (root[root] != root).any():
            root = root[root]


def host_names(cluster: Cluster) -> list[str]:
    """Return the host of each GPU, by GPU number; a GPU whose host the topology does not name is its own."""
    return [str(cluster.nodes[gpu].get("host", gpu)) for gpu in cluster.gpus]


def islands(cluster: Cluster, table: LinkTable | None, tiers: Tiers) -> Islands:
    """Return what the network joins: components of GPUs, and of what they are on, without all higher tiers."""
    is_low = tiers.tier <= _HOST_TIERS
    if table is None:
        in_island = np.zeros(len(cluster.nodes), dtype=np.int64)
    else:
        in_island = components(table, is_low[table.source] & is_low[table.target])
    low = np.flatnonzero(is_low)
    keys, counts = np.unique(in_island[low] * len(tiers.groups) + tiers.group_of[low], return_counts=True)
    kinds_by_root: dict[int, dict[str, int]] = {}
    for key, number_of in zip(keys.tolist(), counts.tolist(), strict=True):
        root, group = divmod(key, len(tiers.groups))
        kinds_by_root.setdefault(root, {})[tiers.groups[group].kind] = number_of
    root_of = dict(zip(cluster.nodes, in_island.tolist(), strict=True))
    hosts_by_root: dict[int, dict[str, None]] = {}
    for gpu, host in zip(cluster.gpus, host_names(cluster), strict=True):
        hosts_by_root.setdefault(root_of[gpu], {})[host] = None
    prefixes = _prefixes(cluster, root_of)
    found = [
        Island(_name(list(hosts), prefixes.get(root)), len(hosts), kinds_by_root[root])
        for root, hosts in hosts_by_root.items()
    ]
    shown = (*found[:2], *found[2:][-1:])
    return Islands(len(found), _by_kind(found), tuple(island.name for island in shown))


def _prefixes(cluster: Cluster, root_of: Mapping[str, int]) -> dict[int, str]:
    """Return what the parts of an island have before a slash, such as the domain of ``domain0/switch``."""
    parts = (node for node, given in cluster.nodes.items() if "/" in node and given.get("kind") not in ("gpu", "nic"))
    return {root_of[part]: part.partition("/")[0] for part in parts}


def _name(hosts: list[str], prefix: str | None) -> str:
    if len(hosts) == 1:
        return hosts[0]
    return prefix or f"{hosts[0]} to {hosts[-1]}"


def _by_kind(found: list[Island]) -> tuple[tuple[int, Island], ...]:
    kinds: dict[object, list[Island]] = {}
    for island in found:
        kinds.setdefault((island.num_hosts, tuple(island.nodes.items())), []).append(island)
    return tuple((len(alike), alike[0]) for alike in kinds.values())
