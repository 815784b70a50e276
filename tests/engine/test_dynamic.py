"""Online policies: what they see, what they decide, and that what came out is a schedule like any other."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from pydantic import TypeAdapter
from running import equal_costs

from clustersim.analysis.invariants import check_invariants
from clustersim.analysis.memory import measure_memory
from clustersim.engine.run import run
from clustersim.errors import DeadlockError, ScheduleError
from clustersim.ops import Action, GpuView, Job, Kind, Pipeline, Policy, Program, Schedule, Shape, StaticBytes
from clustersim.scenario.fabrics import Topology
from clustersim.schedules.check import check_schedule
from clustersim.schedules.policies import backward_first, forward_first, memory_bounded
from clustersim.schedules.table import build_schedule
from clustersim.topology.table import build_cluster
from clustersim.trace import Trace
from clustersim.workload.lowering import lower
from clustersim.workload.step_rows import StepOptions


def job_of(name: str, shape: Shape, policy: Policy | None, num_steps: int = 1, jitter: int | None = None) -> Job:
    schedule = build_schedule(name, shape)
    costs = equal_costs(schedule.num_stages, 1200, 1000, 800, message_bytes=50, activation_bytes=7)
    pipeline = lower(schedule, costs, options=StepOptions(num_steps))
    if jitter is not None:
        random = Random(jitter)
        programs = tuple(_jittered(program, random) for program in pipeline.programs)
        pipeline = Pipeline(schedule, programs, pipeline.messages)
    ranks = tuple(range(shape.num_ranks))
    static = ((StaticBytes(0, 0, 0),) * shape.num_ranks,)
    return Job((pipeline,), (ranks,), (ranks,), False, num_steps, static, policy)


def _jittered(program: Program, random: Random) -> Program:
    durations = tuple(duration and random.randint(duration, 2 * duration) for duration in program.durations_ps)
    return replace(program, durations_ps=durations)


PRIVATE = {"fabric": "full-mesh", "link": {"bandwidth": "1 TB/s", "latency": "30 ps"}}
SHARED = {"fabric": "single-node", "scaleup": {"bandwidth": "70 GB/s", "latency": "30 ps", "sharing": "fair"}}
FABRICS: TypeAdapter[Any] = TypeAdapter(Topology)


def run_job(job: Job, fabric: dict[str, Any] = PRIVATE) -> Trace:
    num_gpus = max(3, len(job.ranks[0]))
    trace = run(job, build_cluster(FABRICS.validate_python(fabric | {"gpus": num_gpus})))
    check_invariants(trace)
    return trace


def orders_in(trace: Trace) -> tuple[tuple[Action, ...], ...]:
    orders: list[list[Action]] = [[] for _ in range(len(trace.ranks))]
    ops = trace.ops
    for rank, kind, stage, microbatch in zip(
        ops.rank_index.tolist(), ops.kind.tolist(), ops.stage.tolist(), ops.microbatch.tolist(), strict=True
    ):
        if stage >= 0:
            orders[rank].append(Action(Kind(kind), stage, microbatch))
    return tuple(map(tuple, orders))


@pytest.mark.parametrize("policy", [forward_first, backward_first, memory_bounded(6)])
@pytest.mark.parametrize(("name", "shape"), [
    ("1f1b", Shape(4, 9)), ("zb-h1", Shape(4, 9)), ("interleaved-1f1b", Shape(3, 6, 2)), ("gpipe", Shape(1, 3)),
])  # fmt: skip
@pytest.mark.parametrize("jitter", [None, 1, 2])
@pytest.mark.parametrize("fabric", [PRIVATE, SHARED], ids=["private", "shared"])
def test_the_order_that_came_out_runs_the_same_as_a_static_one(
    policy: Policy, name: str, shape: Shape, jitter: int | None, fabric: dict[str, Any]
) -> None:
    job = job_of(name, shape, policy, num_steps=2, jitter=jitter)
    online = run_job(job, fabric)
    assert online.links.is_fair.all() == (fabric is SHARED or shape.num_ranks == 1)
    base = job.pipelines[0].schedule
    one_step = tuple(order[: len(order) // 2] for order in orders_in(online))
    check_schedule(Schedule("online", shape, one_step, base.rank_by_stage, base.chains))
    # A policy that never waits with work at hand starts each op as early as a static program in its order does.
    programs, messages = _as_static(job, online)
    static = run_job(replace(job, policy=None, pipelines=(Pipeline(base, programs, messages),)), fabric)
    assert static.ops.start_ps.tolist() == online.ops.start_ps.tolist()
    assert static.transfers.end_ps.tolist() == online.transfers.end_ps.tolist()


def _as_static(job: Job, online: Trace) -> tuple[tuple[Program, ...], object]:
    from clustersim.engine.dynamic import renumbered, reordered

    executed = []
    for rank, program in enumerate(job.pipelines[0].programs):
        place = {
            (kind, stage, microbatch, step): row
            for row, (kind, stage, microbatch, step) in enumerate(
                zip(program.kinds, program.stages, program.microbatches, program.steps, strict=True)
            )
        }
        mine = online.ops.rank_index == rank
        columns = (online.ops.kind, online.ops.stage, online.ops.microbatch, online.ops.step)
        executed.append([place[key] for key in zip(*(column[mine].tolist() for column in columns), strict=True)])
    pipeline = job.pipelines[0]
    return tuple(map(reordered, pipeline.programs, executed)), renumbered(pipeline.messages, executed)


def test_forward_first_is_gpipe() -> None:
    eager, gpipe = (run_job(job_of("gpipe", Shape(4, 16), policy)) for policy in (forward_first, None))
    assert orders_in(eager) == orders_in(gpipe)
    assert eager.ops.start_ps.tolist() == gpipe.ops.start_ps.tolist()
    assert measure_memory(eager).peak_live_microbatches.tolist() == [16] * 4


def test_backward_first_within_p_minus_s_microbatches_is_1f1b() -> None:
    job = job_of("gpipe", Shape(4, 16), lambda view: memory_bounded(4 - view.pp_rank)(view))
    assert orders_in(run_job(job)) == build_schedule("1f1b", Shape(4, 16)).orders


@pytest.mark.parametrize("bound", [1, 2, 5])
def test_a_bound_on_memory_holds(bound: int) -> None:
    trace = run_job(job_of("zb-h1", Shape(4, 9), memory_bounded(bound), jitter=3))
    assert measure_memory(trace).peak_live_microbatches.max() == bound


def test_a_policy_sees_what_its_gpu_could_know() -> None:
    views: list[GpuView] = []

    def watching(view: GpuView) -> Action | None:
        views.append(view)
        return backward_first(view)

    run_job(job_of("1f1b", Shape(2, 2), watching))
    first = views[0]
    assert (first.now_ps, first.pp_rank, first.live_microbatches, first.activation_bytes) == (0, 0, 0, 0)
    assert [str(action) for action in first.ready] == ["0F0", "0F1"]
    second = next(view for view in views if view.pp_rank == 1)
    # Its first activation has held the link for 50 ps and been 30 ps under way; the second is not there yet.
    assert (second.now_ps, [str(action) for action in second.ready]) == (1280, ["1F0"])


def test_a_policy_that_waits_for_ever_is_a_deadlock_and_a_wild_one_an_error() -> None:
    with pytest.raises(
        DeadlockError, match=r"rank 1 \(at 1F0\) waits for F0 from rank 0 .*: rank 0 .* is kept idle by"
    ):
        run_job(job_of("1f1b", Shape(2, 2), lambda _view: None))
    with pytest.raises(DeadlockError, match=r"the run is stuck: rank 0 \(at 0F0\) is kept idle by its policy"):
        run_job(job_of("1f1b", Shape(1, 2), lambda _view: None))
    with pytest.raises(ScheduleError, match=r"it chose 1F9; ready are 0F0, 0F1"):
        run_job(job_of("1f1b", Shape(2, 2), lambda _view: Action(Kind.F, 1, 9)))
