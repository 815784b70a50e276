"""Which links are shared fairly and which are FIFO, by rule, on fabrics small enough to see."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from clustersim.scenario.fabrics import Topology
from clustersim.topology.cluster import Cluster
from clustersim.topology.discipline import fair_links, fair_links_of_flows
from clustersim.topology.table import build_cluster

ADAPTER: TypeAdapter[Any] = TypeAdapter(Topology)
WIRE = {"bandwidth": "1 GB/s"}


def cluster_of(fabric: str, link: str, gpus: int, **spec: Any) -> Cluster:
    return build_cluster(ADAPTER.validate_python({"fabric": fabric, "gpus": gpus, link: WIRE | spec}))


def names(cluster: Cluster, pairs: list[tuple[int, int]], of_flows: bool = False) -> list[str]:
    routes = {pair: cluster.route(*pair) for pair in pairs}
    links = (fair_links_of_flows if of_flows else fair_links)(cluster, routes)
    return [cluster.links[number].name for number in sorted(links)]


def test_a_link_of_one_gpu_is_fifo_unless_written() -> None:
    both = [(0, 1), (1, 0)]
    assert names(cluster_of("full-mesh", "link", 2), both) == []
    assert names(cluster_of("full-mesh", "link", 2, sharing="fair"), both) == ["gpu0->gpu1", "gpu1->gpu0"]
    assert names(cluster_of("single-node", "scaleup", 2), both) == []  # nobody else could send there


def test_a_link_that_several_gpus_of_the_job_use_is_fair() -> None:
    ring = cluster_of("ring", "link", 6)
    assert names(ring, [(0, 1), (1, 2)]) == []
    # GPU 0 sends by way of GPU 1, whose own messages leave by the same link.
    assert names(ring, [(0, 2), (1, 2)]) == ["gpu0->gpu1", "gpu1->gpu2"]
    assert names(cluster_of("ring", "link", 6, sharing="fifo"), [(0, 2), (1, 2)]) == []


def test_what_leaves_a_switch_of_three_is_fair_and_so_is_the_way_there() -> None:
    assert names(cluster_of("single-node", "scaleup", 3), [(0, 1)]) == ["gpu0->switch", "switch->gpu1"]


def test_whoever_shares_a_link_with_a_flow_is_one() -> None:
    # 0->2 is a flow, since 1->2 shares its second link; so is 0->1, which shares its first.
    ring = cluster_of("ring", "link", 6)
    assert names(ring, [(0, 1), (0, 2), (1, 2), (3, 4)]) == ["gpu0->gpu1", "gpu1->gpu2"]


def test_unlimited_bandwidth_is_never_shared() -> None:
    assert names(cluster_of("single-node", "scaleup", 4, bandwidth=None), [(0, 1), (2, 1)]) == []


@pytest.mark.parametrize(("sharing", "expected"), [(None, ["gpu0->gpu1"]), ("fair", ["gpu0->gpu1"]), ("fifo", [])])
def test_flows_of_a_list_share_fairly_unless_written(sharing: str | None, expected: list[str]) -> None:
    assert names(cluster_of("full-mesh", "link", 2, sharing=sharing), [(0, 1)], of_flows=True) == expected
