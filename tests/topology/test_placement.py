"""Placements: every rank has a GPU of its own, in the order that the placement promises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.errors import ScenarioError, TopologyError
from clustersim.scenario.fabrics import FullMesh, GraphFile, LeafSpine, SingleNode
from clustersim.scenario.placement import Placement, PlacementName
from clustersim.topology import PLACEMENTS, Cluster, build_cluster, place

WIRES: dict[str, Any] = {"scaleup": {}, "nic": {}}


def nodes(number: int, gpus_per_node: int = 2, **more: Any) -> Cluster:
    sizes = {"fabric": "leaf-spine", "nodes": number, "gpus_per_node": gpus_per_node}
    return build_cluster(LeafSpine.model_validate(sizes | WIRES | more))


def graph(folder: Path, gpus: list[dict[str, Any]]) -> Cluster:
    document = {"nodes": [{"kind": "gpu"} | gpu for gpu in gpus], "edges": []}
    path = folder / "hosts.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return build_cluster(GraphFile(fabric="graph", file=str(path)))


def test_the_table_has_every_placement_of_a_scenario() -> None:
    assert tuple(PLACEMENTS) == get_args(PlacementName)


def test_contiguous_and_its_limits() -> None:
    cluster = build_cluster(FullMesh(fabric="full-mesh", gpus=4))
    assert place(Placement(), 3, cluster) == (0, 1, 2)
    assert place(Placement(), 4, cluster) == (0, 1, 2, 3)
    with pytest.raises(TopologyError, match="5 ranks need a GPU each; full-mesh has 4"):
        place(Placement(), 5, cluster)


def test_hosts_are_taken_in_the_order_of_the_list() -> None:
    placement = Placement(hosts=("node3", "node[0-1]"))
    assert place(placement, 5, nodes(4)) == (6, 7, 0, 1, 2)
    with pytest.raises(TopologyError, match="7 ranks; contiguous finds 6 of 8 GPUs"):
        place(placement, 7, nodes(4))


def test_excluded_and_reserved_hosts_are_left_out() -> None:
    cluster = nodes(5, hosts=[{"match": "node1", "reserved": True}])
    assert place(Placement(exclude="node3"), 6, cluster) == (0, 1, 4, 5, 8, 9)
    with pytest.raises(ScenarioError, match="the topology reserves the host 'node1'"):
        place(Placement(hosts="node0-2"), 2, cluster)


def test_all_hosts_that_there_are_not_are_told() -> None:
    with pytest.raises(ScenarioError) as refused:
        place(Placement(hosts=("node0", "nodule1", "node0"), exclude=("node7", "node9")), 2, nodes(8))
    told = [(fault.where, fault.what) for fault in refused.value.faults]
    assert told == [
        ("cluster.placement.hosts.1", "the topology has no host 'nodule1'"),
        ("cluster.placement.hosts", "the host 'node0' stands in the list twice"),
        ("cluster.placement.exclude.1", "the topology has no host 'node9'"),
    ]
    assert refused.value.faults[0].hint == "did you mean 'node1'?"


@given(seed=st.integers(0, 2**63 - 1), number=st.integers(1, 20))
def test_scattered_keeps_hosts_whole(seed: int, number: int) -> None:
    gpus = place(Placement(name="scattered", seed=seed), 2 * number, nodes(number))
    assert sorted(gpus) == list(range(2 * number))
    assert all((first % 2, second) == (0, first + 1) for first, second in zip(gpus[::2], gpus[1::2], strict=True))


def test_scattered_follows_its_seed_and_else_the_scenarios() -> None:
    cluster = nodes(64)
    by_seed = [place(Placement(name="scattered", seed=seed), 128, cluster) for seed in (0, 1, 2, 3, 2**40)]
    assert len(set(by_seed)) == 5
    assert place(Placement(name="scattered"), 128, cluster, seed=3) == by_seed[3]
    assert place(Placement(name="scattered", seed=2), 128, cluster, seed=3) == by_seed[2]


def test_scattering_fewer_ranks_takes_the_same_hosts_first() -> None:
    placement, cluster = Placement(name="scattered", seed=5), nodes(10)
    assert place(placement, 8, cluster) == place(placement, 20, cluster)[:8]
    without = place(Placement(name="scattered", seed=5, exclude="node4"), 18, cluster)
    assert without == tuple(gpu for gpu in place(placement, 20, cluster) if gpu not in (8, 9))


def test_rail_aligned_sorts_the_gpus_of_a_host_and_skips_hosts_that_lack_a_rail(tmp_path: Path) -> None:
    gpus = [{"id": "a1", "host": "a", "rail": 1}, {"id": "a0", "host": "a", "rail": 0}]
    gpus += [{"id": "b0", "host": "b", "rail": 0}]
    gpus += [{"id": "c0", "host": "c", "rail": "0"}, {"id": "c1", "host": "c", "rail": "1"}]
    cluster = graph(tmp_path, gpus)
    assert place(Placement(name="rail-aligned"), 4, cluster) == (1, 0, 3, 4)
    assert place(Placement(), 4, cluster) == (0, 1, 2, 3)
    with pytest.raises(TopologyError, match="5 ranks; rail-aligned finds 4 of 5 GPUs"):
        place(Placement(name="rail-aligned"), 5, cluster)


def test_a_graph_may_name_and_reserve_hosts(tmp_path: Path) -> None:
    gpus = [{"id": "x", "host": "rack-3-5"}, {"id": "y", "host": "rack-4", "reserved": True}, {"id": "z"}]
    cluster = graph(tmp_path, gpus)
    assert place(Placement(), 2, cluster) == (0, 2)
    assert place(Placement(hosts=("z", "rack-3-5")), 2, cluster) == (2, 0)


@pytest.mark.parametrize(("key", "value"), [("rail", "left"), ("rail", 1.5), ("reserved", "maybe")])
def test_rails_and_reservations_that_are_none(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(TopologyError, match=rf"hosts.json:1:\d+: error: node x: {key}: got"):
        graph(tmp_path, [{"id": "x", key: value}])


def test_a_single_node_is_one_host() -> None:
    cluster = build_cluster(SingleNode(fabric="single-node", gpus=4, scaleup={}))  # type: ignore[arg-type]
    assert place(Placement(hosts="node0"), 4, cluster) == (0, 1, 2, 3)
    with pytest.raises(TopologyError, match="finds 0 of 4 GPUs"):
        place(Placement(exclude="node0"), 1, cluster)
