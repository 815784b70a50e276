"""For how long links carry all that they can."""

from __future__ import annotations

from typing import Any

import pytest

import clustersim as cs
from clustersim.analysis.utilization import full_ps
from clustersim.scenario.load import scenario_from_mapping

MS = 10**9


def trace_of(sharing: str, **topology: Any) -> cs.Trace:
    link = {"bandwidth": "50 GB/s", "sharing": sharing}
    job = {
        "version": 1,
        "stage_costs": {"forward": "10 ms", "backward": "20 ms", "message": "100 MB"},
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": 2, "link": link} | topology},
        "parallelism": {"pp": 2},
        "batch": {"num_microbatches": 8},
        "schedule": "1f1b",
    }
    return cs.simulate(scenario_from_mapping(job)).trace


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_a_link_of_one_sender_is_full_for_each_message(sharing: str) -> None:
    trace = trace_of(sharing)
    assert [full_ps(trace, link) for link in range(len(trace.links))] == [8 * 2 * MS, 8 * 2 * MS]


def test_a_wide_link_behind_narrow_ones_is_never_full() -> None:
    trace = cs.simulate("collision-scattered", ["cluster.topology.oversubscription=1.0"]).trace
    row_by_name = {name: row for row, name in enumerate(trace.links.name)}
    assert full_ps(trace, row_by_name["leaf0->spine0"]) <= int(trace.links.busy_ps[row_by_name["leaf0->spine0"]])
    assert full_ps(trace, row_by_name["gpu0->node0/switch"]) == 0
