"""One suite for every schedule of the table: a shape is complete and runs to its end, or is refused with the rule."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from running import equal_costs, run_schedule

from clustersim.analysis.invariants import check_invariants
from clustersim.analysis.memory import live_microbatch_curve
from clustersim.errors import ScheduleError
from clustersim.ops import Action, Kind, Schedule, Shape, actions_in
from clustersim.scenario.schedule_choice import SCHEDULE_RULES
from clustersim.schedules.check import check_schedule, microbatches_by_chain
from clustersim.schedules.table import SCHEDULES, build_schedule

RANKS = range(1, 9)
MICROBATCHES = range(1, 33)
CHUNKS = (1, 2, 3, 4)


def _always(_p: int, _m: int) -> bool:
    return True


# The p and m that a schedule takes; which vpp it takes is told by the scenario's own table.
ACCEPTS: dict[str, Callable[[int, int], bool]] = dict.fromkeys(SCHEDULES, _always) | {
    "dualpipe": lambda p, m: p % 2 == 0 and m % 2 == 0 and m >= 2 * p,
    "dualpipev": lambda p, m: m >= 2 * p,
    "chimera": lambda p, _m: p % 2 == 0,
    "pipedream-2bw": lambda p, m: m >= p,
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("v", CHUNKS)
def test_every_shape_runs_or_is_refused_with_its_rule(name: str, v: int) -> None:
    rules = SCHEDULE_RULES[name]
    refusal = rf"^{name}: (vpp|pp|num_microbatches) = \d+.*allowed: .+; .+"  # key, value, rule, fix
    for p in RANKS:
        for m in MICROBATCHES:
            shape = Shape(p, m, v)
            if rules.chunks.allows(v) and ACCEPTS[name](p, m):
                schedule = build_schedule(name, shape)
                check_schedule(schedule)
                assert schedule.name == name
                assert schedule.num_stages == p * rules.chunks.num_chunks(v)
                assert sum(microbatches_by_chain(schedule)) == m
                assert len(schedule.chains) == 1 + rules.is_bidirectional
            else:
                with pytest.raises(ScheduleError, match=refusal):
                    build_schedule(name, shape)


@pytest.mark.parametrize("name", SCHEDULES)
def test_what_the_orders_hold_agrees_with_the_scenario_s_table(name: str) -> None:
    schedule = build_schedule(name, Shape(4, 8))
    kinds = {action.kind for order in schedule.orders for slot in order for action in actions_in(slot)}
    assert (Kind.I in kinds) == SCHEDULE_RULES[name].splits_backward
    assert set(SCHEDULE_RULES) == set(SCHEDULES)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_stage_takes_its_micro_batches_in_order(name: str) -> None:
    for p, m in ((2, 8), (4, 8), (4, 16), (6, 12)):
        schedule = build_schedule(name, Shape(p, m))
        for order in schedule.orders:
            taken: dict[tuple[str, int], list[int]] = {}
            for action in (action for slot in order for action in actions_in(slot)):
                phase = "backward" if action.kind in (Kind.B, Kind.I) else action.kind.name
                taken.setdefault((phase, action.stage), []).append(action.microbatch)
            for (phase, _), microbatches in taken.items():
                backwards_are_reversed = name == "looped-bfs" and phase == "backward"
                assert microbatches == sorted(microbatches, reverse=backwards_are_reversed)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(sorted(SCHEDULES)),
    half=st.integers(1, 3),
    extra=st.integers(0, 4),
    times=st.tuples(*[st.integers(1, 50)] * 3),
    latency_ps=st.integers(0, 30),
)
def test_laws_of_every_run(name: str, half: int, extra: int, times: tuple[int, int, int], latency_ps: int) -> None:
    p = 2 * half
    schedule = build_schedule(name, Shape(p, 2 * p + 2 * extra))
    costs = equal_costs(schedule.num_stages, *times, message_bytes=3, activation_bytes=11)
    trace = run_schedule(schedule, costs, latency_ps)
    check_invariants(trace)
    actions = [action for order in schedule.orders for slot in order for action in actions_in(slot)]
    num_forwards = sum(action.kind is Kind.F for action in actions)
    assert trace.makespan_ps * p >= num_forwards * sum(times)
    curve = live_microbatch_curve(trace)
    assert int(curve.value.min()) == 0
    assert sum(int(change) for change in trace.ops.start_bytes + trace.ops.end_bytes) == 0


@pytest.mark.parametrize("name", ["dualpipe", "chimera"])
def test_directions_must_add_up_to_all_micro_batches(name: str) -> None:
    schedule = build_schedule(name, Shape(4, 8))
    longer = Schedule(name, Shape(4, 10), schedule.orders, schedule.rank_by_stage, schedule.chains)
    with pytest.raises(ScheduleError, match=r"the directions have 4 \+ 4 micro-batches; 10 are to be run"):
        check_schedule(longer)


def test_a_gap_in_one_direction_is_found() -> None:
    schedule = build_schedule("chimera", Shape(2, 4))
    dropped = Action(Kind.B, 3, 1)
    orders = tuple(tuple(slot for slot in order if slot != dropped) for order in schedule.orders)
    with pytest.raises(ScheduleError, match=r"3B1 \(or its I and W\) is missing"):
        check_schedule(Schedule("chimera", schedule.shape, orders, schedule.rank_by_stage, schedule.chains))


def test_placements() -> None:
    """p = 3: loops go round, a V turns at the last rank, waves turn at both ends, a second replica runs backwards."""
    rank_by_stage = {
        ("looped-bfs", 2): (0, 1, 2, 0, 1, 2),
        ("zb-v", 1): (0, 1, 2, 2, 1, 0),
        ("hanayo", 4): (0, 1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0),
    }
    for (name, v), expected in rank_by_stage.items():
        assert build_schedule(name, Shape(3, 3, v)).rank_by_stage == expected
    chimera = build_schedule("chimera", Shape(4, 6))
    assert chimera.rank_by_stage == (0, 1, 2, 3, 3, 2, 1, 0)
    assert chimera.chains == ((0, 1, 2, 3), (4, 5, 6, 7))
    assert microbatches_by_chain(chimera) == [4, 2]  # units of two, down, up and down


@pytest.mark.parametrize("name", ["interleaved-1f1b", "interleaved-zb"])
def test_every_legal_group_size_runs(name: str) -> None:
    for p in range(1, 7):
        for m in range(1, 16):
            for g in range(1, m + 2):
                shape = Shape(p, m, 2, group_size=g)
                if p <= g <= m and (m % g == 0 or m % g >= p):
                    check_schedule(build_schedule(name, shape))
                else:
                    with pytest.raises(ScheduleError, match=rf"^{name}: group_size = {g} .*allowed: .+; leave"):
                        build_schedule(name, shape)
