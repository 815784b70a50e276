"""Steps in a row, barriers, stuck runs, budgets, and what a run costs in events."""

from __future__ import annotations

import pytest
from running import equal_costs, run_schedule

from clustersim.analysis.invariants import check_invariants
from clustersim.engine.run import run
from clustersim.errors import DeadlockError, LimitError
from clustersim.limits import Limits
from clustersim.ops import Action, Job, Kind, Messages, Pipeline, Program, Shape, StaticBytes
from clustersim.scenario.fabrics import FullMesh
from clustersim.schedules.table import build_schedule
from clustersim.topology.table import build_cluster
from clustersim.workload.step_rows import StepOptions


@pytest.mark.parametrize("name", ["gpipe", "1f1b", "zb-h1"])
@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_with_a_barrier_every_step_takes_as_long_as_one(name: str, num_steps: int) -> None:
    schedule = build_schedule(name, Shape(4, 8))
    costs = equal_costs(4, 10, 10, 10, optimizer_ps=5)
    one = run_schedule(schedule, costs)
    several = run_schedule(schedule, costs, options=StepOptions(num_steps))
    check_invariants(several)
    assert several.makespan_ps == num_steps * one.makespan_ps


def test_without_a_barrier_a_rank_goes_on_as_soon_as_it_can() -> None:
    schedule = build_schedule("zb-h1", Shape(4, 8))
    costs = equal_costs(4, 10, 10, 10)
    with_barrier = run_schedule(schedule, costs, options=StepOptions(3))
    without = run_schedule(schedule, costs, options=StepOptions(3, optimizer_barrier=False))
    check_invariants(without)
    # ZB-H1's ranks all end together, so there is nothing to win; GPipe's first rank ends last, and its last one first.
    assert without.makespan_ps == with_barrier.makespan_ps
    uneven = equal_costs(3, 10, 10, 10) + equal_costs(1, 30, 30, 30)
    slow = [run_schedule(schedule, uneven, options=StepOptions(3, barrier)).makespan_ps for barrier in (True, False)]
    assert slow[1] < slow[0]


def test_the_barrier_comes_before_the_optimizer_step() -> None:
    trace = run_schedule(build_schedule("1f1b", Shape(2, 2)), equal_costs(2, 1, 1, 1, optimizer_ps=100))
    optimizer = trace.ops.kind == Kind.OPTIMIZER
    assert trace.ops.start_ps[optimizer].tolist() == [9, 9]
    assert trace.makespan_ps == 109


def two_rank_job(waits: tuple[tuple[int, ...], tuple[int, ...]], blocking: bool) -> Job:
    """Return a job of two ranks with one exchange or op each; message 0 goes from rank 0 to 1 and message 1 back."""
    kind = Kind.EXCHANGE if blocking else Kind.F
    program = [
        Program(
            (kind,),
            (rank,),
            (0,),
            (0,),
            (0,),
            (waits[rank],),
            (() if blocking else (rank,),),
            (0,),
            (0,),
            {},
            ((),),
            ((),),
        )
        for rank in range(2)
    ]
    messages = Messages((Kind.F, Kind.F), (0, 0), (0, 0), (0, 1), (1, 0), (0, 0), (0, 0), (0, 0))
    schedule = build_schedule("gpipe", Shape(2, 1))
    pipeline = Pipeline(schedule, tuple(program), messages)
    return Job((pipeline,), ((0, 1),), ((0, 1),), blocking, 1, ((StaticBytes(0, 0, 0),) * 2,))


@pytest.mark.parametrize(("waits", "blocking"), [(((1,), (0,)), False), (((0,), (1,)), True)])
def test_a_stuck_run_names_the_circle(waits: tuple[tuple[int, ...], tuple[int, ...]], blocking: bool) -> None:
    cluster = build_cluster(FullMesh.model_validate({"fabric": "full-mesh", "gpus": 2}))
    with pytest.raises(
        DeadlockError, match=r"stuck in a circle: rank 0 .* F0 .* rank 1 .*, which waits: rank 1 .* rank 0"
    ):
        run(two_rank_job(waits, blocking), cluster)


def test_an_order_that_can_not_end_is_refused_before_it_runs() -> None:
    schedule = build_schedule("gpipe", Shape(2, 2))
    first, second = schedule.orders[1][:2], schedule.orders[1][2:]
    swapped = (*first[:1], *second[1:], *first[1:], *second[:1])
    broken = type(schedule)(
        "mine", schedule.shape, (schedule.orders[0], swapped), schedule.rank_by_stage, schedule.chains
    )
    with pytest.raises(Exception, match="comes before its forward"):
        run_schedule(broken, equal_costs(2, 1, 1, 1))
    late = (Action(Kind.F, 0, 0), Action(Kind.B, 0, 0), Action(Kind.F, 0, 1), Action(Kind.B, 0, 1))
    eager = (Action(Kind.F, 1, 0), Action(Kind.F, 1, 1), Action(Kind.B, 1, 0), Action(Kind.B, 1, 1))
    circle = type(schedule)("mine", schedule.shape, (late, eager), schedule.rank_by_stage, schedule.chains)
    with pytest.raises(
        DeadlockError, match=r"rank 0 at 0B0 waits for 1B0 on rank 1, .* rank 1 at 1F1 waits for 0F1 on rank 0"
    ):
        run_schedule(circle, equal_costs(2, 1, 1, 1))


def test_budgets_end_a_run() -> None:
    from clustersim.scenario.load import scenario_from_mapping
    from clustersim.simulation import simulate

    scenario = scenario_from_mapping(
        {
            "version": 1,
            "stage_costs": {"forward": "1 ms", "backward": "2 ms"},
            "cluster": {"topology": {"fabric": "full-mesh", "gpus": 8}},
            "parallelism": {"pp": 8},
            "batch": {"num_microbatches": 4096},
            "schedule": "1f1b",
        }
    )
    with pytest.raises(LimitError, match="--max-events 30000"):
        simulate(scenario, limits=Limits(max_events=30_000), engine="time-ordered")
    with pytest.raises(LimitError, match="--max-events 3000"):
        simulate(scenario, limits=Limits(max_events=3000))
    with pytest.raises(LimitError, match="--max-wall 0"):
        simulate(scenario, limits=Limits(max_wall_s=0.0))
    with pytest.raises(LimitError, match="--max-rss 1kB"):
        simulate(scenario, limits=Limits(max_rss_bytes=1000))


@pytest.mark.parametrize("blocking", [False, True])
@pytest.mark.parametrize(
    ("name", "p", "m", "v"),
    [
        ("gpipe", 4, 64, 1),
        ("1f1b", 2, 64, 1),
        ("1f1b", 64, 64, 1),
        ("interleaved-1f1b", 8, 64, 2),
        ("zb-h1", 8, 64, 1),
    ],
)
def test_an_op_costs_one_event(name: str, p: int, m: int, v: int, blocking: bool) -> None:
    if blocking and name == "zb-h1":
        pytest.skip("zb-h1 has no blocking form")
    schedule = build_schedule(name, Shape(p, m, v))
    costs = equal_costs(schedule.num_stages, 10, 10, 10, message_bytes=3)
    trace = run_schedule(schedule, costs, 2, "1 TB/s", StepOptions(blocking=blocking), engine="time-ordered")
    num_ops = sum(map(len, schedule.orders))
    assert num_ops < trace.num_events <= 1.05 * num_ops
    # One start, one end and one barrier a rank; what else there is are exchanges that follow one another at once.
    if not blocking:
        assert trace.num_events == num_ops + 3 * p
        ahead = run_schedule(schedule, costs, 2, "1 TB/s")
        assert ahead.num_events <= 0.5 * num_ops + 3 * p
