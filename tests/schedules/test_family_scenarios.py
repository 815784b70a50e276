"""Every schedule from a scenario to its result: chunks, replicas, listed costs, weights, and what is refused."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

import clustersim as cs
from clustersim.analysis.invariants import check_invariants
from clustersim.errors import ScenarioError
from clustersim.scenario.load import scenario_from_mapping
from clustersim.scenario.schedule_choice import SCHEDULE_RULES
from clustersim.workload.stages import stage_costs

GIB = 2**30
TIMES = {"forward": "8 s", "input_grad": "8 s", "weight_grad": "8 s", "optimizer_step": "1 s"}
MEMORY = {"activation": "4 GiB", "weight_grad_activation": "2 GiB", "weights": "10 GiB"}
COSTS = TIMES | MEMORY | {"message": "1 GiB"}
BIDIRECTIONAL = [name for name, rules in SCHEDULE_RULES.items() if rules.is_bidirectional]
TWO_CHUNKED = [name for name, rules in SCHEDULE_RULES.items() if rules.chunks.smallest == 2]
FLUSHING = [name for name, rules in SCHEDULE_RULES.items() if not rules.is_continuous]
V_SHAPED = [name for name in TWO_CHUNKED if name not in BIDIRECTIONAL]


def scenario(**sections: Any) -> cs.Scenario:
    mapping: dict[str, Any] = {
        "version": 1,
        "stage_costs": COSTS,
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": 4}},
        "parallelism": {"pp": 4},
        "batch": {"num_microbatches": 8},
        "schedule": "1f1b",
    }
    return scenario_from_mapping(mapping | sections)


@pytest.mark.parametrize("name", FLUSHING)
def test_every_schedule_runs_from_a_scenario(name: str) -> None:
    result = cs.simulate(scenario(schedule=name))
    check_invariants(result.trace)
    # 8 micro-batches pass 4 ranks: full stages of 24 s each, and one optimizer step, which replicas share
    assert [row.compute_ps for row in result.ranks] == [(8 * 24 + 1) * 10**12] * 4


@pytest.mark.parametrize("name", TWO_CHUNKED)
def test_vpp_absent_one_and_two_are_the_same(name: str) -> None:
    runs = [cs.simulate(scenario(schedule=name, parallelism={"pp": 4} | vpp)) for vpp in ({}, {"vpp": 1}, {"vpp": 2})]
    assert len({run.step_time_s for run in runs}) == 1
    with pytest.raises(ScenarioError, match=f"{name} has two chunks per rank.*; got 3"):
        scenario(schedule=name, parallelism={"pp": 4, "vpp": 3})


@pytest.mark.parametrize("name", V_SHAPED)
def test_a_rank_s_costs_are_shared_by_two_chunks(name: str) -> None:
    odd = COSTS | {"forward": "7 ps", "activation": "5 B", "weight_grad_activation": "5 B"}
    costs = stage_costs(scenario(schedule=name, stage_costs=odd))
    assert [cost.forward_ps for cost in costs] == [4] * 4 + [3] * 4
    assert [cost.activation_bytes for cost in costs] == [3] * 4 + [2] * 4
    assert [cost.message_bytes for cost in costs] == [GIB] * 8


def test_hanayo_shares_them_over_its_waves() -> None:
    costs = stage_costs(scenario(schedule="hanayo", parallelism={"pp": 4, "vpp": 4}))
    assert [cost.weights_bytes for cost in costs] == [5 * GIB // 2] * 16
    with pytest.raises(ScenarioError, match="hanayo has two chunks per rank and wave"):
        scenario(schedule="hanayo", parallelism={"pp": 4, "vpp": 5})


@pytest.mark.parametrize("name", FLUSHING)
def test_weights_count_once_for_each_replica(name: str) -> None:
    replicas = 2 if name in BIDIRECTIONAL else 1
    result = cs.simulate(scenario(schedule=name))
    assert [row.weights_bytes for row in result.memory.ranks] == [replicas * 10 * GIB] * 4


@pytest.mark.parametrize("name", BIDIRECTIONAL)
def test_the_second_replica_copies_the_listed_stages(name: str) -> None:
    stages = [COSTS | {"forward": f"{second} s", "weights": f"{second} GiB"} for second in (1, 2, 3, 4)]
    listed = scenario(schedule=name, stage_costs={"stages": stages})
    assert [cost.forward_ps // 10**12 for cost in stage_costs(listed)] == [1, 2, 3, 4, 1, 2, 3, 4]
    # rank s holds stage s of the one replica and stage p - 1 - s of the other
    assert [row.weights_bytes for row in cs.simulate(listed).memory.ranks] == [5 * GIB] * 4
    with pytest.raises(ScenarioError, match=r"8 stages; pp = 4 are needed"):
        scenario(schedule=name, stage_costs={"stages": stages * 2})


@pytest.mark.parametrize("name", V_SHAPED)
def test_listed_stages_of_a_v_fold_back(name: str) -> None:
    stages = [COSTS | {"weights": f"{weight} GiB"} for weight in (1, 2, 3, 4, 50, 60, 70, 80)]
    listed = scenario(schedule=name, stage_costs={"stages": stages})
    assert [row.weights_bytes // GIB for row in cs.simulate(listed).memory.ranks] == [81, 72, 63, 54]
    with pytest.raises(ScenarioError, match=r"4 stages; pp \* vpp = 4 \* 2 are needed"):
        scenario(schedule=name, stage_costs={"stages": stages[:4]})


@pytest.mark.parametrize("name", V_SHAPED)
def test_the_turn_of_a_v_sends_nothing(name: str) -> None:
    result = cs.simulate(scenario(schedule=name))
    # of 8 stages in a row 7 pairs are neighbours, and the turn's stand on one rank; there and back, 8 micro-batches
    assert result.communication.by_axis["pp"].bytes == 6 * 2 * 8 * GIB


@pytest.mark.parametrize("name", BIDIRECTIONAL)
def test_only_one_direction_has_the_short_micro_batch(name: str) -> None:
    batch = {"global_batch_size": 31, "micro_batch_size": 4, "remainder": "short"}
    result = cs.simulate(scenario(schedule=name, batch=batch))
    full_ps = 24 * 10**12
    assert sum(row.compute_ps for row in result.ranks) == 4 * (Fraction(31, 4) * full_ps + 10**12)


def test_an_overlapped_slot_holds_both_activations_until_its_end() -> None:
    result = cs.simulate(scenario(schedule="dualpipe"))
    assert [row.peak_live_microbatches for row in result.memory.ranks] == [5] * 4  # p + 1
    shorter = cs.simulate(scenario(schedule="dualpipe", stage_costs=COSTS | {"forward_backward": "16 s"}))
    assert shorter.step_time_s < result.step_time_s
    assert [row.peak_live_microbatches for row in shorter.memory.ranks] == [5] * 4


@pytest.mark.parametrize("name", [name for name, rules in SCHEDULE_RULES.items() if not rules.allows_blocking_p2p])
def test_blocking_messages_are_refused(name: str) -> None:
    with pytest.raises(ScenarioError, match=f"{name} has no blocking form"):
        scenario(schedule=name, runtime={"p2p": "blocking"})


@pytest.mark.parametrize("name", [name for name, rules in SCHEDULE_RULES.items() if rules.splits_backward])
def test_a_sum_of_i_and_w_is_refused(name: str) -> None:
    with pytest.raises(ScenarioError, match=f"{name} runs the two halves of the backward apart"):
        scenario(schedule=name, stage_costs={"forward": "1 s", "backward": "2 s"})


@pytest.mark.parametrize(
    ("name", "sections", "rule"),
    [
        ("dualpipe", {"batch": {"num_microbatches": 6}}, r"num_microbatches >= 2 \* pp = 8"),
        ("dualpipe", {"batch": {"num_microbatches": 9}}, "an even number"),
        ("dualpipev", {"batch": {"num_microbatches": 7}}, r"num_microbatches >= 2 \* pp = 8"),
        ("chimera", {"parallelism": {"pp": 3}}, "an even pp"),
    ],
)
def test_a_shape_that_a_schedule_refuses_is_a_fault_of_the_scenario(
    name: str, sections: dict[str, Any], rule: str
) -> None:
    with pytest.raises(ScenarioError, match=f"schedule: {name}: .*{rule}"):
        cs.simulate(scenario(schedule=name, **sections))


def test_group_sizes_of_interleaved_zb() -> None:
    parallelism = {"pp": 4, "vpp": 2}
    grouped = {"name": "interleaved-zb", "group_size": 8}
    assert cs.simulate(scenario(schedule=grouped, parallelism=parallelism)).step_time_s > 0
    with pytest.raises(ScenarioError, match="group_size = 3 with p = 4 and m = 8"):
        scenario(schedule=grouped | {"group_size": 3}, parallelism=parallelism)
    with pytest.raises(
        ScenarioError, match="means nothing to looped-bfs; it is for interleaved-1f1b and interleaved-zb"
    ):
        scenario(schedule={"name": "looped-bfs", "group_size": 4}, parallelism=parallelism)
