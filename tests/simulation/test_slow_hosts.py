"""Hosts that compute slowly: their ops take longer, the others wait, and the result says so."""

from __future__ import annotations

from typing import Any

import pytest

import clustersim as cs
from clustersim.analysis.invariants import check_invariants
from clustersim.errors import ScenarioError
from clustersim.scenario.load import scenario_from_mapping

MS = 10**9


def result(slowdown: float | None, **sections: Any) -> cs.Result:
    override = {"match": "node1"} | ({} if slowdown is None else {"slowdown": slowdown})
    fabric = {"fabric": "leaf-spine", "nodes": 2, "gpus_per_node": 1, "scaleup": {}, "nic": {}, "hosts": [override]}
    document = {
        "version": 1,
        "stage_costs": {"forward": "10 ms", "backward": "20 ms"},
        "cluster": {"topology": fabric},
        "parallelism": {"pp": 2},
        "batch": {"num_microbatches": 4},
        "schedule": "1f1b",
    }
    run = cs.simulate(scenario_from_mapping(document | sections))
    check_invariants(run.trace)
    return run


def test_the_slow_rank_sets_the_pace() -> None:
    plain, slow = result(None), result(1.5)
    assert plain.trace.makespan_ps == (4 + 1) * 30 * MS
    # Rank 1 computes 4 x 45 ms after the first forward, and rank 0 ends with one backward more.
    assert slow.trace.makespan_ps == (10 + 4 * 45 + 20) * MS
    assert [rank.compute_ps for rank in slow.ranks] == [120 * MS, 180 * MS]
    assert any("1 of 2 GPUs compute slowly" in text and "rank 1 on node1" in text for text in slow.warnings)
    assert not any("slowly" in text for text in plain.warnings)


def test_times_are_rounded_up_once_an_op() -> None:
    third = result(1.3333, stage_costs={"forward": "1 ns", "backward": "1 ns"}, batch={"num_microbatches": 1})
    assert sorted({row for row in (third.trace.ops.end_ps - third.trace.ops.start_ps).tolist() if row}) == [1000, 1334]


@pytest.mark.parametrize("slowdown", [0.5, 0, -1, 1001])
def test_a_slowdown_is_no_speed_up(slowdown: float) -> None:
    with pytest.raises(ScenarioError, match="slowdown"):
        result(slowdown)
