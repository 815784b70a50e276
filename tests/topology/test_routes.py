"""Routes of every family: joined up, as short as networkx finds them, the same on every machine."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from clustersim.errors import TopologyError
from clustersim.scenario.fabrics import (
    Dragonfly,
    FatTree,
    FullMesh,
    GraphFile,
    HostedFabric,
    LeafSpine,
    LinkSpec,
    NvlDomain,
    RailFatTree,
    Ring,
    SingleNode,
    Topology,
    Torus,
)
from clustersim.topology import FABRICS, Cluster, build_cluster

FAST = LinkSpec(bandwidth="300 GB/s", latency="1 us")
SLOW = LinkSpec(bandwidth="200 Gbps", latency="5 us")
GALLERY = Path(__file__).parents[2] / "topologies"


def leaf_spine(nodes: int, gpus_per_node: int, nics_per_node: int, **more: Any) -> LeafSpine:
    sizes = {"nodes": nodes, "gpus_per_node": gpus_per_node, "nics_per_node": nics_per_node}
    return LeafSpine.model_validate({"fabric": "leaf-spine", "scaleup": FAST, "nic": SLOW} | sizes | more)


def hosted(family: type[Any], fabric: str, nodes: int, gpus_per_node: int, nics_per_node: int, **more: Any) -> Any:
    sizes = {"nodes": nodes, "gpus_per_node": gpus_per_node, "nics_per_node": nics_per_node}
    return family.model_validate({"fabric": fabric, "scaleup": FAST, "nic": SLOW} | sizes | more)


DRAGONFLY = {"nics_per_router": 2, "routers_per_group": 3, "global_links_per_router": 1}

SMALL: dict[str, Topology] = {
    "mesh of 1": FullMesh(fabric="full-mesh", gpus=1),
    "mesh of 2": FullMesh(fabric="full-mesh", gpus=2),
    "mesh of 5": FullMesh(fabric="full-mesh", gpus=5, link=FAST),
    "ring of 1": Ring(fabric="ring", gpus=1),
    "ring of 2": Ring(fabric="ring", gpus=2),
    "ring of 3": Ring(fabric="ring", gpus=3),
    "ring of 8": Ring(fabric="ring", gpus=8, link=SLOW),
    "node of 4": SingleNode(fabric="single-node", gpus=4, scaleup=FAST),
    "one leaf": leaf_spine(3, 4, 4),
    "two leaves": leaf_spine(4, 2, 1, nodes_per_leaf=2, spines=2),
    "last leaf half empty": leaf_spine(5, 2, 2, nodes_per_leaf=2, oversubscription=2.0),
    "more NICs than GPUs": leaf_spine(3, 2, 4, nodes_per_leaf=1),
    "one GPU a node": leaf_spine(6, 1, 1, nodes_per_leaf=2, spines=3),
    "leaf-spine by hash": leaf_spine(5, 2, 2, nodes_per_leaf=2, routing="ecmp"),
    "leaf-spine of direct nodes": leaf_spine(3, 4, 4, nodes_per_leaf=1, layout="mesh"),
    "graph": GraphFile(fabric="graph", file=str(GALLERY / "two-hosts.graphml")),
    "node of a ring": SingleNode(fabric="single-node", gpus=7, layout="nvlink-ring", scaleup=FAST),
    "node of two in a ring": SingleNode(fabric="single-node", gpus=2, layout="nvlink-ring", scaleup=FAST),
    "node of a mesh": SingleNode(fabric="single-node", gpus=5, layout="mesh", scaleup=FAST),
    "node of one, meshed": SingleNode(fabric="single-node", gpus=1, layout="mesh", scaleup=FAST),
    "node of a cube mesh": SingleNode(fabric="single-node", gpus=8, layout="cube-mesh", scaleup=FAST),
    "node of two sockets": SingleNode(fabric="single-node", gpus=5, layout="pcie", scaleup=FAST, socket_link=SLOW),
    "fat tree of one tier": hosted(FatTree, "fat-tree", 2, 2, 2, radix=8),
    "fat tree of two tiers": hosted(FatTree, "fat-tree", 8, 1, 1, radix=4),
    "fat tree of three tiers": hosted(FatTree, "fat-tree", 16, 1, 1, radix=4),
    "fat tree, last pod half empty": hosted(FatTree, "fat-tree", 11, 2, 1, radix=4, routing="ecmp"),
    "fat tree, oversubscribed": hosted(FatTree, "fat-tree", 20, 2, 2, radix=8, oversubscription=[2, 1.5]),
    "rails of two tiers": hosted(RailFatTree, "rail-fat-tree", 7, 4, 4, radix=8),
    "rails of three tiers": hosted(RailFatTree, "rail-fat-tree", 20, 2, 2, radix=8),
    "fewer rails than GPUs": hosted(RailFatTree, "rail-fat-tree", 9, 4, 2, radix=8, routing="ecmp"),
    "NVLink domains": hosted(NvlDomain, "nvl-domain", 9, 2, 2, radix=8, nodes_per_domain=4),
    "dragonfly of all groups": hosted(Dragonfly, "dragonfly", 24, 1, 1, **DRAGONFLY),
    "dragonfly of two groups": hosted(Dragonfly, "dragonfly", 11, 2, 1, **DRAGONFLY),
    "dragonfly of one group": hosted(Dragonfly, "dragonfly", 3, 2, 2, **DRAGONFLY),
    "ring as a torus": Torus(fabric="torus", dims=(5,), link=SLOW),
    "torus": Torus(fabric="torus", dims=(3, 4), link=SLOW),
    "torus of three dimensions": Torus(fabric="torus", dims=(2, 4, 3), link=SLOW),
    "torus with a line of one": Torus(fabric="torus", dims=(4, 1, 2)),
    "mesh of two dimensions": Torus(fabric="torus", dims=(3, 4), wraparound=False),
}
small = pytest.mark.parametrize("topology", SMALL.values(), ids=SMALL.keys())


def pairs(cluster: Cluster) -> list[tuple[int, int]]:
    numbers = range(len(cluster.gpus))
    return [(source, destination) for source in numbers for destination in numbers]


def passable(topology: Topology, graph: nx.Graph[str], source: str, destination: str) -> nx.Graph[str]:
    """Return the part of `graph` that a message between two GPUs may pass."""
    if isinstance(topology, HostedFabric):
        hosts = [graph.nodes[end]["host"] for end in (source, destination)]
        if hosts[0] == hosts[1]:
            return graph.subgraph([node for node in graph if "/nic" not in node])
    if not isinstance(topology, Dragonfly):
        return graph

    def group(node: str) -> int:
        """Return the group of a router, or of the one that a GPU's first NIC is on."""
        if node.startswith("gpu"):
            nic = next(near for near in graph[node] if "/nic" in near)
            node = next(near for near in graph[nic] if near.startswith("router"))
        return int(node.removeprefix("router")) // topology.routers_per_group

    groups = {group(source), group(destination)}
    return graph.subgraph([node for node in graph if not node.startswith("router") or group(node) in groups])


def test_every_family_is_walked_by_these_tests() -> None:
    assert {topology.fabric for topology in SMALL.values()} == set(FABRICS)


@small
def test_links_of_a_route_join_up(topology: Topology) -> None:
    cluster = build_cluster(topology)
    for source, destination in pairs(cluster):
        links = [cluster.links[link] for link in cluster.route(source, destination)]
        stops = [cluster.gpus[source], *(link.target for link in links)]
        assert [link.source for link in links] == stops[:-1]
        assert stops[-1] == cluster.gpus[destination]


@small
def test_a_route_is_as_short_as_networkx_finds_it(topology: Topology) -> None:
    cluster = build_cluster(topology)
    for source, destination in pairs(cluster):
        ends = cluster.gpus[source], cluster.gpus[destination]
        graph = passable(topology, cluster.graph, *ends)
        assert len(cluster.route(source, destination)) == nx.shortest_path_length(graph, *ends)


@small
def test_the_graph_has_an_edge_for_every_link(topology: Topology) -> None:
    cluster = build_cluster(topology)
    ends = [(link.source, link.target) for link in cluster.links]
    assert len(set(ends)) == len(ends) == sum(1 for _ in cluster.graph.to_directed().edges)
    for link in cluster.links:
        edge = cluster.graph.edges[link.source, link.target]
        assert edge == {"bandwidth_bytes_per_s": link.bandwidth_bytes_per_s, "latency_ps": link.latency_ps}


@small
def test_gpus_are_the_nodes_of_kind_gpu_in_node_order(topology: Topology) -> None:
    cluster = build_cluster(topology)
    assert cluster.gpus == tuple(node for node in cluster.graph if cluster.graph.nodes[node]["kind"] == "gpu")
    if topology.num_gpus is not None:
        assert len(cluster.gpus) == topology.num_gpus


def test_a_ring_goes_the_shorter_way_and_clockwise_on_a_tie() -> None:
    cluster = build_cluster(Ring(fabric="ring", gpus=4))
    via = [[cluster.links[link].target for link in cluster.route(0, gpu)] for gpu in range(4)]
    assert via == [[], ["gpu1"], ["gpu1", "gpu2"], ["gpu3"]]


def test_under_one_leaf_nothing_climbs_to_a_spine() -> None:
    cluster = build_cluster(leaf_spine(4, 2, 2, nodes_per_leaf=2, spines=3))
    route = [cluster.links[link].name for link in cluster.route(1, 2)]
    assert route == ["gpu1->node0/nic1", "node0/nic1->leaf0", "leaf0->node1/nic0", "node1/nic0->gpu2"]


def test_the_destination_nic_chooses_the_spine() -> None:
    cluster = build_cluster(leaf_spine(4, 2, 2, nodes_per_leaf=2, spines=3))
    spines = [cluster.links[cluster.route(0, gpu)[2]].target for gpu in range(4, 8)]
    assert spines == ["spine1", "spine2", "spine0", "spine1"]  # NICs 4 to 7, modulo 3
    assert {cluster.links[cluster.route(gpu, 6)[2]].target for gpu in range(4)} == {"spine0"}


def test_gpus_that_share_a_nic_share_its_link() -> None:
    cluster = build_cluster(leaf_spine(2, 4, 2))
    nics = [cluster.links[cluster.route(gpu, 4)[0]].target for gpu in range(4)]
    assert nics == ["node0/nic0", "node0/nic0", "node0/nic1", "node0/nic1"]


@pytest.mark.parametrize(("oversubscription", "spines"), [(1.0, 8), (2.0, 8), (1.1, 3), (3.0, 1)])
def test_oversubscription_is_that_of_a_whole_leaf(oversubscription: float, spines: int) -> None:
    fabric = leaf_spine(4, 8, 4, nodes_per_leaf=2, spines=spines, oversubscription=oversubscription)
    cluster = build_cluster(fabric)
    down = sum(
        link.bandwidth_bytes_per_s or 0 for link in cluster.links if link.target == "leaf0" and "nic" in link.source
    )
    up = sum(
        link.bandwidth_bytes_per_s or 0 for link in cluster.links if link.source == "leaf0" and "spine" in link.target
    )
    assert down == 8 * Fraction(25 * 10**9)
    assert down / up == Fraction(str(oversubscription))


def test_a_leaf_spine_link_is_as_fast_as_a_nic_by_default() -> None:
    cluster = build_cluster(leaf_spine(40, 8, 8, oversubscription=2.0))
    uplinks = [link for link in cluster.links if link.target.startswith("spine")]
    assert {link.bandwidth_bytes_per_s for link in uplinks} == {Fraction(25 * 10**9)}
    assert len(uplinks) == 10 * 16  # 10 leaves of 4 nodes, 32 NICs down and 16 links up


def test_ideal_nics_have_ideal_spines() -> None:
    fabric = LeafSpine(
        fabric="leaf-spine", nodes=2, gpus_per_node=1, nodes_per_leaf=1, scaleup=LinkSpec(), nic=LinkSpec()
    )
    assert {link.bandwidth_bytes_per_s for link in build_cluster(fabric).links} == {None}


@pytest.mark.parametrize("pair", [(0, 4), (4, 0), (-1, 0), (9, 9)])
def test_a_gpu_that_is_not_there(pair: tuple[int, int]) -> None:
    cluster = build_cluster(FullMesh(fabric="full-mesh", gpus=4))
    with pytest.raises(TopologyError, match="GPUs are numbered 0 to 3"):
        cluster.route(*pair)


def test_device_and_host_stand_on_every_gpu() -> None:
    cluster = build_cluster(leaf_spine(2, 2, 1, device="A100-SXM4-80GB"))
    assert cluster.devices == ("A100-SXM4-80GB",) * 4
    assert [cluster.graph.nodes[gpu]["host"] for gpu in cluster.gpus] == ["node0", "node0", "node1", "node1"]
    assert build_cluster(leaf_spine(1, 1, 1)).devices == (None,)


def test_a_large_mesh_costs_nothing_until_it_is_looked_at() -> None:
    cluster = build_cluster(FullMesh(fabric="full-mesh", gpus=100_000, link=SLOW))
    assert len(cluster.links) == 100_000 * 99_999
    assert cluster.links[cluster.route(99_999, 7)[0]].name == "gpu99999->gpu7"
    assert [link.name for link in cluster.links[-2:]] == ["gpu99999->gpu99997", "gpu99999->gpu99998"]
    with pytest.raises(IndexError):
        cluster.links[len(cluster.links)]


PRINT_ROUTES = """
import sys
from clustersim.scenario.fabrics import GraphFile
from clustersim.topology import build_cluster
cluster = build_cluster(GraphFile(fabric="graph", file=sys.argv[1]))
numbers = range(len(cluster.gpus))
print([cluster.route(a, b) for a in numbers for b in numbers], list(cluster.graph.edges(data=True)))
"""


def test_routes_do_not_depend_on_the_hash_seed() -> None:
    file = str(GALLERY / "two-hosts.graphml")
    answers = [
        subprocess.run(
            [sys.executable, "-c", PRINT_ROUTES, file],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    ]
    assert answers[0] == answers[1] == answers[2] != b""
