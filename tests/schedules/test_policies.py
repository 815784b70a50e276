"""Online policies from a scenario file: what they may say, and what comes out."""

from __future__ import annotations

from typing import Any

import pytest

import clustersim as cs
from clustersim.analysis.invariants import check_invariants
from clustersim.errors import ScenarioError
from clustersim.scenario.load import scenario_from_mapping

SPLIT = {"forward": "10 ms", "input_grad": "10 ms", "weight_grad": "10 ms"}
FUSED = {"forward": "10 ms", "backward": "20 ms"}


def simulate(schedule: Any, costs: dict[str, str] = SPLIT, **sections: Any) -> cs.Result:
    mapping: dict[str, Any] = {
        "version": 1,
        "stage_costs": costs,
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": 8}},
        "parallelism": {"pp": 4},
        "batch": {"num_microbatches": 16},
        "schedule": schedule,
    }
    result = cs.simulate(scenario_from_mapping(mapping | sections))
    check_invariants(result.trace)
    return result


def test_forward_first_with_a_whole_backward_is_gpipe() -> None:
    online, gpipe = simulate({"policy": "forward-first"}, FUSED), simulate("gpipe", FUSED)
    assert online.schedule == "policy:forward-first"
    assert online.trace.ops.start_ps.tolist() == gpipe.trace.ops.start_ps.tolist()


def test_backward_first_with_parted_halves_is_as_fast_as_zb_h1() -> None:
    assert simulate({"policy": "backward-first"}).step_time_s <= simulate("zb-h1").step_time_s


@pytest.mark.parametrize("bound", [2, 4])
def test_memory_bounded_keeps_to_its_limit(bound: int) -> None:
    result = simulate({"policy": "memory-bounded", "limit": {"microbatches": bound}}, steps=2)
    assert max(row.peak_live_microbatches for row in result.memory.ranks) == bound


def test_policies_order_chunks_and_replicas_too() -> None:
    result = simulate({"policy": "backward-first"}, FUSED, parallelism={"pp": 4, "vpp": 2, "dp": 2})
    assert len(result.trace.ranks) == 8
    assert result.bound.gap is not None
    assert result.bound.gap >= 0


@pytest.mark.parametrize(
    ("schedule", "what"),
    [
        ({"policy": "memory-bounded"}, "give `limit: {microbatches: N}`"),
        ({"policy": "eager"}, "forward-first"),
        ({"policy": "backward-first", "name": "1f1b"}, "a schedule is one of"),
        ({"name": "gpipe", "moe_overlap": True}, "means nothing to gpipe; it is for interleaved-1f1b"),
    ],
)
def test_what_a_policy_may_not_say(schedule: Any, what: str) -> None:
    with pytest.raises(ScenarioError, match=r".*") as caught:
        simulate(schedule)
    assert what in str(caught.value)


def test_expert_parallel_overlap_warms_up_once_more() -> None:
    plain, overlapped = (
        simulate({"name": "interleaved-1f1b", "moe_overlap": moe}, FUSED, parallelism={"pp": 4, "vpp": 2})
        for moe in (False, True)
    )
    peaks = [[row.peak_live_microbatches for row in result.memory.ranks] for result in (plain, overlapped)]
    assert [peak + 1 for peak in peaks[0]] == peaks[1]
