"""What a fabric is, in numbers: its hosts, nodes, links and tiers, read off the links of any cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from clustersim.scenario.fabrics import Dragonfly, Topology
from clustersim.topology.bisection import Bisection, bisection
from clustersim.topology.cluster import Cluster
from clustersim.topology.farthest import Diameter, diameter
from clustersim.topology.full_mesh import MeshLinks
from clustersim.topology.link_table import LinkTable, Make, link_table
from clustersim.topology.tiers import (
    GPU_TIER,
    Islands,
    NodeGroup,
    NodeKind,
    Tiers,
    components,
    host_names,
    islands,
    node_kinds,
    tiers_of,
)


@dataclass(frozen=True, slots=True)
class HostKind:
    """Hosts that have the same GPUs, and that jobs may use or not."""

    count: int
    gpus_per_host: int
    devices: tuple[str | None, ...]
    is_reserved: bool


@dataclass(frozen=True, slots=True)
class LinkClass:
    """Links of one make between nodes of two kinds.

    Parameters
    ----------
    lower, upper
        Kinds and tiers of the ends, that nearer to the GPUs first; of links that go one way only, the source first.
    count
        Wires, each a link in either direction; links, if they go one way only.
    """

    lower: NodeGroup
    upper: NodeGroup
    make: Make
    count: int
    is_one_way: bool


@dataclass(frozen=True, slots=True)
class FabricFacts:
    """What a fabric is.

    Parameters
    ----------
    hosts
        By first appearance.
    nodes
        By tier and kind, from the GPUs upwards.
    links
        From the GPUs upwards.
    bisection
        None for a single GPU.
    diameter
        None if no two GPUs have a route.
    num_parts
        Sets of GPUs between which there is no path, taking every link both ways; 1 in a connected fabric.
    num_groups
        Groups of a dragonfly; None elsewhere.
    """

    family: str
    hosts: tuple[HostKind, ...]
    devices: Mapping[str | None, int]
    nodes: tuple[NodeKind, ...]
    links: tuple[LinkClass, ...]
    islands: Islands
    bisection: Bisection | None
    diameter: Diameter | None
    num_parts: int
    num_groups: int | None

    @property
    def num_hosts(self) -> int:
        """Number of hosts, reserved ones included."""
        return sum(kind.count for kind in self.hosts)


def fabric_facts(cluster: Cluster, fabric: Topology) -> FabricFacts:
    """Return what a fabric is.

    Parameters
    ----------
    cluster
        The cluster.
    fabric
        The fabric that it was built from.

    Examples
    --------
    >>> from clustersim.scenario.fabrics import SingleNode
    >>> from clustersim.topology import build_cluster
    >>> node = SingleNode(fabric="single-node", gpus=8, scaleup={"bandwidth": "450 GB/s"})
    >>> facts = fabric_facts(build_cluster(node), node)
    >>> [(kind.kind, kind.count) for kind in facts.nodes], float(facts.bisection.bandwidth_bytes_per_s)
    ([('gpu', 8), ('switch', 1)], 1800000000000.0)
    """
    is_mesh = isinstance(cluster.links, MeshLinks)
    table = None if is_mesh else link_table(cluster)
    tiers = tiers_of(cluster, table)
    in_parts = components(table) if table else np.zeros(len(cluster.gpus), dtype=np.int64)
    return FabricFacts(
        family=fabric.fabric,
        hosts=host_kinds(cluster),
        devices=Counter(cluster.devices),
        nodes=node_kinds(cluster, table, tiers),
        links=link_classes(cluster, table, tiers),
        islands=islands(cluster, table, tiers),
        bisection=bisection(cluster, fabric, table, tiers),
        diameter=diameter(cluster, fabric),
        num_parts=len(np.unique(in_parts[tiers.tier == 0])),
        num_groups=fabric.num_groups if isinstance(fabric, Dragonfly) else None,
    )


def host_kinds(cluster: Cluster) -> tuple[HostKind, ...]:
    """Return the kinds of hosts, by first appearance."""
    gpus_by_host: dict[str, list[int]] = {}
    for gpu, host in enumerate(host_names(cluster)):
        gpus_by_host.setdefault(host, []).append(gpu)
    devices = cluster.devices
    reserved = [str(cluster.nodes[gpu].get("reserved", False)).lower() == "true" for gpu in cluster.gpus]
    counts = Counter(
        (len(gpus), tuple(dict.fromkeys(devices[gpu] for gpu in gpus)), any(reserved[gpu] for gpu in gpus))
        for gpus in gpus_by_host.values()
    )
    return tuple(HostKind(count, *kind) for kind, count in counts.items())


def link_classes(cluster: Cluster, table: LinkTable | None, tiers: Tiers) -> tuple[LinkClass, ...]:
    """Return the links by the kinds and tiers of their ends and by their make, from the GPUs upwards."""
    if table is None:
        if not len(cluster.links):
            return ()
        link = cluster.links[0]
        make = Make("", link.bandwidth_bytes_per_s, link.latency_ps)
        gpus = NodeGroup("gpu", GPU_TIER)
        return (LinkClass(gpus, gpus, make, len(cluster.links) // 2, is_one_way=False),)
    num_groups, num_makes = len(tiers.groups), len(table.makes)
    lower, upper = tiers.group_of[table.source], tiers.group_of[table.target]
    keys, counts = np.unique((lower * num_groups + upper) * num_makes + table.make, return_counts=True)
    classes = []
    for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
        pair, make_index = divmod(key, num_makes)
        source, target = divmod(pair, num_groups)
        if not cluster.directed and source > target:
            continue  # the other direction of wires that are counted from their lower end
        num_wires = count if cluster.directed or source != target else count // 2
        ends = tiers.groups[source], tiers.groups[target]
        classes.append(LinkClass(*ends, table.makes[make_index], num_wires, cluster.directed))
    return tuple(classes)
