"""Whole runs with collectives whose every number can be worked out by hand.

All GPUs hang on one switch by links of 1 GB/s without latency, so that two of them reduce 1 GB in a second: each sends
half of it twice.
"""

from __future__ import annotations

from typing import Any

import clustersim as cs
from clustersim.analysis.invariants import check_invariants
from clustersim.scenario.load import scenario_from_mapping

S = 10**12  # ps
GB = 10**9
UNIT = {"forward": "1 s", "input_grad": "1 s", "weight_grad": "1 s"}
REDUCED = {"axis": "tp", "op": "forward", "collective": "all-reduce", "size": "1 GB"}


def simulate(bandwidth: str = "1 GB/s", costs: dict[str, Any] | None = None, **sections: Any) -> cs.Result:
    """Return the result of one micro-batch on 8 GPUs at most, with F = I = W = 1 s."""
    mapping: dict[str, Any] = {
        "version": 1,
        "stage_costs": UNIT | (costs or {}),
        "cluster": {"topology": {"fabric": "single-node", "gpus": 8, "scaleup": {"bandwidth": bandwidth}}},
        "batch": {"num_microbatches": 1},
        "schedule": "1f1b",
    }
    result = cs.simulate(scenario_from_mapping(mapping | sections))
    check_invariants(result.trace)
    return result


def test_a_link_that_is_busy_all_the_time_is_not_busy_for_longer() -> None:
    nothing = {"forward": "0 s", "input_grad": "0 s", "weight_grad": "0 s"}
    # Three members send 4/3 of a byte each, which takes 4/3 s and no whole number of bytes.
    result = simulate("1 B/s", nothing | {"exchanges": [REDUCED | {"size": "1 B"}]}, parallelism={"tp": 3})
    assert result.trace.makespan_ps == 1_333_333_333_334
    assert set(result.trace.links.busy_ps.tolist()) == {result.trace.makespan_ps}
