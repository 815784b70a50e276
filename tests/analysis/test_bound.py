"""The lower bound: never above what a run takes, tight where the literature knows the optimum, argued by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from every_order import best_makespan_ps
from hypothesis import given, settings
from hypothesis import strategies as st
from running import equal_costs, run_schedule

import clustersim as cs
from clustersim.analysis.bound import makespan_bound_ps
from clustersim.footprint import ActivationLimit
from clustersim.ops import CostedSchedule, Schedule, Shape, StageCosts
from clustersim.schedules.activation_limit import footprints
from clustersim.schedules.check import microbatches_by_chain
from clustersim.schedules.table import SCHEDULES, build_schedule
from clustersim.workload.step_rows import StepOptions


def costed(
    schedule: Schedule, costs: Sequence[StageCosts], latency_ps: int = 0, last_fraction: Fraction = Fraction(1)
) -> CostedSchedule:
    """Return the schedule with the same latency between all ranks, and none within one."""
    hopping = list(costs)
    for here, there in (pair for chain in schedule.chains for pair in pairwise(chain)):
        if schedule.rank_by_stage[here] != schedule.rank_by_stage[there]:
            hopping[here] = replace(hopping[here], forward_hop_ps=latency_ps)
            hopping[there] = replace(hopping[there], backward_hop_ps=latency_ps)
    limit = schedule.shape.limit
    room = footprints(schedule.name, limit, hopping) if limit else None
    numbers = tuple(microbatches_by_chain(schedule))
    return CostedSchedule(schedule, numbers, tuple(hopping), last_fraction, room)


def bound_of(name: str, shape: Shape, times: tuple[int, int, int], latency_ps: int = 0) -> int:
    schedule = build_schedule(name, shape)
    return makespan_bound_ps(costed(schedule, equal_costs(schedule.num_stages, *times), latency_ps))


TIMES = st.integers(0, 40)


@st.composite
def stages(draw: st.DrawFn, number: int, overlaps: bool = True) -> list[StageCosts]:
    result = []
    for _ in range(number):
        forward, input_grad, weight_grad, recompute, optimizer = (draw(TIMES) for _ in range(5))
        backward = input_grad + weight_grad
        shared = draw(st.integers(max(forward, backward), forward + backward)) if overlaps else forward + backward
        result.append(StageCosts(forward, input_grad, weight_grad, shared, recompute * (recompute > 20), optimizer))
    return result


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_no_schedule_of_the_table_beats_it(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(SCHEDULES)))
    num_steps, barrier = data.draw(st.integers(1, 3)), data.draw(st.booleans())
    p = 2 * data.draw(st.integers(1, 3))
    m = 2 * p + 2 * data.draw(st.integers(0, 2)) if name.startswith("dualpipe") else data.draw(st.integers(1, 12))
    if name == "pipedream-2bw":
        m += p
    streams = name.startswith("pipedream")
    latency_ps = data.draw(st.integers(0, 30))
    fraction = Fraction(data.draw(st.integers(1, 5)), 5)
    v = 2 if SCHEDULES[name].__name__ in ("interleaved_one_f_one_b", "looped_bfs", "hanayo") else 1
    shape = Shape(p, m * num_steps if streams else m, v, num_steps=num_steps if streams else 1)
    schedule = build_schedule(name, shape)
    costs = data.draw(stages(schedule.num_stages))
    options = StepOptions(num_steps, barrier)
    trace = run_schedule(schedule, costs, latency_ps, options=options, last_fraction=fraction)
    bound_ps = makespan_bound_ps(costed(schedule, costs, latency_ps, fraction), num_steps, barrier)
    assert 0 <= bound_ps <= trace.makespan_ps


@pytest.mark.parametrize(("p", "m", "limit"), [(1, 3, 1), (2, 2, None), (2, 2, 1), (2, 3, 2), (2, 3, 1), (3, 2, 2)])
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_no_order_at_all_beats_it(p: int, m: int, limit: int | None, data: st.DataObject) -> None:
    costs = data.draw(stages(p, overlaps=False))
    costs = [replace(cost, recompute_ps=0, optimizer_ps=0) for cost in costs]
    hop_ps = data.draw(st.integers(0, 20))
    shape = Shape(p, m, limit=ActivationLimit(microbatches=limit) if limit else None)
    schedule = Schedule("any", shape, ((),) * p, tuple(range(p)), (tuple(range(p)),))
    room = footprints("any", shape.limit, costs) if shape.limit else None
    hopping = [replace(cost, forward_hop_ps=hop_ps, backward_hop_ps=hop_ps) for cost in costs]
    bound_ps = makespan_bound_ps(CostedSchedule(schedule, (m,), tuple(hopping), room=room))
    best_ps = best_makespan_ps(costs, m, hop_ps, limit)
    assert bound_ps <= best_ps
    if p == 1:
        assert bound_ps == best_ps


@pytest.mark.parametrize("p", range(1, 9))
def test_zb_h1_is_the_best_within_p_micro_batches(p: int) -> None:
    # (p - 1)(F + I) before the first and after the last I of the last rank, which p W at most fill: schedules.md's
    # closed form of ZB-H1 with W the shortest, which is therefore optimal.
    for m in range(p, 3 * p + 1):
        shape = Shape(p, m, limit=ActivationLimit(microbatches=p))
        for f, i, w in ((10, 10, 10), (12, 10, 8), (20, 30, 5)):
            assert bound_of("zb-h1", shape, (f, i, w)) == m * (f + i + w) + (p - 1) * (f + i - w)


def test_without_a_limit_zb_h2_reaches_it() -> None:
    for p, m in ((2, 4), (4, 8), (4, 20), (8, 16)):
        # the last rank starts after p - 1 forwards and never idles
        assert bound_of("zb-h2", Shape(p, m), (10, 10, 10)) == (p - 1) * 10 + 30 * m
        trace = run_schedule(build_schedule("zb-h2", Shape(p, m)), equal_costs(p, 10, 10, 10))
        assert trace.makespan_ps == (p - 1) * 10 + 30 * m


def test_one_micro_batch_at_a_time_is_a_queue() -> None:
    # down and up through three ranks with 7 a hop, and W of the first: 3 (F + I) + 4 * 7 + W, five times
    shape = Shape(3, 5, limit=ActivationLimit(microbatches=1))
    assert bound_of("zb-h1", shape, (10, 11, 12), latency_ps=7) == 5 * (3 * 21 + 4 * 7 + 12)


def test_a_limit_in_bytes_frees_a_part_at_the_end_of_i() -> None:
    costs = equal_costs(2, 10, 10, 10, activation_bytes=8, weight_grad_activation_bytes=2)
    shape = Shape(2, 4, limit=ActivationLimit(size_bytes=8))
    schedule = build_schedule("zb-auto", shape, costs)
    # Rank 0 holds 8 B for F, 20 ps at rank 1, and I, then 2 B for W: 4 * (8 * 40 + 2 * 10) / 8 = 170.
    assert makespan_bound_ps(costed(schedule, costs)) == 170


def test_the_longest_optimizer_step_comes_last() -> None:
    schedule = build_schedule("1f1b", Shape(2, 2))
    costs = [replace(cost, optimizer_ps=updates) for cost, updates in zip(equal_costs(2, 1, 1, 1), (5, 9), strict=True)]
    # Rank 1: head 1, then 2 * 3; barrier; 9.
    assert makespan_bound_ps(costed(schedule, costs)) == 1 + 6 + 9
    # A second step starts at the first rank, after its 5.
    assert makespan_bound_ps(costed(schedule, costs), num_steps=2) == 7 + max(5 + 7, 6 + 9) + 9
    assert makespan_bound_ps(costed(schedule, costs), num_steps=2, optimizer_barrier=False) == 1 + 2 * (6 + 9)


def test_a_result_carries_it() -> None:
    document = {
        "version": 1,
        "stage_costs": {"forward": "10 ms", "input_grad": "10 ms", "weight_grad": "10 ms", "message": "1 GB"},
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": 4, "link": {"bandwidth": "1 TB/s", "latency": "1 ms"}}},
        "parallelism": {"pp": 4},
        "batch": {"num_microbatches": 8},
        "schedule": "1f1b",
        "steps": 2,
    }
    result = cs.simulate(cs.Scenario.model_validate(document))
    # The last rank starts after three forwards and three hops of 2 ms.
    assert result.bound.step_time_s == pytest.approx((3 * 12 + 8 * 30) / 1000)
    assert result.bound.gap == pytest.approx(result.step_time_s / result.bound.step_time_s - 1)
    assert result.to_dict()["bound"]["gap"] > 0
