"""The gallery: every topology builds, scales and means what its comments say; every device can be read."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from clustersim.scenario.fabrics import Topology
from clustersim.scenario.units import parse_bandwidth_bytes_per_s, parse_size_bytes
from clustersim.topology import build_cluster

GALLERY = Path(__file__).parents[2] / "topologies"
ADAPTER: TypeAdapter[Topology] = TypeAdapter(Topology)
DEVICES = sorted((GALLERY / "devices").glob("*.yaml"))
DGX = {"dgx-a100": (300, 25), "dgx-h100": (450, 50), "dgx-h200": (450, 50), "dgx-b200": (900, 50)}


def mapping(path: Path) -> dict[str, Any]:
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def topology(name: str) -> Topology:
    return ADAPTER.validate_python(mapping(GALLERY / f"{name}.yaml")).resolved(GALLERY)


@pytest.mark.parametrize("name", sorted(path.stem for path in GALLERY.glob("*.yaml")))
def test_every_topology_builds_and_scales(name: str) -> None:
    cluster = build_cluster(topology(name).scaled_to(4))
    assert len(cluster.gpus) in ((128,) if name == "mixed-h100-a100" else (4, 8))  # which names its last nodes
    assert len(cluster.route(0, 3)) >= 1
    assert {device for device in cluster.devices if device} <= {path.stem for path in DEVICES}


@pytest.mark.parametrize(("name", "gigabytes_per_s"), DGX.items())
def test_dgx_routes_have_the_bandwidth_and_latency_of_their_comments(
    name: str, gigabytes_per_s: tuple[int, int]
) -> None:
    cluster = build_cluster(topology(name))
    assert len(cluster.gpus) == 1024

    def latency_ps(destination: int) -> int:
        return sum(cluster.links[link].latency_ps for link in cluster.route(0, destination))

    def slowest(destination: int) -> Fraction:
        speeds = (cluster.links[link].bandwidth_bytes_per_s for link in cluster.route(0, destination))
        return min(speed for speed in speeds if speed is not None)

    assert [latency_ps(gpu) for gpu in (1, 8, 32)] == [1_000_000, 2_000_000, 4_000_000]
    scaleup, nic = (Fraction(speed * 10**9) for speed in gigabytes_per_s)
    assert [slowest(gpu) for gpu in (1, 8, 32)] == [scaleup, nic, nic]


OF_DEVICES = [path.stem for path in sorted(GALLERY.glob("*.yaml")) if {"device", "scaleup"} <= set(mapping(path))]


@pytest.mark.parametrize("name", OF_DEVICES)
def test_scale_up_is_that_of_the_device(name: str) -> None:
    fabric = mapping(GALLERY / f"{name}.yaml")
    device = mapping(GALLERY / "devices" / f"{fabric['device']}.yaml")
    assert device["scaleup_bandwidth"] == fabric["scaleup"]["bandwidth"]


@pytest.mark.parametrize("path", sorted(GALLERY.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_topology_says_where_its_figures_come_from(path: Path) -> None:
    comments = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    assert any("ource" in line for line in comments) or any("assumed" in line for line in comments)


@pytest.mark.parametrize(
    ("name", "gpus", "narrowest", "num_links"),
    [
        ("gb200-nvl72", 72, 50, 4),  # the GPU of the same rail in the next rack
        ("gb200-nvl72", 71, 900, 2),
        ("gb300-nvl72", 73, 100, 6),  # another rail: first over NVLink
        ("mi300x", 1, 64, 1),
        ("dgx-1v", 4, 50, 1),
        ("aws-p4d", 8, 12.5, 4),
        ("aws-p5", 8, 50, 4),
        ("gcp-a3-mega", 8, 25, 4),
        ("tpu-v4", 9, 50, 2),
        ("tpu-v5p", 64, 100, 1),
        ("h100-8x400g-2to1", 32, 50, 6),
        ("dgx-h100-rail", 8, 50, 4),
    ],
)
def test_narrowest_link_to_another_gpu(name: str, gpus: int, narrowest: float, num_links: int) -> None:
    cluster = build_cluster(topology(name))
    links = [cluster.links[link] for link in cluster.route(0, gpus)]
    assert min(link.bandwidth_bytes_per_s or 0 for link in links if link.bandwidth_bytes_per_s) == narrowest * 10**9
    assert len(links) == num_links


def test_two_hosts_prefers_the_first_switch() -> None:
    cluster = build_cluster(topology("two-hosts"))
    assert [cluster.links[link].target for link in cluster.route(0, 3)] == [
        "left-nic",
        "switch0",
        "right-nic",
        "right-gpu1",
    ]
    assert [cluster.links[link].target for link in cluster.route(0, 1)] == ["left-gpu1"]


@pytest.mark.parametrize("path", DEVICES, ids=lambda path: path.stem)
def test_every_device_is_regular(path: Path) -> None:
    device = mapping(path)
    required = {"name", "vendor", "memory", "memory_bandwidth", "peak_flop_per_s", "source", "confidence"}
    assert required <= set(device) <= required | {"scaleup_bandwidth", "tdp", "notes", "kernels"}
    assert device["name"] == path.stem
    assert device["confidence"] in ("high", "medium", "low")
    assert parse_size_bytes(device["memory"]) >= 16 * 2**30
    assert parse_bandwidth_bytes_per_s(device["memory_bandwidth"]) >= 8 * 10**11
    assert set(device["peak_flop_per_s"]) <= {"bf16", "fp16", "fp8", "fp4"}
    assert all(
        text.endswith(" TFLOP/s") and float(text.split()[0]) >= 100 for text in device["peak_flop_per_s"].values()
    )


def test_a_device_by_its_datasheet() -> None:
    device = mapping(GALLERY / "devices" / "A100-SXM4-80GB.yaml")
    assert (device["memory"], device["memory_bandwidth"]) == ("80 GiB", "2.039 TB/s")
    assert (device["peak_flop_per_s"], device["tdp"]) == ({"bf16": "312 TFLOP/s"}, "400 W")
