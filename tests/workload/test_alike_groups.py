"""A plan laid on the links of a group that lies like another is the plan that is made for it alone."""

from __future__ import annotations

from typing import Any

import pytest

from clustersim.scenario.load import scenario_from_mapping
from clustersim.topology.table import build_cluster
from clustersim.workload import alike_groups
from clustersim.workload.group_plan import GroupPlanner
from clustersim.workload.job import build_job

NODES: dict[str, Any] = {
    "fabric": "leaf-spine",
    "nodes": 16,
    "gpus_per_node": 4,
    "nics_per_node": 4,
    "nodes_per_leaf": 2,
    "scaleup": {"bandwidth": "100 GB/s", "latency": "500 ns"},
    "nic": {"bandwidth": "10 GB/s", "latency": "1 us"},
    "collectives": {"simple": {"launch": "5 us", "network_step": "2 us"}, "tree": {"launch": "3 us"}},
}
SLOW_NIC = {"hosts": [{"match": "node5", "nic": {"bandwidth": "5 GB/s"}}]}
TOPOLOGIES = {
    "even": NODES,
    "a slow NIC": NODES | SLOW_NIC,
    "shared NICs": NODES | {"nics_per_node": 1},
    "hashed": NODES | {"routing": "ecmp"},
    "no switch in a node": NODES | {"layout": "mesh"},
    "ring": {"fabric": "ring", "gpus": 64, "link": {"bandwidth": "10 GB/s"}},
}


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_plans_are_those_made_for_each_group_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[tuple[int, ...]] = []

    class Counting(GroupPlanner):
        def __init__(self, gpus: tuple[int, ...], *rest: Any, **named: Any) -> None:
            planned.append(gpus)
            super().__init__(gpus, *rest, **named)

    monkeypatch.setattr(alike_groups, "GroupPlanner", Counting)
    exchange = {"axis": "tp", "op": "forward", "collective": "all-reduce", "size": "5 MB", "calls": 2}
    scenario = scenario_from_mapping(
        {
            "version": 1,
            "stage_costs": {"forward": "1 ms", "backward": "2 ms", "gradients": "61 MB", "exchanges": [exchange]},
            "cluster": {"topology": TOPOLOGIES[name]},
            "parallelism": {"tp": 4, "pp": 2, "dp": 8},
            "batch": {"num_microbatches": 2},
            "schedule": "1f1b",
        }
    )
    cluster = build_cluster(scenario.cluster.topology)
    job = build_job(scenario, cluster)
    for group in job.groups:
        planner = GroupPlanner([job.gpus[place.replica][place.pp_rank] for place in group.places], cluster, True)
        alone = {(name, size, times): planner.plan(name, size).repeated(times) for name, size, times in group.plans}
        assert group.plans == alone
    if name == "even":
        assert len(planned) < len(job.groups) / 4
