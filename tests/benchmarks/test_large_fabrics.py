"""Fabrics of 100,000 GPUs: what it costs to build them and to find routes; times are printed, sizes asserted."""

from __future__ import annotations

import json
import subprocess
import sys
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
