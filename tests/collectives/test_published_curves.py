"""All-reduce bus bandwidths against published curves, with the constants that stand in the topology files."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from clustersim.scenario.topology_file import load_topology
from clustersim.topology.table import build_cluster
from clustersim.workload.group_plan import GroupPlanner, idle_ps

CURVES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "published_curves.json").read_text())["curves"]


def errors(curve: dict[str, Any]) -> list[float]:
    """Return by how much our bus bandwidth is off, in parts of the published one, for each size."""
    num_gpus = curve["gpus"]
    cluster = build_cluster(load_topology(curve["topology"], num_gpus))  # type: ignore[arg-type]
    planner = GroupPlanner(range(num_gpus), cluster)
    found = []
    for size_bytes, published_gb_per_s in curve["rows"]:
        time_s = idle_ps(planner.plan("all-reduce", size_bytes), cluster) / 1e12
        bus_bytes_per_s = 2 * (num_gpus - 1) / num_gpus * size_bytes / time_s
        found.append(bus_bytes_per_s / 1e9 / published_gb_per_s - 1)
    return found


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: f"{curve['topology']}-{curve['gpus']}")
def test_the_median_error_over_sizes_is_at_most_a_tenth(curve: dict[str, Any]) -> None:
    assert len(curve["rows"]) >= 11
    assert median(map(abs, errors(curve))) <= 0.10


@pytest.mark.parametrize("topology", ["dgx-h200", "dgx-b200", "dgx-b300", "gb200-nvl72", "gb300-nvl72"])
def test_long_rings_take_alike_on_machines_of_one_kind(topology: str) -> None:
    # no curve of many GPUs is published: steps that come of fits to few of them must not run away with the ring
    times_ps = []
    for name in (topology, "dgx-h100"):
        cluster = build_cluster(load_topology(name, 288))  # type: ignore[arg-type]
        times_ps.append(idle_ps(GroupPlanner(range(288), cluster).plan("reduce-scatter", 16 * 2**20), cluster))
    assert times_ps[0] <= 2 * times_ps[1]
