"""Dragonfly and torus: sizes, wires, and routes worked out by hand."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from clustersim.scenario.fabrics import Dragonfly, Torus
from clustersim.topology import Cluster, build_cluster


def dragonfly(nodes: int, routers: int = 4, ports: int = 2, **more: Any) -> Dragonfly:
    sizes = {"nics_per_router": 2, "routers_per_group": routers, "global_links_per_router": ports}
    wires = {"scaleup": {}, "nic": {"bandwidth": "1 GB/s"}, "global_link": {"bandwidth": "4 GB/s"}}
    return Dragonfly.model_validate({"fabric": "dragonfly", "nodes": nodes, "gpus_per_node": 1} | sizes | wires | more)


def stops(cluster: Cluster, source: int, destination: int) -> list[str]:
    return [cluster.links[link].target for link in cluster.route(source, destination)]


def test_the_balanced_dragonfly_of_its_paper() -> None:
    # Kim et al., figure 5: p = h = 2, a = 4, 9 groups of 8 terminals; one wire between each two groups
    spec = dragonfly(72)
    assert (spec.num_groups, spec.links_per_pair, spec.wires_per_link) == (9, 1, 1)
    cluster = build_cluster(spec)
    routers = [link for link in cluster.links if link.source.startswith("router") and link.target.startswith("router")]
    assert len(routers) == 2 * (9 * 6 + 36)
    degree = Counter(link.source for link in routers)
    assert set(degree.values()) == {3 + 2}
    assert max(len(cluster.route(0, gpu)) for gpu in range(72)) == 7  # GPU, NIC, local, global, local, NIC, GPU
    assert max(sum(s.startswith("router") for s in stops(cluster, 0, gpu)) for gpu in range(72)) == 4


@given(groups=st.integers(2, 9), routers=st.integers(1, 5), ports=st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_every_group_uses_its_ports_evenly_and_no_more_than_it_has(groups: int, routers: int, ports: int) -> None:
    if groups > routers * ports + 1:
        return
    spec = dragonfly(2 * routers * groups, routers, ports)
    cluster = build_cluster(spec)

    def group(name: str) -> int:
        return int(name.removeprefix("router")) // routers

    between = [link for link in cluster.links if link.source.startswith("router") and link.target.startswith("router")]
    between = [link for link in between if group(link.source) != group(link.target)]
    assert len(between) == groups * (groups - 1) * spec.links_per_pair
    used = Counter(link.source for link in between)
    assert max(used.values()) - min(used.get(f"router{r}", 0) for r in range(groups * routers)) <= 1
    assert max(used.values()) * spec.wires_per_link <= ports
    assert {link.bandwidth_bytes_per_s for link in between} == {4 * 10**9 * spec.wires_per_link}


def test_equally_short_ways_are_shared() -> None:
    cluster = build_cluster(dragonfly(16, routers=4, ports=4))  # two groups, a wire from each router: 4 side by side
    crossings = Counter(next(s for s in stops(cluster, a, b) if s >= "router4") for a in range(8) for b in range(8, 16))
    assert len(crossings) == 4


def test_groups_that_can_not_be_joined() -> None:
    with pytest.raises(ValidationError, match=r"10 groups; .* = 4 \* 2 join 9"):
        dragonfly(73)


def test_a_torus_goes_dimension_by_dimension_the_shorter_way_round() -> None:
    cluster = build_cluster(Torus(fabric="torus", dims=(4, 5)))
    assert stops(cluster, 0, 13) == ["gpu5", "gpu10", "gpu14", "gpu13"]  # (0, 0) to (2, 3): two up, then two down
    assert stops(cluster, 13, 0) == ["gpu18", "gpu3", "gpu4", "gpu0"]  # a tie along the first goes up
    assert stops(cluster, 0, 15) == ["gpu15"]


def test_without_wraparound_no_message_leaves_the_grid() -> None:
    cluster = build_cluster(Torus(fabric="torus", dims=(1, 5), wraparound=False))
    assert stops(cluster, 0, 4) == ["gpu1", "gpu2", "gpu3", "gpu4"]
    assert stops(cluster, 4, 1) == ["gpu3", "gpu2", "gpu1"]
    assert len(cluster.links) == 8


@pytest.mark.parametrize(
    ("dims", "wires"), [((1,), 0), ((2,), 1), ((3,), 3), ((2, 2), 4), ((4, 4, 4), 192), ((2, 3), 9)]
)
def test_numbers_of_wires(dims: tuple[int, ...], wires: int) -> None:
    assert len(build_cluster(Torus(fabric="torus", dims=dims)).links) == 2 * wires


def test_uniform_traffic_loads_a_torus_evenly() -> None:
    cluster = build_cluster(Torus(fabric="torus", dims=(3, 5)))
    used = Counter(link for a in range(15) for b in range(15) for link in cluster.route(a, b))
    assert len(used) == len(cluster.links)
    # 15 GPUs send to 15: along a ring of 3 one hop each way, of 5 three hops each way, times the size of the other side
    assert Counter(used.values()) == {5: 30, 9: 30}


@given(st.integers(1, 5000), st.integers(1, 4))
def test_a_torus_scales_to_exactly_as_many_gpus(gpus: int, num_dims: int) -> None:
    dims = Torus(fabric="torus", dims=(2,) * num_dims).scaled_to(gpus).dims
    product = 1
    for size in dims:
        product *= size
    assert (product, len(dims), list(dims)) == (gpus, num_dims, sorted(dims))


def test_a_torus_that_is_too_large() -> None:
    with pytest.raises(ValidationError, match="at most 1000000"):
        Torus(fabric="torus", dims=(1000, 1001))
    with pytest.raises(ValidationError):
        Torus(fabric="torus", dims=())
