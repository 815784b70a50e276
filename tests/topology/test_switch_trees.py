"""Fat trees, plain and rail-optimised, and NVLink domains: sizes, bandwidths, and how routes spread."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from clustersim.scenario.fabrics import FatTree, LeafSpine, NvlDomain, RailFatTree, Topology
from clustersim.topology import Cluster, build_cluster

ADAPTER: TypeAdapter[Any] = TypeAdapter(Topology)
NIC_BYTES_PER_S = 50 * 10**9
WIRES = {"scaleup": {"bandwidth": "450 GB/s", "latency": "1 us"}, "nic": {"bandwidth": "400 Gbps", "latency": "2 us"}}


def fat_tree(nodes: int, **more: Any) -> FatTree:
    return FatTree.model_validate({"fabric": "fat-tree", "nodes": nodes, "gpus_per_node": 1} | WIRES | more)


def rails(nodes: int, **more: Any) -> RailFatTree:
    sizes = {"fabric": "rail-fat-tree", "nodes": nodes, "gpus_per_node": 2, "nics_per_node": 2, "radix": 8}
    return RailFatTree.model_validate(sizes | WIRES | more)


def stops(cluster: Cluster, source: int, destination: int) -> list[str]:
    return [cluster.links[link].target for link in cluster.route(source, destination)]


@pytest.mark.parametrize(
    ("radix", "nics", "leaves", "uppers", "cores"),
    [
        (4, 2, 1, 0, 0),
        (4, 8, 4, 2, 0),
        (4, 9, 5, 6, 4),
        (4, 16, 8, 8, 4),
        (64, 2048, 64, 32, 0),
        (64, 65536, 2048, 2048, 1024),
    ],
)
def test_sizes_of_k_ary_fat_trees(radix: int, nics: int, leaves: int, uppers: int, cores: int) -> None:
    shape = fat_tree(nics, radix=radix).shape
    assert (shape.num_leaves, shape.num_uppers, shape.num_cores) == (leaves, uppers, cores)


def test_a_three_tier_route_by_hand() -> None:
    cluster = build_cluster(fat_tree(16, radix=4))
    # NIC 14 is on leaf 7, in pod 3: aggregation switch 14 % 2 = 0 of each pod, and of its cores 14 // 2 % 2 = 1
    names = ["node0/nic0", "leaf0", "agg0", "core1", "agg6", "leaf7", "node14/nic0", "gpu14"]
    assert stops(cluster, 0, 14) == names
    assert stops(cluster, 0, 3) == ["node0/nic0", "leaf0", "agg1", "leaf1", "node3/nic0", "gpu3"]


@pytest.mark.parametrize("shift", range(1, 16))
def test_with_d_mod_k_no_shift_of_all_nodes_meets_on_a_link(shift: int) -> None:
    cluster = build_cluster(fat_tree(16, radix=4))
    used = Counter(link for gpu in range(16) for link in cluster.route(gpu, (gpu + shift) % 16))
    assert set(used.values()) == {1}


def test_d_mod_k_spreads_destinations_evenly_over_every_tier() -> None:
    cluster = build_cluster(fat_tree(128, radix=8))
    ways = [stops(cluster, 0, gpu)[2:4] for gpu in range(16, 128)]  # of all that is in other pods
    assert set(Counter(upper for upper, _ in ways).values()) == {28}
    assert set(Counter(core for _, core in ways).values()) == {7}


def test_with_d_mod_k_all_that_goes_to_one_gpu_meets_in_one_core() -> None:
    cluster = build_cluster(fat_tree(16, radix=4))
    assert len({stops(cluster, gpu, 15)[3] for gpu in range(12)}) == 1


def test_ecmp_spreads_flows_of_one_pair_of_leaves() -> None:
    cluster = build_cluster(fat_tree(128, radix=8, routing="ecmp"))
    cores = Counter(stops(cluster, source, gpu)[3] for source in range(16) for gpu in range(16, 128))
    assert len(cores) == 16
    assert max(cores.values()) < 1.5 * 16 * 112 / 16
    assert len({stops(cluster, source, 127)[3] for source in range(16)}) > 4


@given(st.sampled_from([1, 1.1, 2, 3, 8]), st.sampled_from([1, 1.5, 2]), st.integers(3, 8))
@settings(max_examples=20, deadline=None)
def test_oversubscription_is_exact_in_each_tier(of_leaf: float, of_upper: float, nodes: int) -> None:
    spec = fat_tree(nodes, nics_per_node=2, radix=4, oversubscription=[of_leaf, of_upper])
    cluster, shape = build_cluster(spec), spec.shape

    def bandwidth(source: str, target: str) -> Fraction:
        links = (link for link in cluster.links if link.source == source and link.target.startswith(target))
        return sum((link.bandwidth_bytes_per_s or Fraction(0) for link in links), Fraction(0))

    up = bandwidth("leaf0", "agg" if shape.num_cores else "spine")
    assert shape.ports_per_leaf * NIC_BYTES_PER_S / up == Fraction(str(of_leaf))
    if shape.num_cores:
        assert bandwidth("agg0", "leaf") / bandwidth("agg0", "core") == Fraction(str(of_upper))


def test_one_number_is_the_oversubscription_of_leaves_and_of_the_whole() -> None:
    shape = fat_tree(16, radix=4, oversubscription=2).shape
    assert shape.num_cores * shape.num_pods * shape.upper_share == Fraction(16, 2)


def test_a_leaf_spine_is_a_fat_tree_of_two_tiers() -> None:
    sizes = {"nodes": 12, "gpus_per_node": 2, "nics_per_node": 2} | WIRES
    leaf_spine = LeafSpine.model_validate(sizes | {"fabric": "leaf-spine", "nodes_per_leaf": 2})
    clusters = [
        build_cluster(spec) for spec in (leaf_spine, FatTree.model_validate(sizes | {"fabric": "fat-tree", "radix": 8}))
    ]
    assert list(clusters[0].links) == list(clusters[1].links)
    assert [[c.route(a, b) for a in range(24) for b in range(24)] for c in clusters[:1]] == [
        [clusters[1].route(a, b) for a in range(24) for b in range(24)]
    ]


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({"radix": 5}, "their number is even"),
        ({"radix": 4, "nodes": 17}, "17 NICs; three tiers of switches with 4 ports join 16"),
        ({"oversubscription": []}, "got 0 numbers"),
        ({"oversubscription": [1, 1, 1]}, "got 3 numbers"),
        ({"oversubscription": 0}, "got 0; an oversubscription is above 0"),
        ({"oversubscription": float("nan")}, "an oversubscription is above 0"),
        ({"oversubscription": True}, "an oversubscription is above 0"),
        ({"layout": "cube-mesh"}, "a cube-mesh has 8 GPUs; got 1"),
        ({"layout": "pcie"}, "needs a socket_link"),
        ({"socket_link": {}}, "socket_link means nothing to layout nvswitch"),
    ],
)
def test_trees_that_are_refused(mapping: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=r".*") as refused:
        ADAPTER.validate_python({"fabric": "fat-tree", "nodes": 16, "gpus_per_node": 1} | WIRES | mapping)
    assert expected in str(refused.value)


def test_gpus_of_one_rail_meet_in_a_leaf_and_others_climb() -> None:
    cluster = build_cluster(rails(7))
    assert stops(cluster, 1, 13) == ["node0/nic1", "leaf1", "spine2", "leaf3", "node6/nic1", "gpu13"]
    assert stops(cluster, 1, 7) == ["node0/nic1", "leaf1", "node3/nic1", "gpu7"]
    assert stops(cluster, 1, 6) == ["node0/nic1", "leaf1", "spine3", "leaf0", "node3/nic0", "gpu6"]


def test_through_the_scale_up_links_a_message_changes_rails_at_home() -> None:
    cluster = build_cluster(rails(7, cross_rail="scaleup"))
    assert stops(cluster, 1, 6) == ["node0/switch", "gpu0", "node0/nic0", "leaf0", "node3/nic0", "gpu6"]
    assert stops(cluster, 1, 7) == ["node0/nic1", "leaf1", "node3/nic1", "gpu7"]


def test_gpus_that_share_a_rail_do_not_relay() -> None:
    cluster = build_cluster(rails(7, gpus_per_node=4, cross_rail="scaleup"))
    assert stops(cluster, 0, 5)[0] == "node0/nic0"  # GPUs 0 and 1 of each node are both on rail 0


def test_rails_stand_on_gpus() -> None:
    cluster = build_cluster(rails(2, gpus_per_node=4))
    assert [cluster.nodes[gpu]["rail"] for gpu in cluster.gpus] == [0, 0, 1, 1] * 2


def test_pods_of_rails_hold_whole_groups() -> None:
    spec = rails(32, nics_per_node=3, gpus_per_node=3)
    assert (spec.group_nodes, spec.leaves_per_pod, spec.num_leaves, spec.shape.num_pods) == (4, 3, 24, 8)
    with pytest.raises(ValidationError, match="9 rails"):
        rails(2, nics_per_node=9)


def nvl(nodes: int, **more: Any) -> NvlDomain:
    sizes = {"gpus_per_node": 4, "nics_per_node": 4, "nodes_per_domain": 18}
    return NvlDomain.model_validate({"fabric": "nvl-domain", "nodes": nodes} | sizes | WIRES | more)


def test_a_domain_is_one_switch_and_domains_meet_in_the_network() -> None:
    cluster = build_cluster(nvl(36))
    assert len(cluster.gpus) == 144
    assert stops(cluster, 0, 71) == ["domain0/switch", "gpu71"]
    assert stops(cluster, 0, 72) == ["node0/nic0", "leaf0", "node18/nic0", "gpu72"]
    assert [cluster.nodes[f"gpu{gpu}"]["host"] for gpu in (3, 4, 71, 72)] == ["node0", "node1", "node17", "node18"]


def test_the_last_domain_may_have_fewer_nodes() -> None:
    cluster = build_cluster(nvl(20))
    assert stops(cluster, 72, 79) == ["domain1/switch", "gpu79"]
    assert len(cluster.links) == 2 * (80 + 80 + 80 + 4 * 32)
    assert nvl(1).scaled_to(100).nodes == 25


@pytest.mark.parametrize(("gpus", "nics"), [(2, 4), (2, 5), (4, 4), (4, 2), (3, 7)])
def test_flows_are_spread_over_the_nics_of_a_gpu(gpus: int, nics: int) -> None:
    cluster = build_cluster(fat_tree(40, gpus_per_node=gpus, nics_per_node=nics, radix=64))
    for gpu in range(gpus):
        first = [stops(cluster, gpu, other)[0] for other in range(gpus, 40 * gpus)]
        allowed = range(gpu * nics // gpus, max(gpu * nics // gpus + 1, (gpu + 1) * nics // gpus))
        assert set(first) == {f"node0/nic{nic}" for nic in allowed}
        assert max(Counter(first).values()) < 1.6 * len(first) / len(allowed)


def test_single_nodes_may_have_other_devices_and_links() -> None:
    hosts = [
        {"match": "node1-2", "device": "A100-SXM4-80GB", "nic": {"bandwidth": "100 Gbps"}},
        {"match": ["node2"], "scaleup": {"bandwidth": "1 GB/s"}, "reserved": True},
    ]
    cluster = build_cluster(fat_tree(4, gpus_per_node=2, device="H100-SXM5-80GB", hosts=hosts))
    other = "A100-SXM4-80GB"
    assert cluster.devices == ("H100-SXM5-80GB",) * 2 + (other,) * 4 + ("H100-SXM5-80GB",) * 2
    by_name = {link.name: link.bandwidth_bytes_per_s for link in cluster.links}
    nics = [by_name[f"node{node}/nic0->leaf0"] for node in range(4)]
    assert nics == [50 * 10**9, 125 * 10**8, 125 * 10**8, 50 * 10**9]
    scaleups = [by_name[f"gpu{2 * node}->node{node}/switch"] for node in range(4)]
    assert scaleups == [450 * 10**9, 450 * 10**9, 10**9, 450 * 10**9]
    assert [cluster.nodes[gpu].get("reserved", False) for gpu in cluster.gpus] == [False] * 4 + [True] * 2 + [False] * 2


def test_a_tray_of_a_domain_may_have_its_own_links() -> None:
    cluster = build_cluster(nvl(2, hosts=[{"match": "node1", "scaleup": {"bandwidth": "1 GB/s"}}]))
    by_name = {link.name: link.bandwidth_bytes_per_s for link in cluster.links}
    assert [by_name[f"domain0/switch->gpu{gpu}"] for gpu in (3, 4)] == [450 * 10**9, 10**9]


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("node4", "there is no node4; the last node is node3"),
        ("node[1-9]", "there is no node9"),
        ("host1", "got 'host1'; nodes are called node0, node1"),
        ("node01", "got 'node01'"),
        ("node[1", "a bracket is not closed"),
        ([], "must be the name of a host"),
        ([1], "got 1; a host is named by text"),
    ],
)
def test_hosts_that_there_are_not(match: object, expected: str) -> None:
    with pytest.raises(ValidationError) as refused:
        fat_tree(4, hosts=[{"match": match}])
    assert expected in str(refused.value)


def test_scaling_makes_room_for_reserved_and_named_nodes() -> None:
    spec = fat_tree(128, gpus_per_node=8, hosts=[{"match": "node0-1", "reserved": True}])
    assert spec.scaled_to(32).nodes == 6
    assert spec.scaled_to(32).reserved_hosts == (0, 1)
    assert fat_tree(128, gpus_per_node=8, hosts=[{"match": "node9", "device": "X"}]).scaled_to(8).nodes == 10
