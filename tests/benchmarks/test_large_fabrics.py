"""Fabrics of 100,000 GPUs: what it costs to build them and to find routes; times are printed, sizes asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BUILD_AND_ROUTE = """
import json, random, resource, sys, time
from pydantic import TypeAdapter
from clustersim.scenario.fabrics import Topology
from clustersim.topology import build_cluster
started = time.perf_counter()
cluster = build_cluster(TypeAdapter(Topology).validate_json(sys.argv[1]))
built = time.perf_counter()
chosen = random.Random(1)
for _ in range(100_000):
    cluster.route(chosen.randrange(100_000), chosen.randrange(100_000))
routed = time.perf_counter()
rss_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps([len(cluster.gpus), len(cluster.links), built - started, routed - built, rss_bytes]))
"""
NODES = {"nodes": 12_500, "gpus_per_node": 8, "nics_per_node": 8, "scaleup": {}, "nic": {"bandwidth": "400 Gbps"}}


@pytest.mark.parametrize(
    ("mapping", "num_links"),
    [
        # 1,563 leaves of 64 NICs in 25 pods: links of GPUs, of PCIe, of NICs, above leaves, above aggregation
        (NODES | {"fabric": "fat-tree", "radix": 128}, 2 * (3 * 100_000 + 1563 * 64 + 25 * 64 * 64)),
        (NODES | {"fabric": "rail-fat-tree", "radix": 128}, 2 * (3 * 100_000 + 1568 * 64 + 25 * 64 * 64)),
        ({"fabric": "torus", "dims": [40, 50, 50]}, 2 * 300_000),
    ],
    ids=["fat-tree", "rail-fat-tree", "torus"],
)
def test_100_000_gpus_and_as_many_routes(mapping: dict[str, Any], num_links: int) -> None:
    command = [sys.executable, "-c", BUILD_AND_ROUTE, json.dumps(mapping)]
    answer = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    gpus, links, build_s, route_s, rss_bytes = json.loads(answer)
    print(
        f"{mapping['fabric']}: built in {build_s:.2f} s, 100,000 routes in {route_s:.2f} s, {rss_bytes / 2**30:.2f} GiB"
    )
    assert (gpus, links) == (100_000, num_links)
    assert rss_bytes < 2**30


DESCRIBE = """
import resource, sys, time
from clustersim.cli import main
started = time.perf_counter()
try:
    main(["describe", sys.argv[1], "--json"])
finally:
    rss_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(time.perf_counter() - started, rss_bytes, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("mapping", "fraction"),
    [
        # 12 whole pods of 4,096 NICs with half as much above them, and 848 NICs that meet the others of their pod in it
        (NODES | {"fabric": "fat-tree", "radix": 128, "oversubscription": [1, 2]}, (12 * 2048 + 848) / 50_000),
        (NODES | {"fabric": "dragonfly", "nics_per_router": 16, "routers_per_group": 32, "global_links_per_router": 16},
         0.38878),  # about 98 of 196 groups, 2 links to each of the others: not proven the least
        ({"fabric": "torus", "dims": [40, 50, 50], "link": {"bandwidth": "50 GB/s"}}, 2 * 2 / 50 / 6),
        ({"fabric": "full-mesh", "gpus": 100_000, "link": {"bandwidth": "50 GB/s"}}, 50_000 / 99_999),
    ],
    ids=["fat-tree", "dragonfly", "torus", "full-mesh"],
)  # fmt: skip
def test_100_000_gpus_are_described(mapping: dict[str, Any], fraction: float, tmp_path: Path) -> None:
    (tmp_path / "large.json").write_text(json.dumps(mapping))
    command = [sys.executable, "-c", DESCRIBE, str(tmp_path / "large.json")]
    answer = subprocess.run(command, capture_output=True, check=True, text=True)
    seconds, rss_bytes = map(float, answer.stderr.split())
    print(f"{mapping['fabric']}: described in {seconds:.2f} s, {rss_bytes / 2**30:.2f} GiB")
    document = json.loads(answer.stdout)
    assert (document["num_gpus"], document["num_parts"]) == (100_000, 1)
    assert document["bisection"]["fraction"] == pytest.approx(fraction, rel=1e-4)
    assert document["bisection"]["is_exact"] == (mapping["fabric"] != "dragonfly")
    assert rss_bytes < 2**30
