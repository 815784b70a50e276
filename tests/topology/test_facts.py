"""What is told of fabrics: counted on their networkx graphs, and what their parameters promise."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from pydantic import TypeAdapter
from test_routes import SMALL

from clustersim.scenario.fabrics import FullMesh, GraphFile, Topology, Torus
from clustersim.scenario.topology_file import load_topology
from clustersim.topology import build_cluster
from clustersim.topology.facts import FabricFacts, fabric_facts
from clustersim.topology.link_table import link_table
from clustersim.topology.tiers import components

ADAPTER: TypeAdapter[Topology] = TypeAdapter(Topology)
small = pytest.mark.parametrize("topology", SMALL.values(), ids=SMALL.keys())


def facts_of(topology: Any) -> FabricFacts:
    return fabric_facts(build_cluster(topology), topology)


def drawn(tmp_path: Path, graph: str) -> FabricFacts:
    (tmp_path / "graph.json").write_text(graph)
    return facts_of(GraphFile(fabric="graph", file=str(tmp_path / "graph.json")))


@small
def test_nodes_and_links_are_those_of_the_graph(topology: Topology) -> None:
    cluster, facts = build_cluster(topology), facts_of(topology)
    kinds = Counter(attributes["kind"] for _, attributes in cluster.graph.nodes(data=True))
    assert {kind.kind: kind.count for kind in facts.nodes} == kinds
    wires: Counter[tuple[frozenset[Any], Any, Any]] = Counter()
    for source, target, made in cluster.graph.edges(data=True):
        ends = frozenset(cluster.graph.nodes[node]["kind"] for node in (source, target))
        wires[ends, made["bandwidth_bytes_per_s"], made["latency_ps"]] += 1
    told: Counter[tuple[frozenset[Any], Any, Any]] = Counter()
    for links in facts.links:
        ends = frozenset((links.lower.kind, links.upper.kind))
        told[ends, links.make.bandwidth_bytes_per_s, links.make.latency_ps] += links.count
    assert told == wires
    assert not any(links.is_one_way for links in facts.links)


@small
def test_tiers_ports_and_islands_are_those_of_the_graph(topology: Topology) -> None:
    cluster, facts = build_cluster(topology), facts_of(topology)
    tier = nx.multi_source_dijkstra_path_length(cluster.graph, set(cluster.gpus), weight=lambda *_: 1)
    for kind in facts.nodes:
        nodes = [node for node, given in cluster.graph.nodes(data=True) if given["kind"] == kind.kind]
        assert {tier[node] for node in nodes} == {kind.tier}
        degrees = [cluster.graph.degree(node) for node in nodes]
        assert (min(degrees), max(degrees)) == (kind.fewest_ports, kind.most_ports)
        assert (kind.first, kind.last) == (nodes[0], nodes[-1])
    low = cluster.graph.subgraph([node for node in cluster.graph if tier[node] <= 1])
    assert facts.islands.count == nx.number_connected_components(low)
    assert sum(count * island.nodes["gpu"] for count, island in facts.islands.kinds) == len(cluster.gpus)
    assert facts.num_parts == 1


@pytest.mark.parametrize("seed", range(20))
def test_components_are_those_that_networkx_finds(seed: int, tmp_path: Path) -> None:
    graph = nx.gnp_random_graph(40, 0.03, seed=seed)
    nx.set_node_attributes(graph, "gpu", "kind")
    text = str(nx.node_link_data(graph, edges="edges")).replace("'", '"').replace("False", "false")
    (tmp_path / "graph.json").write_text(text)
    found = components(link_table(build_cluster(GraphFile(fabric="graph", file=str(tmp_path / "graph.json")))))
    groups = {frozenset(map(int, part)) for part in nx.connected_components(graph)}
    assert {frozenset(i for i in range(40) if found[i] == number) for number in set(found.tolist())} == groups


def test_oversubscription_is_what_was_asked_for() -> None:
    tree = facts_of(SMALL["fat tree, oversubscribed"])
    ratios = {kind.kind: kind.oversubscription for kind in tree.nodes}
    assert (ratios["leaf"], ratios["agg"], ratios["core"]) == (2, Fraction(3, 2), None)
    assert ratios["gpu"] is None
    assert ratios["nic"] is None  # its PCIe is ideal
    leaf_spine = facts_of(SMALL["last leaf half empty"])
    assert {kind.kind: kind.oversubscription for kind in leaf_spine.nodes}["leaf"] == 2
    rails = facts_of(SMALL["rails of three tiers"])
    assert {kind.oversubscription for kind in rails.nodes if kind.kind in ("leaf", "agg")} == {1}


def test_a_nic_may_be_oversubscribed() -> None:
    nic = facts_of(SMALL["graph"]).nodes[1]
    assert (nic.kind, nic.oversubscription) == ("nic", Fraction(64, 50))
    assert (nic.below_bytes_per_s, nic.above_bytes_per_s, nic.beside_bytes_per_s) == (64 * 10**9, 50 * 10**9, 0)


@pytest.mark.parametrize("longest", [0, 1, 2])
def test_bisection_of_a_torus_is_across_its_longest_dimension(longest: int) -> None:
    dims = [2, 4, 3]
    dims[longest] = 8
    facts = facts_of(Torus(fabric="torus", dims=dims, link={"bandwidth": "50 GB/s"}))  # type: ignore[arg-type]
    num_gpus = dims[0] * dims[1] * dims[2]
    assert facts.bisection is not None
    assert facts.bisection.bandwidth_bytes_per_s == 2 * num_gpus // 8 * 50 * 10**9
    assert facts.bisection.by == "dimension"


def test_bisection_of_what_is_wired_directly() -> None:
    mesh = facts_of(FullMesh(fabric="full-mesh", gpus=7, link={"bandwidth": "1 GB/s"})).bisection  # type: ignore[arg-type]
    ring = facts_of(ADAPTER.validate_python({"fabric": "ring", "gpus": 9, "link": {"bandwidth": "1 GB/s"}})).bisection
    assert mesh is not None
    assert ring is not None
    assert mesh.bandwidth_bytes_per_s == 3 * 4 * 10**9
    assert (mesh.full_bytes_per_s, mesh.first_half, mesh.second_half) == (21 * 10**9, 3, 4)
    assert ring.bandwidth_bytes_per_s == 2 * 10**9


@pytest.mark.parametrize(
    ("name", "terabytes_per_s", "fraction"),
    [
        ("dgx-h100", 25.6, 1.0),  # 512 NICs of 50 GB/s
        ("h100-8x400g-2to1", 12.8, 0.5),
        ("gb200-nvl72", 14.4, 1.0),  # four racks of 72 NICs
        ("tpu-v4", 6.4, 1 / 12),  # 128 wires of 50 GB/s; a chip has six
        ("mixed-h100-a100", 2.4, 6 / 7),  # 32 NICs of 50 GB/s and 32 of 25 in the second half
    ],
)
def test_bisection_of_the_gallery(name: str, terabytes_per_s: float, fraction: float) -> None:
    found = facts_of(load_topology(name)).bisection
    assert found is not None
    assert found.bandwidth_bytes_per_s == Fraction(str(terabytes_per_s)) * 10**12
    assert found.fraction == pytest.approx(fraction)


def test_hosts_that_differ() -> None:
    facts = facts_of(load_topology("mixed-h100-a100"))
    assert [(kind.count, kind.devices, kind.is_reserved) for kind in facts.hosts] == [
        (12, ("H100-SXM5-80GB",), False),
        (3, ("A100-SXM4-80GB",), False),
        (1, ("A100-SXM4-80GB",), True),
    ]
    assert (facts.num_hosts, facts.devices) == (16, {"H100-SXM5-80GB": 96, "A100-SXM4-80GB": 32})


def test_a_fabric_in_parts(tmp_path: Path) -> None:
    nodes = '[{"id": "a", "kind": "gpu"}, {"id": "b", "kind": "gpu"}, {"id": "c", "kind": "gpu"}, {"id": "s"}]'
    facts = drawn(tmp_path, f'{{"nodes": {nodes}, "edges": [{{"source": "a", "target": "c"}}]}}')
    assert (facts.num_parts, facts.bisection and facts.bisection.bandwidth_bytes_per_s) == (2, None)
    assert [(kind.kind, kind.tier, kind.count) for kind in facts.nodes] == [("gpu", 0, 3), ("other", None, 1)]
    assert facts.diameter is not None
    assert facts.diameter.farthest == (0, 2)


def test_links_that_go_one_way(tmp_path: Path) -> None:
    nodes = '[{"id": "a", "kind": "gpu"}, {"id": "b", "kind": "gpu"}, {"id": "s", "kind": "switch"}]'
    edges = '[{"source": "a", "target": "s", "bandwidth": "3 GB/s"}, {"source": "s", "target": "b"}]'
    facts = drawn(tmp_path, f'{{"directed": true, "nodes": {nodes}, "edges": {edges}}}')
    assert [(links.lower.kind, links.upper.kind, links.count, links.is_one_way) for links in facts.links] == [
        ("gpu", "switch", 1, True),
        ("switch", "gpu", 1, True),
    ]
    assert facts.bisection is not None
    assert facts.bisection.bandwidth_bytes_per_s == 3 * 10**9
    assert facts.diameter is not None
    assert (facts.diameter.farthest, facts.diameter.num_links) == (((0, 1)), 2)


def test_switches_of_one_kind_in_two_tiers(tmp_path: Path) -> None:
    nodes = '[{"id": "a", "kind": "gpu"}, {"id": "b", "kind": "gpu"}' + "".join(
        f', {{"id": "{name}", "kind": "switch"}}' for name in ("leaf0", "leaf1", "top")
    )
    wires = ("a-leaf0", "b-leaf1", "leaf0-top", "leaf1-top")
    edges = ", ".join(f'{{"source": "{wire.split("-")[0]}", "target": "{wire.split("-")[1]}"}}' for wire in wires)
    facts = drawn(tmp_path, f'{{"nodes": {nodes}], "edges": [{edges}]}}')
    assert [(kind.kind, kind.tier, kind.count) for kind in facts.nodes] == [
        ("gpu", 0, 2),
        ("switch", 1, 2),
        ("switch", 2, 1),
    ]
    assert [(links.lower.tier, links.upper.tier, links.count) for links in facts.links] == [(0, 1, 2), (1, 2, 2)]


def test_a_large_mesh_is_counted_and_not_looked_at() -> None:
    facts = facts_of(FullMesh(fabric="full-mesh", gpus=100_000, link={"bandwidth": "1 GB/s"}))  # type: ignore[arg-type]
    assert [links.count for links in facts.links] == [50_000 * 99_999]
    assert facts.bisection is not None
    assert facts.bisection.bandwidth_bytes_per_s == 50_000**2 * 10**9
