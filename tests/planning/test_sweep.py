"""Sweeps: every combination in order, failures kept as rows, and closed forms along an axis."""

from __future__ import annotations

import json
from typing import Any

import pytest

import clustersim as cs
from clustersim.errors import LimitError, ScenarioError
from clustersim.limits import Limits
from clustersim.planning.sweep import MEASURES
from clustersim.scenario.load import scenario_from_mapping


def scenario(**sections: Any) -> cs.Scenario:
    mapping: dict[str, Any] = {
        "version": 1,
        "stage_costs": {"forward": "1 s", "input_grad": "1 s", "weight_grad": "1 s", "activation": "1 GiB"},
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": 4, "device": "A100-SXM4-80GB"}},
        "parallelism": {"pp": 4},
        "batch": {"num_microbatches": 8},
        "schedule": "1f1b",
    }
    return scenario_from_mapping(mapping | sections)


def test_the_bubble_overhead_falls_as_p_minus_1_over_m() -> None:
    found = cs.sweep(scenario(), {"batch.num_microbatches": [4, 8, 16]})
    assert [row.measures["bubble_overhead"] for row in found.rows] == [3 / 4, 3 / 8, 3 / 16]
    assert [row.measures["step_time_s"] for row in found.rows] == [3.0 * (m + 3) for m in (4, 8, 16)]
    assert {row.status for row in found.rows} == {"ok"}


def test_the_last_axis_varies_fastest() -> None:
    found = cs.sweep(scenario(), {"schedule": ["gpipe", "1f1b"], "batch.num_microbatches": [4, 8]})
    points = [tuple(row.values.values()) for row in found.rows]
    assert points == [("gpipe", 4), ("gpipe", 8), ("1f1b", 4), ("1f1b", 8)]


def test_given_axes_add_to_those_of_the_scenario_and_replace_them() -> None:
    own = scenario(sweep={"axes": {"steps": [1, 2], "seed": [0]}})
    assert cs.sweep(own).axes == {"steps": (1, 2), "seed": (0,)}
    assert cs.sweep(own, {"seed": [1, 2], "schedule": ["gpipe"]}).axes == {
        "steps": (1, 2),
        "seed": (1, 2),
        "schedule": ("gpipe",),
    }


def test_a_row_is_what_simulating_the_point_gives() -> None:
    (row,) = cs.sweep(scenario(), {"batch.num_microbatches": [5]}).rows
    result = cs.simulate(scenario(batch={"num_microbatches": 5}))
    assert row.measures == {name: measure(result) for name, measure in MEASURES.items()}


def test_points_that_cannot_run_are_rows_with_their_reason() -> None:
    axes: dict[str, list[Any]] = {"schedule": ["1f1b", "zb-h1"], "batch.num_microbatches": [0, 8]}
    fused = scenario(stage_costs={"forward": "1 s", "backward": "2 s"})
    rows = cs.sweep(fused, axes).rows
    assert [row.status for row in rows] == ["refused", "ok", "refused", "refused"]
    assert "batch.num_microbatches" in rows[0].reason
    assert "zb-h1 runs the two halves of the backward apart" in rows[3].reason
    assert set(rows[0].measures.values()) == {None}
    assert list(rows[0].measures) == list(rows[1].measures)


def test_two_ways_of_giving_the_batch_are_refused_where_they_disagree() -> None:
    rows = cs.sweep(scenario(batch={"global_batch_size": 8}), {"batch.num_microbatches": [8, 16]}).rows
    assert [row.status for row in rows] == ["ok", "refused"]
    assert "global_batch_size 8 makes 8 per replica" in rows[1].reason


def test_what_does_not_fit_is_measured_and_said() -> None:
    rows = cs.sweep(scenario(), {"stage_costs.weights": ["10 GiB", "90 GiB"]}).rows
    assert [(row.status, row.reason) for row in rows] == [("ok", ""), ("unfit", "does not fit in memory")]
    assert rows[1].measures["peak_bytes"] == 94 * 2**30


def test_a_point_that_uses_up_its_budget_is_refused() -> None:
    rows = cs.sweep(scenario(), {"batch.num_microbatches": [1, 4000]}, Limits(max_events=10_000)).rows
    assert [row.status for row in rows] == ["ok", "refused"]
    assert "--max-events 10000" in rows[1].reason


def test_too_many_points_are_refused_before_any_runs() -> None:
    done: list[object] = []
    huge = {"seed": list(range(200)), "steps": list(range(1, 102))}
    with pytest.raises(LimitError, match=r"200 \* 101 = 20200 points; allowed: --max-sweep-points 10000") as caught:
        cs.sweep(scenario(), huge, on_row=done.append)
    assert caught.value.exit_code == 6
    assert not done


@pytest.mark.parametrize(
    ("axes", "what"),
    [
        ({}, "nothing to vary"),
        ({"parallelism.p": [2]}, "parallelism.p"),
        ({"seed": []}, "must not be empty"),
        ({"sweep.axes": [1]}, "no key of a scenario that can be varied"),
    ],
)
def test_axes_that_mean_nothing_are_errors(axes: dict[str, list[int]], what: str) -> None:
    with pytest.raises(ScenarioError, match=what):
        cs.sweep(scenario(), axes)


def test_the_document_is_flat_json() -> None:
    found = cs.sweep(scenario(), {"schedule": ["gpipe", {"name": "zb-h1"}]}).to_dict()
    assert json.loads(json.dumps(found)) == found
    assert found["schema"] == "clustersim/sweep/1"
    assert list(found["rows"][0])[:3] == ["schedule", "status", "reason"]


def test_each_row_is_told_as_it_is_done() -> None:
    told: list[object] = []
    found = cs.sweep(scenario(), {"seed": [1, 2]}, on_row=told.append)
    assert told == list(found.rows)


def test_a_scenario_may_be_named() -> None:
    assert len(cs.sweep("bubble-by-batch").rows) == 6
