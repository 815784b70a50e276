"""Which links are shared fairly and which are FIFO, by rule, on fabrics small enough to see."""

from __future__ import annotations

from fractions import Fraction
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import TypeAdapter

from clustersim.scenario.fabrics import Topology
from clustersim.topology.cluster import Cluster, Link
from clustersim.topology.discipline import fair_links, fair_links_of_flows
from clustersim.topology.shortest_paths import shortest_paths
from clustersim.topology.table import build_cluster

ADAPTER: TypeAdapter[Any] = TypeAdapter(Topology)
WIRE = {"bandwidth": "1 GB/s"}


def cluster_of(fabric: str, link: str, gpus: int, **spec: Any) -> Cluster:
    return build_cluster(ADAPTER.validate_python({"fabric": fabric, "gpus": gpus, link: WIRE | spec}))


def names(cluster: Cluster, pairs: list[tuple[int, int]], of_flows: bool = False) -> list[str]:
    routes = {pair: cluster.route(*pair) for pair in pairs}
    links = (fair_links_of_flows if of_flows else fair_links)(cluster, routes)
    return [cluster.links[number].name for number in sorted(links)]


def test_a_link_of_a_job_is_fair_where_several_send_over_it_unless_written() -> None:
    both = [(0, 1), (1, 0)]
    assert names(cluster_of("full-mesh", "link", 2), both) == []
    assert names(cluster_of("full-mesh", "link", 2, sharing="fair"), both) == ["gpu0->gpu1", "gpu1->gpu0"]
    # Only GPU 0 sends over the first link; but its messages go on over the second, which GPU 1 shares.
    assert names(cluster_of("ring", "link", 6), [(0, 2), (1, 2)]) == ["gpu0->gpu1", "gpu1->gpu2"]
    assert names(cluster_of("ring", "link", 6), [(0, 2), (0, 1)]) == []
    assert names(cluster_of("ring", "link", 6, sharing="fifo"), [(0, 2), (1, 2)]) == []


def test_what_streams_of_collectives_cross_is_fair_with_all_that_meets_it() -> None:
    cluster = cluster_of("ring", "link", 6)
    routes = {pair: cluster.route(*pair) for pair in [(0, 2), (3, 4)]}
    crossed = cluster.route(1, 2)
    assert fair_links(cluster, routes, crossed) == frozenset(cluster.route(0, 2))


def test_whoever_shares_a_link_with_a_flow_is_one_too() -> None:
    # By way of m, a->b and a->c share a->m; b alone is reached over a fair link. d->e has nothing to do with them.
    wires = (("a", "m", None), ("m", "b", "fair"), ("m", "c", "fifo"), ("d", "e", None))
    links = [Link(source, target, Fraction(10**9), 0, sharing) for source, target, sharing in wires]
    nodes = dict.fromkeys("abcde", MappingProxyType({"kind": "gpu"})) | {"m": MappingProxyType({})}
    cluster = Cluster("mixed", nodes, tuple("abcde"), links, shortest_paths(tuple(nodes), tuple("abcde"), links), True)
    assert names(cluster, [(0, 1), (0, 2), (3, 4)]) == ["a->m", "m->b", "m->c"]
    assert names(cluster, [(0, 2), (3, 4)]) == []


def test_unlimited_bandwidth_is_never_shared() -> None:
    assert names(cluster_of("single-node", "scaleup", 4, bandwidth=None, sharing="fair"), [(0, 1), (2, 1)]) == []


@pytest.mark.parametrize(("sharing", "expected"), [(None, ["gpu0->gpu1"]), ("fair", ["gpu0->gpu1"]), ("fifo", [])])
def test_flows_of_a_list_share_fairly_unless_written(sharing: str | None, expected: list[str]) -> None:
    assert names(cluster_of("full-mesh", "link", 2, sharing=sharing), [(0, 1)], of_flows=True) == expected
