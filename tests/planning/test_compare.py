"""Comparisons: every schedule a row, its own parameters its own, the shortest step that fits the best."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clustersim.planning.compare import compare
from clustersim.scenario.load import scenario_from_mapping
from clustersim.scenario.spec import Scenario


def scenario(**sections: Any) -> Scenario:
    mapping: dict[str, Any] = {
        "version": 1,
        "stage_costs": {"forward": "1 s", "input_grad": "1 s", "weight_grad": "1 s", "activation": "1 GiB"},
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": 4, "device": "A100-SXM4-80GB"}},
        "parallelism": {"pp": 4},
        "batch": {"num_microbatches": 16},
        "schedule": "1f1b",
    }
    return scenario_from_mapping(mapping | sections)


def test_the_textbook_comparison() -> None:
    found = compare(scenario(), ["gpipe", "1f1b", "zb-h1"])
    assert [row.step_time_s for row in found.rows] == [57.0, 57.0, 51.0]
    assert [row.bubble and row.bubble["overhead"] for row in found.rows] == [3 / 16, 3 / 16, 1 / 16]
    peaks = [[rank["peak_bytes"] // 2**30 for rank in row.memory["ranks"]] for row in found.rows if row.memory]
    assert peaks == [[16, 16, 16, 16], [4, 3, 2, 1], [4, 4, 4, 4]]
    assert found.best == "zb-h1"
    # No order beats m S + (p - 1) F here: a forward must reach the last rank, and W needs no one.
    assert [row.gap_to_bound for row in found.rows] == pytest.approx([6 / 51, 6 / 51, 0])


def test_one_that_does_not_fit_is_not_the_best() -> None:
    costs = {"forward": "1 s", "input_grad": "1 s", "weight_grad": "1 s", "activation": "10 GiB"}
    found = compare(scenario(stage_costs=costs), ["gpipe", "1f1b"])
    assert [(row.status, row.reason) for row in found.rows] == [("unfit", "does not fit in memory"), ("ok", "")]
    assert found.best == "1f1b"
    assert compare(scenario(stage_costs=costs), ["gpipe"]).best is None


def test_refusals_name_their_rule() -> None:
    two_chunks = scenario(parallelism={"pp": 4, "vpp": 2}, schedule="interleaved-1f1b")
    found = compare(two_chunks, ["1f1b", "interleaved-1f1b"])
    assert [row.status for row in found.rows] == ["refused", "ok"]
    assert "parallelism.vpp" in found.rows[0].reason
    assert "one chunk per rank" in found.rows[0].reason
    assert found.rows[0].step_time_s is None


def test_parameters_of_a_schedule_hold_for_that_one_only() -> None:
    grouped = scenario(schedule={"name": "interleaved-1f1b", "group_size": 16}, parallelism={"pp": 4, "vpp": 2})
    ungrouped = scenario(schedule="interleaved-1f1b", parallelism={"pp": 4, "vpp": 2})
    with_group, without = (compare(job, ["interleaved-1f1b"]).rows[0] for job in (grouped, ungrouped))
    assert with_group.memory != without.memory
    flat = scenario(schedule={"name": "interleaved-1f1b", "group_size": 16})
    assert [row.status for row in compare(flat, ["1f1b", "gpipe"]).rows] == ["ok", "ok"]


def test_a_schedule_named_twice_is_one_row_and_the_document_is_json() -> None:
    found = compare(scenario(), ["1f1b", "1f1b"]).to_dict()
    assert json.loads(json.dumps(found)) == found
    assert (found["schema"], found["best"], len(found["rows"])) == ("clustersim/compare/1", "1f1b", 1)
    assert {"schedule", "status", "reason", "step_time_s", "bubble", "memory", "gap_to_bound"} <= set(found["rows"][0])
