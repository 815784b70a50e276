"""Diameters: those of all pairs, though large clusters have few pairs compared."""

from __future__ import annotations

from itertools import product
from typing import Any

import networkx as nx
import pytest
from pydantic import TypeAdapter
from test_routes import SMALL

from clustersim.scenario.fabrics import Topology
from clustersim.topology import Cluster, build_cluster, farthest
from clustersim.topology.farthest import Diameter, diameter

ADAPTER: TypeAdapter[Topology] = TypeAdapter(Topology)
LINKS = {"scaleup": {"latency": "300 ns"}, "nic": {"latency": "1 us"}}
SLOW_NIC = {"match": "node3-5", "nic": {"latency": "4 us"}}
SLOW_SCALEUP = {"match": "node[1,7]", "scaleup": {"latency": "9 us"}}


def hosted(fabric: str, nodes: int, gpus_per_node: int, nics_per_node: int, **more: Any) -> dict[str, Any]:
    sizes = {"nodes": nodes, "gpus_per_node": gpus_per_node, "nics_per_node": nics_per_node}
    return {"fabric": fabric} | sizes | LINKS | more


DRAGONFLY = {"nics_per_router": 2, "routers_per_group": 3, "global_links_per_router": 2}
MEDIUM = {
    "ring": {"fabric": "ring", "gpus": 15, "link": {"latency": "1 us"}},
    "torus": {"fabric": "torus", "dims": [3, 4, 5], "link": {"latency": "1 us"}},
    "open torus": {"fabric": "torus", "dims": [5, 1, 6], "wraparound": False},
    "large node of a ring": {"fabric": "single-node", "gpus": 37, "layout": "nvlink-ring", "scaleup": {}},
    "large node of two sockets": hosted("leaf-spine", 2, 20, 1, layout="pcie", socket_link={"latency": "1 us"}),
    "leaves": hosted("leaf-spine", 13, 4, 3, nodes_per_leaf=3),
    "fat tree": hosted("fat-tree", 20, 3, 3, radix=8),
    "nodes across leaves": hosted("fat-tree", 30, 3, 3, radix=8, hosts=[SLOW_NIC]),
    "nodes that differ": hosted("fat-tree", 21, 2, 2, radix=8, hosts=[SLOW_NIC, SLOW_SCALEUP]),
    "rails": hosted("rail-fat-tree", 18, 4, 4, radix=8, cross_rail="scaleup", hosts=[SLOW_SCALEUP]),
    "rails by the spine": hosted("rail-fat-tree", 18, 4, 2, radix=8),
    "domains": hosted("nvl-domain", 19, 2, 2, radix=8, nodes_per_domain=4, hosts=[SLOW_NIC, SLOW_SCALEUP]),
    "one domain": hosted("nvl-domain", 4, 2, 2, nodes_per_domain=8),
    "groups": hosted("dragonfly", 40, 1, 1, **DRAGONFLY),
    "groups of nodes in rings": hosted("dragonfly", 6, 12, 1, layout="nvlink-ring", **DRAGONFLY),
    "groups with a link a router": hosted("dragonfly", 10, 2, 1, **(DRAGONFLY | {"global_links_per_router": 4})),
}


def of_all_pairs(cluster: Cluster) -> tuple[int, int]:
    numbers = range(len(cluster.gpus))
    routes = [cluster.route(*pair) for pair in product(numbers, numbers)]
    return max(map(len, routes)), max(sum(cluster.links[link].latency_ps for link in route) for route in routes)


def check_ends(cluster: Cluster, found: Diameter) -> None:
    assert len(cluster.route(*found.farthest)) == found.num_links
    assert sum(cluster.links[link].latency_ps for link in cluster.route(*found.slowest)) == found.latency_ps


@pytest.mark.parametrize("topology", SMALL.values(), ids=SMALL.keys())
def test_small_clusters_have_all_pairs_compared(topology: Topology) -> None:
    cluster = build_cluster(topology)
    found = diameter(cluster, topology)
    if found is None:
        assert len(cluster.gpus) == 1
        return
    assert found.is_exact
    assert (found.num_links, found.latency_ps) == of_all_pairs(cluster)
    check_ends(cluster, found)
    hops = dict(nx.all_pairs_shortest_path_length(cluster.graph))
    shortest = max(hops[source][target] for source in cluster.gpus for target in cluster.gpus)
    if topology.fabric in ("ring", "torus", "full-mesh", "single-node", "graph"):
        assert found.num_links == shortest
    else:
        assert found.num_links >= shortest  # messages in a node leave out NICs, and some change rails first


EVERY = {f"small {name}": topology for name, topology in SMALL.items() if topology.fabric != "graph"} | {
    name: ADAPTER.validate_python(mapping) for name, mapping in MEDIUM.items()
}


@pytest.mark.parametrize("topology", EVERY.values(), ids=EVERY.keys())
def test_a_farthest_pair_is_among_those_compared(topology: Topology, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farthest, "ALL_PAIRS_GPUS", 0)
    cluster = build_cluster(topology)
    found = diameter(cluster, topology)
    if found is None:
        assert len(cluster.gpus) == 1
        return
    check_ends(cluster, found)
    num_links, latency_ps = of_all_pairs(cluster)
    assert found.num_links <= num_links
    if found.is_exact:
        assert (found.num_links, found.latency_ps) == (num_links, latency_ps)
    else:
        assert topology.fabric in ("rail-fat-tree", "dragonfly")


def test_graphs_are_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = build_cluster(SMALL["graph"])
    monkeypatch.setattr(farthest, "ALL_PAIRS_GPUS", 0)
    found = diameter(cluster, SMALL["graph"])
    assert found is not None
    assert (found.num_links, found.latency_ps, found.is_exact) == (4, 2_000_000, False)
