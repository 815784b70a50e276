"""Whole runs whose every number can be worked out by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from typing import Any

import pytest

import clustersim as cs
from clustersim.analysis.invariants import check_invariants
from clustersim.analysis.memory import activation_curve
from clustersim.scenario.load import scenario_from_mapping

S = 10**12  # ps
GIB = 2**30
UNIT = {"forward": "1 s", "input_grad": "1 s", "weight_grad": "1 s"}


def simulate(**sections: Any) -> cs.Result:
    """Return the result of 4 x 16 with F = I = W = 1 s on ideal wires, with sections replaced."""
    mapping: dict[str, Any] = {
        "version": 1,
        "stage_costs": UNIT,
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": 4}},
        "parallelism": {"pp": 4},
        "batch": {"num_microbatches": 16},
        "schedule": "1f1b",
    }
    result = cs.simulate(scenario_from_mapping(mapping | sections))
    check_invariants(result.trace)
    for row in result.ranks:
        assert row.compute_ps + row.exposed_communication_ps + row.bubble_ps == row.makespan_ps
    return result


@pytest.mark.parametrize(("schedule", "live"), [("gpipe", [16, 16, 16, 16]), ("1f1b", [4, 3, 2, 1])])
def test_the_exercise(schedule: str, live: list[int]) -> None:
    result = simulate(schedule=schedule)
    assert result.step_time_s == 57
    assert result.bubble.fraction == 3 / 19
    assert result.bubble.overhead == 3 / 16
    assert [row.peak_live_microbatches for row in result.memory.ranks] == live
    assert [(row.compute_ps, row.bubble_ps) for row in result.ranks] == [(48 * S, 9 * S)] * 4
    assert (result.time_s.compute, result.time_s.exposed_communication, result.time_s.bubble) == (48, 0, 9)


def test_zb_h1_fills_two_thirds_of_the_bubble_at_the_same_memory() -> None:
    result = simulate(schedule="zb-h1")
    assert result.step_time_s == 16 * 3 + 3
    assert max(row.peak_live_microbatches for row in result.memory.ranks) == 4


def test_the_bubble_by_phase_and_by_cause() -> None:
    gpipe, one_f_one_b = simulate(schedule="gpipe").bubble, simulate(schedule="1f1b").bubble
    # Rank s waits s for its first forward; GPipe's then wait for gradients; at the end rank s has 2s to wait.
    assert gpipe.by_phase == {"warmup": 1.5, "steady": 0.0, "cooldown": 7.5}
    assert gpipe.by_cause == {"dependency": 6.0, "group": 0.0, "barrier": 3.0, "end_of_run": 0.0}
    # 1F1B's rank s waits (3 - s) for its first gradient in the steady state, and 2(3 - s) between its last backwards.
    assert one_f_one_b.by_phase == {"warmup": 1.5, "steady": 3.0, "cooldown": 4.5}
    no_barrier = simulate(runtime={"optimizer_barrier": False}).bubble
    assert no_barrier.by_cause == {"dependency": 6.0, "group": 0.0, "barrier": 0.0, "end_of_run": 3.0}


def test_a_transfer_in_flight_is_exposed_communication_and_the_rest_of_a_wait_is_bubble() -> None:
    link = {"bandwidth": "1 GB/s", "latency": "250 ms"}
    result = simulate(
        stage_costs=UNIT | {"message": "1 GB"},
        cluster={"topology": {"fabric": "full-mesh", "gpus": 2, "link": link}},
        parallelism={"pp": 2},
        batch={"num_microbatches": 1},
    )
    # F 1, message 1.25, F 1, B 2, gradient 1.25, B 2: each rank waits 1.25 s for a transfer; the rest is bubble.
    assert result.step_time_s == 8.5
    assert [row.exposed_communication_ps for row in result.ranks] == [1.25 * S, 1.25 * S]
    pp = result.communication.by_axis["pp"]
    assert (pp.bytes, pp.busy_s, pp.exposed_s) == (2 * 10**9, 1.25, 1.25)
    assert result.communication.busiest_links[0].utilization == 1 / 8.5


def test_memory_with_parted_backward_and_with_recomputation() -> None:
    costs = UNIT | {"activation": "4 GiB", "weight_grad_activation": "1 GiB", "weights": "2 GiB", "gradients": "3 GiB"}
    zb = simulate(stage_costs=costs, schedule="zb-h1")
    # Rank 0 parts with W at once: 4 activations. Rank 3 holds 1 activation, and 1 GiB of each of 3 until their W.
    assert [row.activations_peak_bytes // GIB for row in zb.memory.ranks] == [16, 13, 10, 7]
    assert [row.peak_bytes // GIB for row in zb.memory.ranks] == [21, 18, 15, 12]
    recompute = simulate(stage_costs=costs | {"recompute": "1 s", "checkpoint": "1 GiB"})
    # Rank s keeps 4 - s - 1 checkpoints beside one whole activation, which is being computed or taken back.
    assert [row.activations_peak_bytes // GIB for row in recompute.memory.ranks] == [7, 6, 5, 4]
    assert recompute.step_time_s == (16 + 3) * 4
    curve = activation_curve(recompute.trace)
    assert curve.value.min() == 0


def test_what_does_not_fit_says_so_and_is_still_a_result() -> None:
    topology = {"fabric": "full-mesh", "gpus": 4, "device": "A100-SXM4-40GB"}
    result = simulate(stage_costs=UNIT | {"weights": "41 GiB"}, cluster={"topology": topology})
    assert result.memory.fits is False
    assert result.memory.capacity_bytes == 40 * GIB
    assert any("1.00 GiB over" in warning for warning in result.warnings)


def test_chunks_share_what_a_rank_costs_and_the_first_take_the_remainder() -> None:
    costs = {"forward": "5 ps", "backward": "7 ps", "activation": "3 B", "message": "9 B"}
    result = simulate(
        stage_costs=costs, parallelism={"pp": 4, "vpp": 2}, schedule="interleaved-1f1b", batch={"num_microbatches": 4}
    )
    ops = result.trace.ops
    durations = (ops.end_ps - ops.start_ps).tolist()
    by_stage = {(kind, stage): duration for kind, stage, duration in zip(
        ops.kind.tolist(), ops.stage.tolist(), durations, strict=True) if stage >= 0}  # fmt: skip
    assert {stage: by_stage[0, stage] for stage in range(8)} == dict.fromkeys(range(4), 3) | dict.fromkeys(
        range(4, 8), 2
    )
    assert by_stage[1, 0] == 4
    assert by_stage[1, 7] == 3
    assert set(result.trace.transfers.size_bytes.tolist()) == {9}


def test_a_short_last_microbatch_costs_in_proportion_rounded_up() -> None:
    costs = {"forward": "10 ps", "input_grad": "5 ps", "weight_grad": "5 ps", "activation": "10 B", "message": "10 B"}
    batch = {"global_batch_size": 9, "micro_batch_size": 4, "remainder": "short"}
    result = simulate(
        stage_costs=costs,
        batch=batch,
        parallelism={"pp": 1},
        cluster={"topology": {"fabric": "full-mesh", "gpus": 1}},
        schedule="gpipe",
    )
    # Two full micro-batches and a quarter: F 3, and B = I + W rounded up once, 10/4 -> 3.
    assert result.trace.makespan_ps == 2 * 20 + 3 + 3
    assert result.memory.ranks[0].activations_peak_bytes == 10 + 10 + 3
    assert any("1 of 4 samples" in warning for warning in result.warnings)
    assert result.throughput.samples_per_s == pytest.approx(9 / 46e-12)


def test_replicas_with_different_shares_run_side_by_side() -> None:
    batch = {"global_batch_size": 9, "micro_batch_size": 4, "remainder": "short"}
    topology = {"fabric": "full-mesh", "gpus": 2}
    result = simulate(batch=batch, parallelism={"dp": 2}, cluster={"topology": topology}, schedule="gpipe")
    # 5 and 4 samples: 4 + 1, and 4; the first replica decides.
    assert result.trace.makespan_ps == int((1 + Fraction(1, 4)) * 3 * S)
    assert result.ranks[0].replica == 0
    assert result.bubble.by_cause["barrier"] == 0.375


def test_steps_in_a_row() -> None:
    several = simulate(steps=4, stage_costs=UNIT | {"optimizer_step": "3 s"})
    assert several.makespan_s == 4 * 60
    assert several.step_time_s == several.steady_step_time_s == 60
    assert several.span_s == 60
    assert simulate().steady_step_time_s is None


SCRIPT = """
import sys, json
import clustersim as cs
document = cs.simulate("gpipe-4x16", sys.argv[1:]).to_dict()
document["provenance"].pop("wall_time_s")
print(json.dumps(document))
"""


def test_the_same_input_gives_the_same_bytes_under_any_hash_seed() -> None:
    overrides = ["cluster.topology=dgx-a100", "parallelism.dp=4", "parallelism.pp=8", "schedule=zb-h1"]
    texts = set()
    for seed in ("0", "1", "4242"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", SCRIPT, *overrides]
        texts.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(texts) == 1
    assert json.loads(texts.pop())["schema"] == "clustersim/result/1"
