"""Wirings inside a node: bandwidths add up to a GPU's scale-up link, and routes take the wires that there are."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from clustersim.scenario.fabrics import LeafSpine, SingleNode
from clustersim.topology import Cluster, build_cluster

SCALEUP = {"bandwidth": "300 GB/s", "latency": "1 us"}


def node(layout: str, gpus: int, **more: Any) -> Cluster:
    mapping = {"fabric": "single-node", "gpus": gpus, "layout": layout, "scaleup": SCALEUP} | more
    return build_cluster(SingleNode.model_validate(mapping))


def stops(cluster: Cluster, source: int, destination: int) -> list[str]:
    return [cluster.links[link].target for link in cluster.route(source, destination)]


@pytest.mark.parametrize(
    ("layout", "gpus", "links_of_gpu"),
    [
        ("nvswitch", 8, 1),
        ("mesh", 8, 7),
        ("nvlink-ring", 6, 2),
        ("nvlink-ring", 2, 1),
        ("cube-mesh", 8, 4),
        ("pcie", 8, 1),
    ],
)
def test_the_links_of_a_gpu_add_up_to_its_scale_up(layout: str, gpus: int, links_of_gpu: int) -> None:
    cluster = node(layout, gpus, **({"socket_link": {"bandwidth": "20 GB/s"}} if layout == "pcie" else {}))
    for gpu in cluster.gpus:
        out = [link.bandwidth_bytes_per_s or 0 for link in cluster.links if link.source == gpu]
        assert (len(out), sum(out)) == (links_of_gpu, Fraction(300 * 10**9))


def test_the_cube_mesh_is_that_of_the_dgx_1v() -> None:
    cluster = node("cube-mesh", 8)
    nvlink = Fraction(50 * 10**9)
    row = {link.target: link.bandwidth_bytes_per_s for link in cluster.links if link.source == "gpu0"}
    assert row == {"gpu1": nvlink, "gpu2": nvlink, "gpu3": 2 * nvlink, "gpu4": 2 * nvlink}
    row = {link.target: link.bandwidth_bytes_per_s for link in cluster.links if link.source == "gpu6"}
    assert row == {"gpu2": nvlink, "gpu4": nvlink, "gpu5": 2 * nvlink, "gpu7": 2 * nvlink}


def test_across_the_cube_mesh_the_wider_way_is_taken() -> None:
    cluster = node("cube-mesh", 8)
    assert stops(cluster, 0, 7) == ["gpu4", "gpu7"]  # two NVLinks twice; by GPU 3 one of the two has one
    assert stops(cluster, 7, 0) == ["gpu4", "gpu0"]
    assert stops(cluster, 3, 4) == ["gpu0", "gpu4"]
    assert stops(cluster, 1, 4) == ["gpu5", "gpu4"]  # one NVLink at the narrowest either way: the sender's opposite


def test_sockets_are_crossed_only_between_them() -> None:
    cluster = node("pcie", 4, socket_link={"bandwidth": "20 GB/s", "latency": "500 ns"})
    assert stops(cluster, 0, 1) == ["socket0", "gpu1"]
    assert stops(cluster, 0, 2) == ["socket0", "socket1", "gpu2"]
    assert stops(cluster, 3, 1) == ["socket1", "socket0", "gpu1"]
    crossing = cluster.links[cluster.route(3, 1)[1]]
    assert (crossing.bandwidth_bytes_per_s, crossing.latency_ps) == (20 * 10**9, 500_000)


def test_nodes_of_a_cluster_have_the_layout_too() -> None:
    sizes = {"nodes": 2, "gpus_per_node": 4, "nics_per_node": 4, "scaleup": SCALEUP, "nic": {"bandwidth": "100 Gbps"}}
    pcie = {"layout": "pcie", "socket_link": {"bandwidth": "20 GB/s"}}
    cluster = build_cluster(LeafSpine.model_validate({"fabric": "leaf-spine"} | sizes | pcie))
    assert stops(cluster, 4, 7) == ["node1/socket0", "node1/socket1", "gpu7"]
    assert cluster.links[cluster.route(4, 7)[1]].bandwidth_bytes_per_s == 20 * 10**9
    assert cluster.nodes["node1/socket0"] == {"kind": "socket"}
    mesh = build_cluster(LeafSpine.model_validate({"fabric": "leaf-spine", "layout": "mesh"} | sizes))
    assert [mesh.links[link].name for link in mesh.route(5, 4)] == ["gpu5->gpu4"]
    assert mesh.links[mesh.route(5, 4)[0]].bandwidth_bytes_per_s == 100 * 10**9
