"""The smallest cut between two sets of nodes: what networkx finds on the whole graph, merged or not."""

from __future__ import annotations

import random
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
from test_routes import SMALL

from clustersim.scenario.fabrics import Dragonfly, FatTree, Topology
from clustersim.topology import Cluster, build_cluster, min_cut
from clustersim.topology.bisection import Bisection, bisection, halves
from clustersim.topology.cluster import Link
from clustersim.topology.full_mesh import MeshLinks
from clustersim.topology.link_table import LinkTable, link_table
from clustersim.topology.min_cut import FIRST, NEITHER, SECOND, smallest_cut
from clustersim.topology.tiers import tiers_of

UNLIMITED = 10**30
SCALE = 2520  # makes all bandwidths of these tests whole


def largest_flow(links: list[Link], first: set[str], second: set[str]) -> Fraction | None:
    """Return the largest flow as networkx finds it on the whole graph."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(("source", "sink"))
    graph.add_edges_from((("source", node) for node in first), capacity=UNLIMITED**2)
    graph.add_edges_from(((node, "sink") for node in second), capacity=UNLIMITED**2)
    for link in links:
        limited = link.bandwidth_bytes_per_s
        graph.add_edge(link.source, link.target, capacity=UNLIMITED if limited is None else int(limited * SCALE))
    flow = nx.maximum_flow_value(graph, "source", "sink")
    return None if flow >= UNLIMITED else Fraction(flow, SCALE)


def bisection_of(cluster: Cluster, topology: Topology) -> Bisection | None:
    table = None if isinstance(cluster.links, MeshLinks) else link_table(cluster)
    return bisection(cluster, topology, table, tiers_of(cluster, table))


@pytest.mark.parametrize("topology", SMALL.values(), ids=SMALL.keys())
def test_bisection_is_the_largest_flow_between_the_halves(topology: Topology) -> None:
    cluster = build_cluster(topology)
    found = bisection_of(cluster, topology)
    if found is None:
        assert len(cluster.gpus) == 1
        return
    in_first, _ = halves(cluster, topology)
    first = {gpu for gpu, is_first in zip(cluster.gpus, in_first, strict=True) if is_first}
    flow = largest_flow(list(cluster.links), first, set(cluster.gpus) - first)
    assert found.is_exact
    assert found.bandwidth_bytes_per_s == flow
    assert (found.first_half, found.second_half) == (len(first), len(cluster.gpus) - len(first))


def a_graph(seed: int) -> tuple[Cluster, set[str], set[str]]:
    """Return a random directed graph with some unlimited links, and two sets of its nodes."""
    chosen = random.Random(seed)
    names = [f"node{number}" for number in range(chosen.randint(4, 14))]
    kinds = [None, *(Fraction(chosen.randint(1, 40), chosen.choice((1, 7))) for _ in range(chosen.choice((1, 2, 9))))]
    weights = [0.1, *[1.0] * (len(kinds) - 1)]
    links = [
        Link(source, target, chosen.choices(kinds, weights)[0], 0)
        for source in names
        for target in names
        if source != target and chosen.random() < 0.35
    ]
    num_first = chosen.randint(1, 2)
    first, second = set(names[:num_first]), set(names[num_first : num_first + chosen.randint(1, 2)])
    attributes: dict[str, dict[str, object]] = {name: {"kind": "gpu"} for name in names}
    return Cluster("random", attributes, tuple(names), links, lambda *_: None, directed=True), first, second


def sides(table: LinkTable, first: set[str], second: set[str]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(
        [FIRST if node in first else SECOND if node in second else NEITHER for node in table.nodes], dtype=np.int64
    )


@pytest.mark.parametrize("seed", range(120))
def test_any_graph(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, first, second = a_graph(seed)
    table = link_table(cluster)
    flow = largest_flow(list(cluster.links), first, second)
    assert smallest_cut(table, sides(table, first, second)) == min_cut.Cut(flow)
    monkeypatch.setattr(min_cut, "MAX_CLASS_PAIRS", -1)
    bound = smallest_cut(table, sides(table, first, second))
    if bound.bandwidth_bytes_per_s is not None:
        assert not bound.is_exact
        assert flow is not None
        assert bound.bandwidth_bytes_per_s >= flow


def test_classes_of_a_large_tree_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(min_cut, "MAX_CLASS_PAIRS", 20)  # of 512 leaves, 512 aggregation and 1,024 core switches
    sizes = {"nodes": 2048, "gpus_per_node": 8, "nics_per_node": 8, "scaleup": {}, "nic": {"bandwidth": "50 GB/s"}}
    tree = FatTree.model_validate({"fabric": "fat-tree", "oversubscription": [2, 1.5]} | sizes)
    cluster = build_cluster(tree)
    found = bisection_of(cluster, tree)
    assert found is not None
    assert found.is_exact
    assert found.fraction == pytest.approx(1 / 3)


def test_a_bound_of_a_dragonfly_is_between_its_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = {"nics_per_router": 2, "routers_per_group": 4, "global_links_per_router": 2}
    sizes = {"nodes": 64, "gpus_per_node": 1, "scaleup": {}, "nic": {"bandwidth": "25 GB/s"}}
    fabric = Dragonfly.model_validate({"fabric": "dragonfly"} | shape | sizes)
    cluster = build_cluster(fabric)
    exact = bisection_of(cluster, fabric)
    monkeypatch.setattr(min_cut, "MAX_CLASS_PAIRS", 0)
    bound = bisection_of(cluster, fabric)
    assert exact is not None
    assert bound is not None
    assert (exact.is_exact, bound.is_exact) == (True, False)
    assert exact.bandwidth_bytes_per_s == bound.bandwidth_bytes_per_s == 4 * 4 * 25 * 10**9  # a link a pair of groups


def test_sums_beyond_64_bits_are_exact() -> None:
    fast = Fraction(10**18) + Fraction(1, 3)
    links = [Link("a", "s", fast, 0), Link("s", "b", fast * 3, 0), Link("c", "s", fast, 0), Link("d", "s", fast, 0)]
    nodes: dict[str, dict[str, object]] = {name: {} for name in "abcds"}
    table = link_table(Cluster("", nodes, (), links, lambda *_: None, directed=True))
    cut = smallest_cut(table, sides(table, {"a", "c", "d"}, {"b"}))
    assert cut.bandwidth_bytes_per_s == 3 * 10**18 + 1
