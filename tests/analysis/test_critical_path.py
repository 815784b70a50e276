"""The critical path by hand; that it is gapless is a law, which every trace of every test keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import clustersim as cs
from clustersim.analysis.critical_path import Cause, CriticalPath, critical_path
from clustersim.scenario.load import scenario_from_mapping

MS = 10**9  # ps
COMPUTE, MESSAGE, COLLECTIVE, LATENCY, CONTENTION, SCHEDULER = Cause
FUSED = {"forward": "10 ms", "backward": "20 ms", "message": "2 MB"}
MESH = {"fabric": "full-mesh", "gpus": 2, "link": {"bandwidth": "1 GB/s", "latency": "1 ms"}}
SWITCH = {"fabric": "single-node", "gpus": 8, "scaleup": {"bandwidth": "1 GB/s"}}


def result_of(topology: Any = MESH, costs: Any = FUSED, **sections: Any) -> cs.Result:
    mapping: dict[str, Any] = {
        "version": 1,
        "stage_costs": costs,
        "cluster": {"topology": topology},
        "parallelism": {"pp": 2},
        "batch": {"num_microbatches": 1},
        "schedule": "1f1b",
    }
    return cs.simulate(scenario_from_mapping(mapping | sections))


def told(path: CriticalPath) -> list[tuple[int, int, Cause]]:
    """Return (rank, milliseconds, cause) of each segment."""
    columns = (path.rank_index, path.duration_ps // MS, path.cause)
    return [(rank, lasts, Cause(cause)) for rank, lasts, cause in zip(*(c.tolist() for c in columns), strict=True)]


def test_down_the_pipeline_and_back() -> None:
    path = critical_path(result_of().trace)
    assert told(path) == [
        (0, 10, COMPUTE),
        (0, 2, MESSAGE),
        (0, 1, LATENCY),
        (1, 10, COMPUTE),
        (1, 20, COMPUTE),
        (1, 2, MESSAGE),
        (1, 1, LATENCY),
        (0, 20, COMPUTE),
    ]
    assert [row >= 0 for row in path.op] == [True, False, False, True, True, False, False, True]
    assert path.transfer.tolist() == [-1, 0, 0, -1, -1, 1, 1, -1]


def test_a_message_behind_others_leads_to_the_first_of_them() -> None:
    costs = {"forward": "1 ms", "backward": "2 ms", "message": "5 MB"}
    result = result_of(costs=costs, schedule="gpipe", batch={"num_microbatches": 3})
    # All three forwards are done at 3 ms, but each message takes 5: the third waits for the second, and that for the
    # first. Then rank 1 has B0, B1, B2 of 2 ms each, whose gradients queue up in the same way.
    assert told(critical_path(result.trace)) == [
        (0, 1, COMPUTE),
        (0, 5, CONTENTION),
        (0, 5, CONTENTION),
        (0, 5, MESSAGE),
        (0, 1, LATENCY),
        (1, 1, COMPUTE),
        (1, 2, COMPUTE),
        (1, 5, CONTENTION),
        (1, 5, CONTENTION),
        (1, 5, MESSAGE),
        (1, 1, LATENCY),
        (0, 2, COMPUTE),
    ]


def test_the_barrier_leads_to_the_rank_that_came_last() -> None:
    costs = {"forward": "10 ms", "backward": "20 ms", "optimizer_step": "5 ms"}
    result = result_of({"fabric": "full-mesh", "gpus": 2}, costs)
    # Both update from 60 to 65 ms; the lower of two equal ranks ends the path, and rank 0 came to the barrier last.
    assert told(critical_path(result.trace)) == [
        (0, 10, COMPUTE),
        (1, 10, COMPUTE),
        (1, 20, COMPUTE),
        (0, 20, COMPUTE),
        (0, 5, COMPUTE),
    ]


def test_a_rendezvous_waits_for_the_later_side() -> None:
    costs = {"stages": [{"forward": "1 ms", "backward": "1 ms"}, {"forward": "10 ms", "backward": "10 ms"}]}
    result = result_of(
        {"fabric": "full-mesh", "gpus": 2}, costs, batch={"num_microbatches": 3}, runtime={"p2p": "blocking"}
    )
    path = critical_path(result.trace)
    # Rank 1 computes all the time but for the first forward and the last backward of rank 0.
    assert set(path.cause.tolist()) == {COMPUTE}
    assert path.duration_ps[path.rank_index == 1].sum() == 60 * MS
    assert path.duration_ps[path.rank_index == 0].tolist() == [MS, MS]


def test_collectives_of_a_group_follow_one_another() -> None:
    exchange = {"axis": "tp", "op": "forward", "collective": "all-reduce", "size": "1 MB"}
    costs = {"forward": "10 ms", "backward": "20 ms", "exchanges": [exchange, exchange]}
    path = critical_path(result_of(SWITCH, costs, parallelism={"tp": 2}).trace)
    # Each of two members sends half a megabyte twice over its link of 1 GB/s.
    assert told(path) == [(0, 10, COMPUTE), (0, 1, COLLECTIVE), (0, 1, COLLECTIVE), (0, 20, COMPUTE)]
    assert path.collective.tolist() == [-1, 0, 1, -1]


def test_what_sharing_costs_is_contention() -> None:
    topology = SWITCH | {"scaleup": {"bandwidth": "1 GB/s", "sharing": "fair"}}
    costs = {"forward": "1 ms", "backward": "2 ms", "message": "10 MB"}
    result = result_of(topology, costs, schedule="gpipe", batch={"num_microbatches": 2})
    path = critical_path(result.trace)
    # The first activation has the uplink alone from 1 to 2 ms and shares it with the second to 20 ms; the first
    # gradient has it from 24 to 26 ms and shares it to 42 ms. Each takes 10 ms alone.
    assert told(path) == [
        (0, 1, COMPUTE),
        (0, 1, MESSAGE),
        (0, 9, MESSAGE),
        (0, 9, CONTENTION),
        (1, 1, COMPUTE),
        (1, 1, COMPUTE),
        (1, 2, COMPUTE),
        (1, 2, MESSAGE),
        (1, 8, MESSAGE),
        (1, 8, CONTENTION),
        (0, 2, COMPUTE),
        (0, 2, COMPUTE),
    ]


def test_what_nothing_explains_is_the_scheduler_s() -> None:
    """A rank that starts later than all that it waited for: as if its host had been slow."""
    trace = result_of().trace
    late = trace.ops.start_ps + np.where(np.arange(len(trace.ops)) == 0, 5 * MS, 0)
    path = critical_path(replace(trace, ops=replace(trace.ops, start_ps=late)))
    assert told(path)[:2] == [(0, 5, SCHEDULER), (0, 5, COMPUTE)]


@pytest.mark.parametrize("schedule", ["gpipe", "1f1b", "zb-h1"])
def test_blame_adds_up_to_the_makespan(schedule: str) -> None:
    costs = {"forward": "10 ms", "input_grad": "9 ms", "weight_grad": "8 ms", "message": "2 MB"}
    summary = result_of(costs=costs, schedule=schedule, batch={"num_microbatches": 5}).critical_path
    assert sum(part.time_ps for part in summary.blame) == summary.makespan_ps
    assert [part.time_ps for part in summary.blame] == sorted((p.time_ps for p in summary.blame), reverse=True)
    compute_ps = sum(part.time_ps for part in summary.blame if part.cause == "compute")
    assert compute_ps == summary.resources_ps["compute"]
    assert sum(summary.resources_ps.values()) == summary.makespan_ps
    assert {(part.axis, part.resource) for part in summary.blame if part.cause == "message"} == {("pp", "gpu-gpu")}
