"""What a better resource would change: what the path promises against what a run with changed costs gives."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest

import clustersim as cs
from clustersim.analysis.sensitivity import RESOURCES
from clustersim.result import WhatIfSummary
from clustersim.scenario.load import scenario_from_mapping

LINK = {"bandwidth": "1 GB/s", "latency": "1 ms"}
COSTS = {"forward": "10 ms", "input_grad": "12 ms", "weight_grad": "8 ms", "message": "3 MB"}
DGX = {"fabric": "leaf-spine", "nodes": 2, "gpus_per_node": 2, "nics_per_node": 2, "nodes_per_leaf": 1, "nic": LINK}


def result_of(**sections: Any) -> cs.Result:
    mapping: dict[str, Any] = {
        "version": 1,
        "stage_costs": COSTS,
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": 4, "link": LINK}},
        "parallelism": {"pp": 4},
        "batch": {"num_microbatches": 6},
        "schedule": "1f1b",
    }
    return cs.simulate(scenario_from_mapping(mapping | sections))


def answer(result: cs.Result, resource: str, factor: Fraction) -> WhatIfSummary:
    (row,) = cs.what_if(result, {resource: factor}).what_if
    return row


def is_kept(row: WhatIfSummary, result: cs.Result) -> bool:
    """Return whether the run gave what was promised, to a picosecond for each segment of the path."""
    off_ps = (row.step_time_s - row.promised_step_time_s) * 1e12
    return abs(off_ps) <= result.critical_path.num_segments + 1  # one more, as these are floats


@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("schedule", ["gpipe", "1f1b", "zb-h1", "zb-h2"])
def test_within_its_range_a_promise_is_kept_and_no_run_is_faster(schedule: str, resource: str) -> None:
    result = result_of(schedule=schedule)
    row = answer(result, resource, Fraction(8))
    slack_s = (result.critical_path.num_segments + 1) * 1e-12
    assert row.step_time_s >= row.promised_step_time_s - slack_s
    assert is_kept(row, result) == (row.exact_to_factor == 8)
    if row.exact_to_factor > 1:
        for part in (Fraction(1, 3), Fraction(1)):
            within = 1 + (Fraction(row.exact_to_factor) - 1) * part
            assert is_kept(answer(result, resource, within), result)
    if row.exact_to_factor < 8:
        beyond = answer(result, resource, Fraction(row.exact_to_factor) * Fraction("1.01"))
        assert not is_kept(beyond, result)


def test_where_another_path_takes_over() -> None:
    """One long message a way, or a second micro-batch's compute: the path changes where both take as long."""
    costs = {
        "stages": [{"forward": "1 ms", "backward": "1 ms", "message": "20 MB"}, {"forward": "9 ms", "backward": "9 ms"}]
    }
    topology = {"fabric": "full-mesh", "gpus": 2, "link": {"bandwidth": "1 GB/s"}}
    result = result_of(
        stage_costs=costs, cluster={"topology": topology}, parallelism={"pp": 2}, batch={"num_microbatches": 2}
    )
    # Two messages of 20 ms in a row, then rank 1's two ops of 9, a message of 20 and 1: the link counts three times.
    assert result.critical_path.resources_ps["network"] == 60 * 10**9
    row = answer(result, "network", Fraction(10))
    assert row.step_time_s > row.promised_step_time_s
    # With messages of x ms: 1 + 2x + 18 + x + 1 against 1 + x + 36 + x + 1; equal where x is 18.
    assert row.exact_to_factor == pytest.approx(20 / 18, rel=1e-9)


def test_scale_up_and_network_are_told_apart() -> None:
    exchange = {"axis": "tp", "op": "forward", "collective": "all-reduce", "size": "10 MB"}
    result = result_of(
        stage_costs=COSTS | {"exchanges": [exchange]},
        cluster={"topology": DGX | {"scaleup": {"bandwidth": "10 GB/s"}}},
        parallelism={"tp": 2, "pp": 2},
    )
    path = result.critical_path.resources_ps
    assert path["scale-up"] > 0
    assert path["network"] > 0
    for resource in ("scale-up", "network"):
        row = answer(result, resource, Fraction("1.1"))
        assert row.step_time_s < result.step_time_s
        assert is_kept(row, result)


def test_the_document_has_the_answers() -> None:
    result = cs.what_if(result_of(), dict.fromkeys(RESOURCES, Fraction("1.1")))
    rows = json.loads(result.to_json())["what_if"]
    assert [row["resource"] for row in rows] == list(RESOURCES)
    assert all(row["factor"] == 1.1 for row in rows)
    assert result_of().what_if == ()
