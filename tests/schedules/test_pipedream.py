"""PipeDream and PipeDream-2BW: no flush, weights updated in the stream, and versions of them kept.

The numbers are worked by hand: without messages a stream of n micro-batches takes (n + p - 1)(F + B) on equal ranks,
and its slowest rank's pace on others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from running import equal_costs, run_schedule

import clustersim as cs
from clustersim.analysis.invariants import check_invariants
from clustersim.cli import main
from clustersim.errors import ScenarioError, ScheduleError
from clustersim.ops import Kind, Shape, StageCosts
from clustersim.scenario.load import scenario_from_mapping
from clustersim.schedules.table import build_schedule
from clustersim.workload.lowering import lower
from clustersim.workload.step_rows import StepOptions

NAMES = ("pipedream", "pipedream-2bw")
PS_PER_S = 10**12


def simulated(name: str, steps: int, stages: Any = None, m: int = 4, **sections: Any) -> cs.Result:
    """Return the run of a pipeline whose stages cost so many seconds of F, B and update; on ideal links."""
    stages = stages or [(1, 2, 0)] * 4
    costs = [{"forward": f"{f} s", "backward": f"{b} s", "optimizer_step": f"{u} s"} for f, b, u in stages]
    mapping: dict[str, Any] = {
        "version": 1,
        "stage_costs": {"stages": costs},
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": len(stages)}},
        "parallelism": {"pp": len(stages)},
        "batch": {"num_microbatches": m},
        "steps": steps,
        "schedule": name,
    }
    result = cs.simulate(scenario_from_mapping(mapping | sections))
    check_invariants(result.trace)
    return result


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_the_pipeline_fills_and_drains_once(name: str, steps: int) -> None:
    result = simulated(name, steps)
    assert result.trace.makespan_ps == (4 * steps + 3) * 3 * PS_PER_S
    assert result.ranks[0].compute_ps == 4 * steps * 3 * PS_PER_S
    flushing = simulated("1f1b", steps)
    assert flushing.trace.makespan_ps == steps * (4 + 3) * 3 * PS_PER_S
    assert (result.trace.makespan_ps == flushing.trace.makespan_ps) == (steps == 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("slowest", range(4))
def test_the_steady_pace_is_that_of_the_slowest_rank(name: str, slowest: int) -> None:
    stages = [(1, 2, 0)] * 4
    stages[slowest] = (2, 3, 0)
    assert simulated(name, 6, stages).steady_step_time_s == 4 * (2 + 3)
    assert simulated("1f1b", 6, stages).steady_step_time_s > 4 * (2 + 3)


@pytest.mark.parametrize(("name", "updates"), [("pipedream", 4), ("pipedream-2bw", 1)])
def test_an_update_costs_once_a_micro_batch_or_once_a_step(name: str, updates: int) -> None:
    result = simulated(name, 5, [(1, 2, 3)] * 4)
    assert result.ranks[2].compute_ps == 5 * (4 * (1 + 2) + updates * 3) * PS_PER_S
    assert result.steady_step_time_s == 4 * (1 + 2) + updates * 3


def test_an_update_comes_after_its_backward_and_delays_no_gradient() -> None:
    """p = 2, m = 1, one step: rank 1 updates its weights while rank 0 runs the backward."""
    ops = simulated("pipedream", 1, [(1, 2, 5), (3, 4, 6)], m=1).trace.ops
    names = [Kind(kind).name for kind in ops.kind.tolist()]
    rows = list(zip(names, (ops.start_ps // PS_PER_S).tolist(), (ops.end_ps // PS_PER_S).tolist(), strict=True))
    assert rows == [
        ("F", 0, 1),
        ("B", 8, 10),
        ("OPTIMIZER", 10, 15),
        ("F", 1, 4),
        ("B", 4, 8),
        ("OPTIMIZER", 8, 14),
    ]


def test_with_2bw_the_update_follows_the_last_backward_of_its_step() -> None:
    ops = simulated("pipedream-2bw", 2, [(1, 1, 1)] * 2, m=2).trace.ops
    texts = [
        f"{Kind(kind).name[0]}{microbatch if microbatch >= 0 else ''}/{step}"
        for kind, microbatch, step in zip(ops.kind.tolist(), ops.microbatch.tolist(), ops.step.tolist(), strict=True)
    ]
    assert " ".join(texts[:10]) == "F0/0 F1/0 B0/0 F0/1 B1/0 O/0 F1/1 B0/1 B1/1 O/1"
    assert " ".join(texts[10:]) == "F0/0 B0/0 F1/0 B1/0 O/0 F0/1 B0/1 F1/1 B1/1 O/1"


@pytest.mark.parametrize(
    ("name", "versions"), [("pipedream", [4, 3, 2, 1]), ("pipedream-2bw", [2, 2, 2, 2]), ("1f1b", [1, 1, 1, 1])]
)
def test_versions_of_the_weights_are_counted_in_memory(name: str, versions: list[int]) -> None:
    sizes = {"weights": "3 GiB", "gradients": "5 GiB", "optimizer_state": "7 GiB", "activation": "1 GiB"}
    result = simulated(name, 2, stage_costs={"forward": "1 s", "backward": "2 s"} | sizes)
    rows = result.memory.ranks
    assert [row.weights_bytes for row in rows] == [number * 3 * 2**30 for number in versions]
    assert [row.gradients_bytes + row.optimizer_bytes for row in rows] == [12 * 2**30] * 4
    assert [row.peak_live_microbatches for row in rows] == [4, 3, 2, 1]
    assert [row.peak_bytes for row in rows] == [
        (number * 3 + 12 + alive) * 2**30 for number, alive in zip(versions, [4, 3, 2, 1], strict=True)
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("barrier", [True, False])
def test_there_is_no_barrier_whatever_the_scenario_says(name: str, barrier: bool) -> None:
    result = simulated(name, 3, [(1, 2, 1)] * 4, runtime={"optimizer_barrier": barrier})
    assert Kind.BARRIER not in result.trace.ops.kind
    assert result.bubble.by_cause["barrier"] == 0
    (constraint,) = [text for text in result.provenance["constraints"] if "barrier" in text]
    assert f"{name} never flushes: no barrier, whatever the scenario says" in constraint
    assert any("steady_step_time_s" in text for text in result.provenance["constraints"])


def test_pipedream_takes_fewer_micro_batches_than_ranks() -> None:
    result = simulated("pipedream", 4, m=1)
    assert result.trace.makespan_ps == (4 + 3) * 3 * PS_PER_S
    assert [row.peak_live_microbatches for row in result.memory.ranks] == [4, 3, 2, 1]
    assert [row.peak_live_microbatches for row in simulated("1f1b", 4, m=1).memory.ranks] == [1, 1, 1, 1]
    assert result.steady_step_time_s == 3


def test_2bw_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        ScenarioError, match=r"num_microbatches = 3 with pp = 4: .* allowed: num_microbatches >= pp = 4"
    ):
        simulated("pipedream-2bw", 4, m=3)
    with pytest.raises(SystemExit) as caught:
        main(["schedule", "pipedream-2bw", "--pp", "4", "--microbatches", "3"])
    assert caught.value.code == 2
    assert "take 4 micro-batches, or pipedream for any number" in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_every_step_is_numbered_by_itself(name: str) -> None:
    trace = simulated(name, 3, [(1, 2, 1)] * 4).trace
    ops = trace.ops
    forwards = ops.kind == Kind.F
    for rank in range(4):
        mine = forwards & (ops.rank_index == rank)
        assert ops.microbatch[mine].tolist() == [0, 1, 2, 3] * 3
        assert ops.step[mine].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    transfers = trace.transfers
    assert np.array_equal(transfers.step, ops.step[transfers.producer])
    assert np.array_equal(transfers.step, ops.step[transfers.consumer])
    assert np.array_equal(transfers.microbatch, ops.microbatch[transfers.producer])
    assert np.bincount(transfers.step).tolist() == [2 * 3 * 4] * 3


def test_the_last_micro_batch_of_every_step_is_the_short_one() -> None:
    """Three samples in micro-batches of two: the second takes half as long, in each of the steps."""
    batch = {"global_batch_size": 3, "micro_batch_size": 2, "remainder": "short"}
    ops = simulated("pipedream", 3, [(2, 4, 0)], batch=batch).trace.ops
    assert ((ops.end_ps - ops.start_ps) // PS_PER_S).tolist() == [2, 4, 1, 2] * 3


def test_a_span_counts_all_that_its_rank_computes_in_it() -> None:
    """Steps overlap on a rank: with m = 1, the fourth step's span on rank 0 holds ops of six other steps."""
    result = simulated("pipedream", 8, m=1)
    ops = result.trace.ops
    mine = ops.rank_index == 0
    columns = (ops.kind[mine].tolist(), ops.step[mine].tolist(), (ops.start_ps[mine] // PS_PER_S).tolist())
    rows = [f"{Kind(kind).name}{step}@{start}" for kind, step, start in zip(*columns, strict=True)]
    assert " ".join(rows[:11]) == "F0@0 F1@1 F2@2 F3@3 B0@10 F4@12 B1@13 F5@15 B2@16 F6@18 B3@19"
    assert result.span_s == 21 - 3
    assert result.bubble.span_fraction == (10 - 4) / (21 - 3)  # idle between F3 and B0 only


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    p=st.integers(1, 5),
    extra=st.integers(0, 4),
    steps=st.integers(1, 4),
    times=st.lists(st.tuples(*[st.integers(0, 50)] * 4), min_size=5, max_size=5),
    latency_ps=st.integers(0, 30),
)
def test_laws_of_a_stream(
    name: str, p: int, extra: int, steps: int, times: list[tuple[int, ...]], latency_ps: int
) -> None:
    m = p + extra
    schedule = build_schedule(name, Shape(p, m * steps, num_steps=steps))
    costs = [
        StageCosts(f, i, w, f + i + w, optimizer_ps=u, activation_bytes=11, message_bytes=3) for f, i, w, u in times[:p]
    ]
    trace = run_schedule(schedule, costs, latency_ps, options=StepOptions(steps))
    check_invariants(trace)
    updates = m if name == "pipedream" else 1
    busy = [steps * (m * (f + i + w) + updates * u) for f, i, w, u in times[:p]]
    assert trace.makespan_ps >= max(busy)
    assert np.bincount(trace.ops.rank_index, trace.ops.end_ps - trace.ops.start_ps, p).tolist() == busy
    assert [int(count) for count in np.bincount(trace.ops.step[trace.ops.kind == Kind.B])] == [p * m] * steps


@pytest.mark.parametrize("name", NAMES)
def test_one_step_without_updates_is_1f1b(name: str) -> None:
    shape, costs = Shape(4, 9), equal_costs(4, 5, 4, 3, message_bytes=100)
    stream = run_schedule(build_schedule(name, shape), costs, 7, "100 GB/s", StepOptions())
    flushing = run_schedule(build_schedule("1f1b", shape), costs, 7, "100 GB/s", StepOptions(optimizer_barrier=False))
    assert np.array_equal(stream.ops.start_ps, flushing.ops.start_ps)
    assert stream.makespan_ps == flushing.makespan_ps


def test_a_stream_is_run_for_the_steps_that_it_was_made_for() -> None:
    schedule = build_schedule("pipedream", Shape(2, 8, num_steps=2))
    with pytest.raises(ScheduleError, match="a stream of 8 micro-batches in 2 steps can't be run as 4 steps"):
        lower(schedule, equal_costs(2, 1, 1, 1), options=StepOptions(num_steps=4))


@pytest.mark.parametrize("name", NAMES)
def test_blocking_messages_are_refused(name: str) -> None:
    with pytest.raises(ScenarioError, match=f"runtime.p2p: {name} has no blocking form"):
        simulated(name, 1, runtime={"p2p": "blocking"})
