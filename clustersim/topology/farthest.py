"""Diameter: the two GPUs whose route has the most links, and the two whose route has the largest latency."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from clustersim.scenario.fabrics import Dragonfly, Fabric, FullMesh, HostedFabric, RailFabric, Ring, SingleNode, Torus
from clustersim.topology.cluster import Cluster

Pair = tuple[int, int]

# Up to so many GPUs all pairs are compared, which takes less than half a second.
ALL_PAIRS_GPUS = 200
_MAX_PAIRS = 40_000
_FEW_GPUS = 16
_MAX_ROUTERS = 64
_SWEEPS = 4


@dataclass(frozen=True, slots=True)
class Diameter:
    """The longest routes between any two GPUs, as the cluster routes.

    Parameters
    ----------
    num_links
        Links of the route with the most of them; `farthest` are its GPUs, source first.
    latency_ps
        Sum of latencies of the route where that is largest; `slowest` are its GPUs. [ps]
    is_exact
        Whether no route is longer; False: the longest of those that were compared.
    """

    num_links: int
    farthest: Pair
    latency_ps: int
    slowest: Pair
    is_exact: bool


def diameter(cluster: Cluster, fabric: Fabric) -> Diameter | None:
    """Return the diameter of a cluster over pairs of GPUs that have a route; None if no two have one.

    Small clusters have all pairs compared. In larger ones, families of a regular structure have pairs compared among
    which that structure puts a farthest one, and graphs a sample: from one end to a farthest GPU, and on from there.
    """
    if len(cluster.gpus) <= ALL_PAIRS_GPUS:
        numbers = range(len(cluster.gpus))
        return _longest(cluster, product(numbers, numbers), is_exact=True)
    chosen = representatives(cluster, fabric)
    if chosen is None:
        return _by_sweeps(cluster)
    sets, is_exact = chosen
    return _longest(cluster, (pair for gpus in sets for pair in product(gpus, gpus)), is_exact)


def _longest(cluster: Cluster, pairs: Iterable[Pair], is_exact: bool) -> Diameter | None:
    """Return the longest routes of `pairs`; of equal ones the first."""
    latencies: dict[int, int] = {}
    num_links, latency_ps, farthest, slowest = -1, -1, (0, 0), (0, 0)
    for source, destination in pairs:
        if source == destination:
            continue
        # Not by Cluster.route, which would keep every route that is asked for.
        route = cluster.router(source, destination)
        if route is None:
            continue
        for link in route:
            if link not in latencies:
                latencies[link] = cluster.links[link].latency_ps
        total_ps = sum(latencies[link] for link in route)
        if len(route) > num_links:
            num_links, farthest = len(route), (source, destination)
        if total_ps > latency_ps:
            latency_ps, slowest = total_ps, (source, destination)
    return None if num_links < 0 else Diameter(num_links, farthest, latency_ps, slowest, is_exact)


def _by_sweeps(cluster: Cluster) -> Diameter | None:
    step = -(-len(cluster.gpus) // (_MAX_PAIRS // _SWEEPS))
    sampled = range(0, len(cluster.gpus), step)
    destination, found = 0, None
    for _ in range(_SWEEPS):
        swept = _longest(cluster, ((gpu, destination) for gpu in sampled), is_exact=False)
        if swept is None:
            break
        if found is None or (swept.num_links, swept.latency_ps) > (found.num_links, found.latency_ps):
            found = swept
        destination = swept.farthest[0]
    return found


def representatives(cluster: Cluster, fabric: Fabric) -> tuple[list[list[int]], bool] | None:
    """Return sets of GPUs, a farthest pair of the cluster among those of one set, and whether that is sure.

    None for a graph, of whose structure nothing is known.
    """
    last = len(cluster.gpus) - 1
    if isinstance(fabric, FullMesh):
        return [[0, last]], True
    if isinstance(fabric, Ring):
        return [[0, (last + 1) // 2]], True
    if isinstance(fabric, Torus):
        return [[0, _opposite(fabric)]], True
    if isinstance(fabric, SingleNode):
        return [_of_a_node(fabric.gpus)], True
    if isinstance(fabric, Dragonfly):
        return _of_dragonfly(fabric)
    if isinstance(fabric, HostedFabric):
        return _of_tree(fabric)
    return None


def _opposite(torus: Torus) -> int:
    """Return the GPU that is farthest from GPU 0: half way round every ring, or at the end of every open line."""
    gpu = 0
    for size in torus.dims:
        gpu = gpu * size + (size // 2 if torus.wraparound else size - 1)
    return gpu


def _of_a_node(num_gpus: int) -> list[int]:
    """Return places in a node: all, or of many the ends and both sides of the middle, where rings are longest."""
    if num_gpus <= _FEW_GPUS:
        return list(range(num_gpus))
    return [0, 1, num_gpus // 2 - 1, num_gpus // 2, num_gpus - 1]


def _of_tree(fabric: HostedFabric) -> tuple[list[list[int]], bool]:
    """Return GPUs of the first and the last node of each make of node.

    Ports of a tree are numbered so that nodes that share a leaf, a pod or a domain follow one another: if the first
    node of one make and the last of another share it, so do all between. With several NICs to choose from by hash, or
    too many makes, the farthest pair may be missed.
    """
    ends: dict[object, list[int]] = {}
    for node in range(fabric.nodes):
        given = fabric.override_by_node.get(node, {})
        ends.setdefault((given.get("scaleup"), given.get("nic")), [node, node])[1] = node
    nodes = sorted({node for made in ends.values() for node in made})
    places = _of_a_node(fabric.gpus_per_node)
    most = max(2, int(_MAX_PAIRS**0.5) // len(places))
    is_sure = len(nodes) <= most and not (
        isinstance(fabric, RailFabric) and fabric.nics_per_node > fabric.gpus_per_node
    )
    kept = [*nodes[: most // 2], *nodes[-(most - most // 2) :]] if len(nodes) > most else nodes
    return [[node * fabric.gpus_per_node + place for node in kept for place in places]], is_sure


def _of_dragonfly(fabric: Dragonfly) -> tuple[list[list[int]], bool]:
    """Return a GPU on each router of the first two groups, and the GPUs of a node.

    Of three groups or more, the first two are full, and the links between any two leave from as many routers: what is
    longest between the first two is so between all. Nodes that differ, NICs chosen by hash and very large groups leave
    it open.
    """
    all_nics = range(0, fabric.nodes * fabric.nics_per_node, fabric.nics_per_router)
    routers = all_nics[: 2 * fabric.routers_per_group]
    halves = (routers[: fabric.routers_per_group], routers[fabric.routers_per_group :])
    on_routers = [_gpu_of(fabric, nic) for half in halves for nic in half[:_MAX_ROUTERS]]
    is_sure = (
        fabric.routers_per_group <= _MAX_ROUTERS
        and not any(given.keys() & {"scaleup", "nic"} for given in fabric.override_by_node.values())
        and fabric.nics_per_node <= fabric.gpus_per_node
    )
    return [on_routers, _of_a_node(fabric.gpus_per_node)], is_sure


def _gpu_of(fabric: HostedFabric, nic: int) -> int:
    """Return the first GPU of a NIC."""
    node, place = divmod(nic, fabric.nics_per_node)
    return node * fabric.gpus_per_node + -(-place * fabric.gpus_per_node // fabric.nics_per_node)
