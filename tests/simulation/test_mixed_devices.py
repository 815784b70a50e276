"""Clusters of more than one device: every rank computes a model as fast as its own GPU does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clustersim as cs
from clustersim.analysis.invariants import check_invariants
from clustersim.errors import ScenarioError
from clustersim.ops import Kind
from clustersim.scenario.devices import load_device
from clustersim.scenario.load import scenario_from_mapping
from clustersim.workload.model_costs import model_costs

GPT = {"num_layers": 4, "hidden_size": 1024, "num_attention_heads": 16, "vocab_size": 51200, "seq_length": 1024}
H100, A100 = "H100-SXM5-80GB", "A100-SXM4-80GB"
FAST, SLOW = load_device(H100), load_device(A100)


def job(num_nodes: int, old: str | None, gpus_per_node: int = 1, **sections: Any) -> cs.Scenario:
    fabric = {
        "fabric": "leaf-spine",
        "device": H100,
        "nodes": num_nodes,
        "gpus_per_node": gpus_per_node,
        "scaleup": {},
        "nic": {},
        "hosts": [{"match": old, "device": A100}] if old else [],
    }
    return scenario_from_mapping(
        {
            "version": 1,
            "model": GPT,
            "cluster": {"topology": fabric},
            "parallelism": {"pp": num_nodes},
            "batch": {"num_microbatches": 4},
            "schedule": "1f1b",
        }
        | sections
    )


def durations_ps(result: cs.Result, kind: Kind) -> list[set[int]]:
    """Return the durations of a kind's ops, by row of the ranks."""
    ops = result.trace.ops
    return [
        set((ops.end_ps - ops.start_ps)[(ops.rank_index == row) & (ops.kind == kind)].tolist())
        for row in range(len(result.trace.ranks))
    ]


def test_each_stage_takes_what_its_own_device_takes() -> None:
    scenario = job(2, "node1")
    result = cs.simulate(scenario)
    check_invariants(result.trace)
    fast, slow = model_costs(scenario, 2, FAST), model_costs(scenario, 2, SLOW)
    assert slow[1].forward_ps > 1.5 * fast[1].forward_ps
    assert durations_ps(result, Kind.F) == [{fast[0].forward_ps}, {slow[1].forward_ps}]
    assert durations_ps(result, Kind.B) == [{fast[0].backward_ps}, {slow[1].backward_ps}]
    assert durations_ps(result, Kind.OPTIMIZER) == [{fast[0].optimizer_ps}, {slow[1].optimizer_ps}]
    assert result.bound.step_time_s <= result.step_time_s


def test_the_run_lies_between_those_of_one_device() -> None:
    all_new, mixed, all_old = (cs.simulate(job(2, old)).trace.makespan_ps for old in (None, "node1", "node0-1"))
    assert all_new < mixed < all_old


def test_the_peak_that_mfu_is_of_is_the_mean_of_the_devices() -> None:
    results = [cs.simulate(job(2, old)) for old in (None, "node1", "node0-1")]
    new, mixed, old = (run.throughput.model_flop_per_s_per_gpu / run.throughput.mfu / 1e12 for run in results)
    assert (new, mixed, old) == (pytest.approx(989), pytest.approx((989 + 312) / 2), pytest.approx(312))


def test_what_the_costs_rest_on_is_the_busiest_rank_s_own_device() -> None:
    assert {part.of for part in cs.simulate(job(2, "node1")).cost_origins.parts if part.what == "gemm"} == {A100}


def test_replicas_may_differ_and_wait_for_the_slower() -> None:
    scenario = job(2, "node1", parallelism={"dp": 2}, batch={"num_microbatches": 2})
    result = cs.simulate(scenario)
    fast, slow = model_costs(scenario, 1, FAST)[0], model_costs(scenario, 1, SLOW)[0]
    assert durations_ps(result, Kind.F) == [{fast.forward_ps}, {slow.forward_ps}]
    ends = [int(np.max(result.trace.ops.end_ps[result.trace.ops.rank_index == row])) for row in (0, 1)]
    assert min(ends) > 2 * (slow.forward_ps + slow.backward_ps)  # the reduction is one that both take part in


def test_a_tensor_parallel_group_goes_at_the_pace_of_its_slowest_member() -> None:
    """Each op ends with an exchange of the group, so that the faster GPU waits in it for the slower."""
    scenario = job(2, "node1", parallelism={"tp": 2})
    result = cs.simulate(scenario)
    fast, slow = model_costs(scenario, 1, FAST)[0], model_costs(scenario, 1, SLOW)[0]
    assert durations_ps(result, Kind.F) == [{fast.forward_ps}, {slow.forward_ps}]
    alone = cs.simulate(job(2, "node0-1", parallelism={"tp": 2}))
    barred_ps = result.trace.makespan_ps - alone.trace.makespan_ps
    assert abs(barred_ps) <= abs(fast.optimizer_ps - slow.optimizer_ps)


def test_chunks_and_both_directions_are_on_their_rank_s_device() -> None:
    for schedule, parallelism in (("interleaved-1f1b", {"pp": 2, "vpp": 2}), ("dualpipe", {"pp": 2})):
        scenario = job(2, "node1", parallelism=parallelism, schedule=schedule)
        result = cs.simulate(scenario)
        check_invariants(result.trace)
        num_stages = 4 if schedule.startswith("inter") else 2
        fast, slow = model_costs(scenario, num_stages, FAST), model_costs(scenario, num_stages, SLOW)
        found = durations_ps(result, Kind.F)
        assert found[0] <= {cost.forward_ps for cost in fast}
        assert found[1] <= {cost.forward_ps for cost in slow}


def test_a_slow_host_of_another_device_is_slower_still() -> None:
    scenario = job(2, "node1")
    document = scenario.model_dump(mode="json", exclude_none=True)
    document["cluster"]["topology"]["hosts"] = [{"match": "node1", "device": A100, "slowdown": 2}]
    result = cs.simulate(scenario_from_mapping(document))
    slow = model_costs(scenario, 2, SLOW)[1]
    assert durations_ps(result, Kind.F)[1] == {2 * slow.forward_ps}


def test_every_device_must_be_able_to_do_it() -> None:
    hosts = [{"match": "node1", "device": "TPU-v4"}]
    scenario = job(2, None)
    document = scenario.model_dump(mode="json", exclude_none=True)
    document["cluster"]["topology"]["hosts"] = hosts
    with pytest.raises(ScenarioError, match="does not say what kernels reach on TPU-v4"):
        cs.simulate(scenario_from_mapping(document))


def test_rows_of_a_profile_are_chosen_by_device() -> None:
    rows = [
        {"part": "dense-layer", "device": device, "forward": forward, "backward": "20 ms"}
        for device, forward in ((H100, "4 ms"), (A100, "10 ms"))
    ]
    ends = [{"part": part, "forward": "0 ms", "backward": "0 ms"} for part in ("embedding", "output")]
    result = cs.simulate(job(2, "node1", profile={"rows": rows + ends}))
    assert durations_ps(result, Kind.F) == [{2 * 4 * 10**9}, {2 * 10 * 10**9}]
    with pytest.raises(ScenarioError, match=r"no row of dense-layer is for device A100-SXM4-80GB"):
        cs.simulate(job(2, "node1", profile={"rows": rows[:1] + ends}))
