"""Whole runs with collectives whose every number can be worked out by hand.

All GPUs hang on one switch by links of 1 GB/s without latency, so that two of them reduce 1 GB in a second: each sends
half of it twice.
"""

from __future__ import annotations

from typing import Any

import pytest

import clustersim as cs
from clustersim.analysis.invariants import check_invariants
from clustersim.errors import ScenarioError
from clustersim.ops import Kind
from clustersim.scenario.load import scenario_from_mapping
from clustersim.topology.table import build_cluster
from clustersim.workload.group_plan import GroupPlanner, idle_ps

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


def test_an_exchange_follows_its_op_and_is_exposed() -> None:
    result = simulate(costs={"exchanges": [REDUCED]}, parallelism={"tp": 2})
    # F 1, all-reduce 1, B 2.
    assert result.step_time_s == 4
    assert (result.time_s.compute, result.time_s.exposed_communication, result.time_s.bubble) == (3, 1, 0)
    tp = result.communication.by_axis["tp"]
    assert (tp.bytes, tp.busy_s, tp.exposed_s) == (2 * GB, 1, 1)  # each of the two sends 2 (n - 1)/n GB
    assert (result.trace.collectives.start_ps.tolist(), result.trace.collectives.end_ps.tolist()) == ([S], [2 * S])


def test_calls_of_an_op_follow_one_another() -> None:
    twice = simulate(costs={"exchanges": [REDUCED | {"calls": 2}, REDUCED | {"op": "backward"}]}, parallelism={"tp": 2})
    assert twice.step_time_s == 1 + 2 + 2 + 1
    assert twice.communication.by_axis["tp"].bytes == 6 * GB


def test_an_overlapped_exchange_runs_beside_its_op() -> None:
    hidden = simulate(
        costs={"exchanges": [REDUCED | {"size": "1.5 GB"}]},
        parallelism={"tp": 2},
        runtime={"overlap": {"tp": True}},
    )
    # Both begin at 0; the forward ends at 1 and its exchange at 1.5.
    assert hidden.step_time_s == 3.5
    assert hidden.time_s.exposed_communication == 0.5


def test_buckets_of_gradients_are_reduced_beside_the_last_backward() -> None:
    sections: dict[str, Any] = {"costs": {"gradients": "4 GB"}, "parallelism": {"dp": 2}}
    overlapped = simulate(**sections, runtime={"gradient_bucket": "1 GB"})
    # F to 1; the backward's four parts end at 1.5, 2, 2.5 and 3; their buckets take a second each, from 1.5 on.
    assert overlapped.trace.collectives.queued_ps.tolist() == [3 * S // 2, 2 * S, 5 * S // 2, 3 * S]
    assert overlapped.trace.collectives.end_ps.tolist() == [5 * S // 2, 7 * S // 2, 9 * S // 2, 11 * S // 2]
    assert overlapped.step_time_s == 5.5
    assert overlapped.time_s.exposed_communication == 2.5
    at_the_end = simulate(**sections, runtime={"overlap": {"grad_reduce": False}})
    assert at_the_end.step_time_s == 3 + 4
    assert at_the_end.time_s.exposed_communication == 4
    assert [run.communication.by_axis["dp"].bytes for run in (overlapped, at_the_end)] == [8 * GB, 8 * GB]
    # A bucket that waits for the one before it keeps nobody busy twice.
    assert [run.communication.by_axis["dp"].busy_s for run in (overlapped, at_the_end)] == [4, 4]


def test_an_exchange_beside_a_backward_begins_with_the_first_bucket_of_its_gradients() -> None:
    mesh = {"topology": {"fabric": "full-mesh", "gpus": 4, "link": {"bandwidth": "1 GB/s"}}}
    result = simulate(
        costs={"gradients": "400 MB", "exchanges": [REDUCED | {"op": "backward"}]},
        cluster=mesh,
        parallelism={"tp": 2, "dp": 2},
        runtime={"gradient_bucket": "100 MB", "overlap": {"tp": True}},
    )
    collectives = result.trace.collectives
    starts = collectives.start_ps[[operation == "all-reduce" for operation in collectives.operation]]
    assert sorted(set(starts.tolist())) == [S, 3 * S // 2, 2 * S, 5 * S // 2, 3 * S]
    assert result.communication.by_axis["tp"].exposed_s == 0
    assert result.step_time_s == 3.1


def test_a_distributed_optimizer_scatters_gradients_and_gathers_weights() -> None:
    sections: dict[str, Any] = {
        "costs": {"gradients": "2 GB", "weights": "2 GB", "optimizer_step": "1 s"},
        "parallelism": {"dp": 2, "zero_stage": 1},
        "steps": 2,
    }
    before = simulate(**sections, runtime={"gradient_bucket": "2 GB"})
    # Each step: gather 1, F 1, B 2, reduce-scatter 1, optimizer 1; half of 2 GB goes each way.
    assert before.step_time_s == 6
    assert before.trace.collectives.operation == ("all-gather", "reduce-scatter") * 2
    assert before.trace.collectives.start_ps.tolist() == [0, 4 * S, 6 * S, 10 * S]
    after = simulate(**sections, runtime={"overlap": {"grad_reduce": False, "param_gather": False}})
    assert after.trace.collectives.operation == ("reduce-scatter", "all-gather") * 2
    assert after.trace.collectives.start_ps.tolist() == [3 * S, 5 * S, 9 * S, 11 * S]
    assert [run.communication.by_axis["dp"].bytes for run in (before, after)] == [4 * GB, 4 * GB]


def test_weights_that_are_gathered_while_a_rank_waits_for_its_input_cost_it_nothing() -> None:
    result = simulate(costs={"weights": "2 GB"}, parallelism={"pp": 2, "dp": 2, "zero_stage": 1})
    # Both ranks gather to 1; rank 0: F to 2, B from 5 to 7; rank 1: F to 3, B to 5.
    assert result.step_time_s == 7
    assert [row.exposed_communication_ps for row in result.ranks] == [S, 0]
    assert [row.bubble_ps for row in result.ranks] == [3 * S, 4 * S]
    blocking = simulate(
        costs={"weights": "2 GB"}, parallelism={"pp": 2, "dp": 2, "zero_stage": 1}, runtime={"p2p": "blocking"}
    )
    assert [row.exposed_communication_ps for row in blocking.ranks] == [S, 0]


def test_waiting_for_a_late_member_is_bubble_and_the_collective_itself_is_exposed() -> None:
    result = simulate(
        costs={"gradients": "1 GB"},
        parallelism={"dp": 2},
        batch={"global_batch_size": 3, "micro_batch_size": 1, "remainder": "short"},
        runtime={"gradient_bucket": "1 GB"},
    )
    # Replica 0 computes 6 s, replica 1 3 s; then both reduce for one.
    assert result.step_time_s == 7
    assert result.bubble.by_cause == {"dependency": 0, "group": 1.5, "barrier": 0, "end_of_run": 0}
    assert (result.time_s.compute, result.time_s.exposed_communication, result.time_s.bubble) == (4.5, 1, 1.5)


def test_gradients_of_a_tied_embedding_follow_those_of_dp() -> None:
    result = simulate(
        costs={"tied_embedding_gradients": "1 GB", "gradients": "1 GB"},
        parallelism={"pp": 2, "dp": 2},
        runtime={"gradient_bucket": "1 GB"},
    )
    # Rank 1 ends its backward at 4 and reduces to 5, rank 0 at 6 to 7; then the two reduce between them to 8.
    assert result.step_time_s == 8
    pp = result.communication.by_axis["pp"]
    assert (pp.bytes, pp.exposed_s) == (4 * GB, 1)


@pytest.mark.parametrize(
    ("topology", "tp"), [("dgx-h100-rail", 16), ("dgx-1v", 8), ("h100-8x400g-2to1", 64), ("gb200-nvl72", 72)]
)
@pytest.mark.parametrize("size", [1, 10**6, 10**9])
def test_a_collective_on_an_idle_fabric_takes_what_its_plan_says(topology: str, tp: int, size: int) -> None:
    exchange = REDUCED | {"size": f"{size} B"}
    result = simulate(
        costs={"exchanges": [exchange]}, cluster={"topology": topology, "gpus": tp}, parallelism={"tp": tp}
    )
    cluster = build_cluster(result.scenario.cluster.topology)
    plan = GroupPlanner(result.trace.ranks.gpu.tolist(), cluster, in_training=True).plan("all-reduce", size)
    assert result.time_s.exposed_communication == idle_ps(plan, cluster) / S
    assert result.trace.makespan_ps == 3 * S + idle_ps(plan, cluster)


def test_what_an_overlapped_backward_exchanges_bears_its_own_name() -> None:
    def order(*_: Any) -> list[list[str]]:
        return [
            ["0F0", "0F1", "(0F2;0B0)OVERLAP_F_B", "0B1", "0B2"],
            ["1F0", "(1F1;1B0)OVERLAP_F_B", "1F2", "1B1", "1B2"],
        ]

    mapping = {
        "version": 1,
        "stage_costs": UNIT | {"exchanges": [REDUCED, REDUCED | {"op": "input_grad"}]},
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": 4}},
        "parallelism": {"tp": 2, "pp": 2},
        "batch": {"num_microbatches": 3},
        "schedule": {"plugin": "mine"},
    }
    trace = cs.simulate(scenario_from_mapping(mapping), plugins={"mine": order}).trace
    columns = (trace.collectives.kind.tolist(), trace.collectives.stage.tolist(), trace.collectives.microbatch.tolist())
    backwards = [(stage, microbatch) for kind, stage, microbatch in zip(*columns, strict=True) if kind != Kind.F]
    assert sorted(backwards) == [(stage, microbatch) for stage in range(2) for microbatch in range(3)]


@pytest.mark.parametrize(
    ("schedule", "parallelism", "numbers"),
    [("1f1b", {"dp": 2, "ep": 2}, "ep group call for 6 and 7"), ("pipedream", {"dp": 2}, "dp group call for 6 and 7")],
)
def test_replicas_with_different_numbers_of_micro_batches_cannot_meet_in_each(
    schedule: str, parallelism: dict[str, int], numbers: str
) -> None:
    exchanges = [REDUCED | {"axis": "ep", "collective": "all-to-all"}] if "ep" in parallelism else []
    with pytest.raises(ScenarioError, match=f"batch.global_batch_size: ranks of one {numbers} collectives in a run"):
        simulate(
            costs={"gradients": "1 GB", "exchanges": exchanges},
            parallelism=parallelism,
            batch={"global_batch_size": 13, "remainder": "short"},
            schedule=schedule,
        )


def test_a_group_whose_members_have_short_micro_batches_of_different_sizes_waits_for_the_largest() -> None:
    result = simulate(
        costs={"exchanges": [{"axis": "ep", "op": "forward", "collective": "all-to-all", "size": "8 GB"}]},
        parallelism={"dp": 2, "ep": 2},
        batch={"global_batch_size": 3, "micro_batch_size": 4, "remainder": "short"},
    )
    # Replica 0 has 2 of 4 samples and sends half of 4 GB, replica 1 one of 4.
    assert result.trace.collectives.size_bytes.tolist() == [4 * GB]
    assert result.trace.collectives.start_ps.tolist() == [S // 2]
    assert result.trace.collectives.end_ps.tolist() == [5 * S // 2]


def test_messages_and_reductions_that_meet_on_a_link_lose_time_to_each_other() -> None:
    result = simulate(
        costs={"message": "1 GB", "gradients": "1 GB"},
        parallelism={"pp": 2, "dp": 2},
        runtime={"gradient_bucket": "1 GB"},
    )
    # F 1, message 1, F 1, B 2: at 5 the gradient and the reduction each want a GB/s of both GPUs' links, until 7.
    assert result.step_time_s == 5 + 2 + 2 + 1
    dp, pp = result.communication.by_axis["dp"], result.communication.by_axis["pp"]
    # Two messages each lose a second, and so do both members of the group; the mean is over four GPUs.
    assert (pp.busy_s, pp.slowed_s) == ((2 * 1 + 2 * 2) / 4, 0.5)
    assert (dp.busy_s, dp.slowed_s) == ((2 * 1 + 2 * 2) / 4, 0.5)
    assert [(entry.axis, entry.by, entry.lost_s) for entry in result.communication.collisions] == [
        ("pp", "dp", 0.5),
        ("dp", "pp", 0.5),
    ]
    assert any("pipeline messages were slowed down by data-parallel traffic" in text for text in result.warnings)


def test_a_bidirectional_schedule_says_what_it_leaves_out() -> None:
    sections: dict[str, Any] = {"parallelism": {"pp": 2}, "batch": {"num_microbatches": 4}}
    bidirectional = simulate(costs={"gradients": "1 GB"}, schedule="dualpipe", **sections)
    assert any("reduce no gradients between them" in text for text in bidirectional.provenance["constraints"])
    plain = simulate(costs={"gradients": "1 GB"}, **sections)
    assert not any("reduce no gradients between them" in text for text in plain.provenance["constraints"])
