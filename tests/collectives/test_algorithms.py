"""Every algorithm, operation and shape of group: who ends with what, and closed forms on an idle fabric with ``==``."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, log2
from typing import Any

import pytest
from pydantic import TypeAdapter

from clustersim.collectives.members import Host, MemberGroup, Operation
from clustersim.collectives.table import ALGORITHMS, OPERATIONS
from clustersim.errors import TopologyError
from clustersim.scenario.fabrics import Topology
from clustersim.topology.cluster import Cluster
from clustersim.topology.table import build_cluster
from clustersim.workload.group_plan import idle_ps, member_group, plan_collective

ADAPTER: TypeAdapter[Any] = TypeAdapter(Topology)
US = 10**6
SHAPES = [(2,), (3,), (8,), (1, 1), (1, 1, 1, 1, 1), (2, 2), (4, 4, 4), (8, 8), (3, 2), (1, 4, 2)]


def group_of(shape: tuple[int, ...]) -> MemberGroup:
    """Return a group with hosts of so many members each."""
    first = [sum(shape[:number]) for number in range(len(shape))]
    return MemberGroup(tuple(Host(tuple(range(at, at + size))) for at, size in zip(first, shape, strict=True)))


CASES = [
    (name, operation, shape)
    for name, algorithm in ALGORITHMS.items()
    for operation in algorithm.operations
    for shape in SHAPES
    if algorithm.allows(group_of(shape))
]


def received(group: MemberGroup, name: str, operation: Operation) -> list[Fraction]:
    """Return what each member receives over all phases, as a share of the size."""
    totals = [Fraction(0)] * group.size
    for phase in ALGORITHMS[name].phases(group, operation):
        for (_, target), count in phase.streams.items():
            totals[target] += count * phase.share
    return totals


@pytest.mark.parametrize(("name", "operation", "shape"), CASES)
def test_streams_stay_in_the_group_and_carry_enough(name: str, operation: Operation, shape: tuple[int, ...]) -> None:
    group = group_of(shape)
    n = group.size
    for phase in ALGORITHMS[name].phases(group, operation):
        for source, target in phase.streams:
            assert source != target
            assert {source, target} <= set(range(n))
        assert phase.share > 0
        assert all(hop in phase.streams for chain in phase.chains for hop in chain.hops)
    totals = received(group, name, operation)
    # Whatever the algorithm, a member must take in all that it does not have; over all members no less than that.
    least = {"all-reduce": Fraction(2 * (n - 1), n), "broadcast": Fraction(n - 1, n)}.get(operation, Fraction(n - 1, n))
    assert sum(totals) >= least * n or name in ("nvls", "in-network")  # switches add up on the way
    assert all(totals) or operation == "broadcast" or name == "halving-doubling"
    again = ALGORITHMS[name].phases(group_of(shape), operation)
    assert again == ALGORITHMS[name].phases(group, operation)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_ring_moves_exactly_what_it_must(shape: tuple[int, ...]) -> None:
    group = group_of(shape)
    n = group.size
    assert sum(received(group, "ring", "all-reduce")) == 2 * (n - 1)
    assert sum(received(group, "ring", "all-gather")) == n - 1
    assert sum(received(group, "ring", "broadcast")) == n - 1


def test_several_hosts_use_every_nic_evenly_and_keep_to_their_rails() -> None:
    (phase,) = ALGORITHMS["ring"].phases(group_of((4, 4)), "all-reduce")
    between = {hop: count for hop, count in phase.streams.items() if (hop[0] < 4) != (hop[1] < 4)}
    assert sum(between.values()) == 8
    assert all(source % 4 == target % 4 for source, target in between)
    assert sorted(source for source, _ in between) == list(range(8))


def cluster_of(**spec: Any) -> Cluster:
    return build_cluster(ADAPTER.validate_python(spec))


MESH = {"fabric": "full-mesh", "gpus": 8, "link": {"bandwidth": "100 GB/s", "latency": "2 us"}}
NODE = {"fabric": "single-node", "gpus": 8, "scaleup": {"bandwidth": "100 GB/s", "latency": "1 us"}}
B = 100 * 10**9


def drain(share: Fraction, size_bytes: int) -> int:
    return ceil(share * size_bytes * 10**12 / B)


@pytest.mark.parametrize("spec", [MESH, NODE], ids=["full-mesh", "single-node"])
@pytest.mark.parametrize("n", range(2, 9))
@pytest.mark.parametrize("size_bytes", [1, 1000, 2**20, 10**9 + 7])
def test_closed_forms_on_an_idle_fabric(spec: dict[str, Any], n: int, size_bytes: int) -> None:
    cluster = cluster_of(**spec)
    latency = 2 * US  # of one link, or of a link up and a link down

    def time(operation: str, algorithm: str) -> int:
        return idle_ps(plan_collective(operation, size_bytes, range(n), cluster, algorithm), cluster)

    gather = Fraction(n - 1, n)
    assert time("all-reduce", "ring") == 2 * (n - 1) * latency + drain(2 * gather, size_bytes)
    assert time("all-gather", "ring") == (n - 1) * latency + drain(gather, size_bytes)
    assert time("reduce-scatter", "ring") == (n - 1) * latency + drain(gather, size_bytes)
    assert time("broadcast", "ring") == (n - 1) * latency + drain(Fraction(1), size_bytes)
    direct = gather if spec is NODE else Fraction(1, n)  # on a mesh every pair has a link of its own
    assert time("all-to-all", "direct") == latency + drain(direct, size_bytes)
    if n & (n - 1) == 0:
        steps = [Fraction(1, 2**step) for step in range(1, int(log2(n)) + 1)]
        halving = sum(latency + drain(share, size_bytes) for share in steps)
        assert time("all-reduce", "halving-doubling") == 2 * halving
        assert time("reduce-scatter", "halving-doubling") == halving


def test_a_tree_goes_up_and_down_once() -> None:
    cluster = cluster_of(**MESH)
    plan = plan_collective("all-reduce", 2**30, range(8), cluster, "tree")
    # Of eight places the farthest leaf is three edges below the root; each tree has half of the data, and one pair is
    # joined in both.
    assert idle_ps(plan, cluster) == 2 * 3 * 2 * US + drain(Fraction(1), 2**30)


def test_the_switch_of_a_host_adds_up() -> None:
    cluster = cluster_of(**NODE)
    plan = plan_collective("all-reduce", 2**30, range(8), cluster, "nvls")
    assert idle_ps(plan, cluster) == 2 * 2 * US + drain(Fraction(9, 8), 2**30)


HOSTS = {
    "fabric": "leaf-spine",
    "nodes": 4,
    "gpus_per_node": 4,
    "nics_per_node": 4,
    "nodes_per_leaf": 2,
    "scaleup": {"bandwidth": "400 GB/s", "latency": "1 us"},
    "nic": {"bandwidth": "100 GB/s", "latency": "2 us"},
}


def test_between_hosts_every_nic_carries_its_part() -> None:
    cluster = cluster_of(**HOSTS)
    size_bytes = 2**30
    ring = plan_collective("all-reduce", size_bytes, range(16), cluster, "ring")
    # 16 members, 4 channels: 2 (15/16) S/4 over each NIC.
    (phase,) = ring.phases
    assert cluster.drain_ps(phase.links, phase.streams, phase.volume_bytes) == drain(Fraction(30, 64), size_bytes)
    tiered = plan_collective("all-reduce", size_bytes, range(16), cluster, "hierarchical")
    within, between, again = tiered.phases
    assert between.volume_bytes == Fraction(6, 4) * size_bytes / 4
    assert within == again


def test_the_smallest_and_the_largest_sizes_take_different_algorithms() -> None:
    cluster = cluster_of(**HOSTS)
    chosen = [plan_collective("all-reduce", size, range(16), cluster).algorithm for size in (8, 2**34)]
    assert chosen[0] == "tree"
    assert chosen == sorted(chosen, reverse=True)


def test_one_gpu_has_nothing_to_do() -> None:
    assert idle_ps(plan_collective("all-reduce", 100, [3], cluster_of(**NODE)), cluster_of(**NODE)) == 0


def test_what_there_is_not_is_refused_with_what_there_is() -> None:
    cluster = cluster_of(**NODE)
    with pytest.raises(TopologyError, match=r"no collective is called 'all-redcue'(?s:.)*did you mean 'all-reduce'"):
        plan_collective("all-redcue", 1, range(4), cluster)
    with pytest.raises(TopologyError, match=r"no algorithm of all-gather is called 'tree'; there are ring"):
        plan_collective("all-gather", 1, range(4), cluster, "tree")
    with pytest.raises(TopologyError, match="hierarchical is for several hosts"):
        plan_collective("all-gather", 1, range(4), cluster, "hierarchical")


def test_rings_fill_the_links_of_a_cube_mesh_as_measured() -> None:
    from clustersim.collectives.channels import channels
    from clustersim.scenario.topology_file import load_topology

    cluster = build_cluster(load_topology("dgx-1v"))  # type: ignore[arg-type]
    # One ring carries 22.5 GB/s; vTrain's tables show 22.6, 45.1, 85.4, 37.2, 45.7, 87.0 and 134.5 GB/s for 2 to 8.
    assert [len(channels(member_group(range(n), cluster))) for n in range(2, 9)] == [1, 2, 4, 2, 2, 4, 6]


def test_every_operation_has_an_algorithm_for_every_group() -> None:
    for operation in OPERATIONS:
        for shape in SHAPES:
            names = [
                name
                for name, entry in ALGORITHMS.items()
                if operation in entry.operations and entry.allows(group_of(shape)) and entry.is_chosen(group_of(shape))
            ]
            assert set(names) - {"nvls", "in-network"}
