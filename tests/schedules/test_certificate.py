"""The quick proof against the full checker: what it passes, the checker passes, on right orders and on spoilt ones."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from clustersim.errors import DeadlockError, ScheduleError
from clustersim.ops import Action, Kind, Schedule, Shape
from clustersim.schedules.certificate import can_be_run
from clustersim.schedules.check import check_schedule
from clustersim.schedules.columns import action_columns
from clustersim.schedules.places import Places
from clustersim.schedules.table import build_schedule

SHAPES = {
    "gpipe": Shape(3, 5),
    "1f1b": Shape(4, 6),
    "interleaved-1f1b": Shape(2, 4, 2),
    "zb-h1": Shape(4, 6),
    "zb-v": Shape(2, 6, 2),
    "looped-bfs": Shape(2, 4, 2),
    "v-half": Shape(2, 6, 2),
    "v-min": Shape(8, 24, 2),  # right, though ranks can't go in lockstep
}


def spoilt(schedule: Schedule, random: Random) -> Schedule:
    """Return the schedule with two slots swapped, one left out or doubled, or one that belongs elsewhere."""
    orders = [list(order) for order in schedule.orders]
    order = random.choice(orders)
    here, there = random.randrange(len(order)), random.randrange(len(order))
    what = random.randrange(5)
    if what == 0:
        order[here], order[there] = order[there], order[here]
    elif what == 1:
        del order[here]
    elif what == 2:
        order.insert(there, order[here])
    elif what == 3:
        random.choice(orders).append(order.pop(here))
    else:
        odd = [Action(Kind.F, -1, 0), Action(Kind.W, 0, 0), Action(Kind.F, 0, 99), Action(Kind.OPTIMIZER, 0, 0)]
        order[here] = random.choice(odd)
    return replace(schedule, orders=tuple(map(tuple, orders)))


@pytest.mark.parametrize("name", SHAPES)
def test_right_schedules_are_proven(name: str) -> None:
    schedule = build_schedule(name, SHAPES[name])
    check_schedule(schedule)
    assert can_be_run(Places(schedule, action_columns(schedule)))


@pytest.mark.parametrize("name", SHAPES)
def test_the_proof_says_what_the_checker_says(name: str) -> None:
    random = Random(name)
    verdicts = []
    for _ in range(200):
        schedule = spoilt(build_schedule(name, SHAPES[name]), random)
        try:
            check_schedule(schedule)
        except (ScheduleError, DeadlockError):
            verdicts.append(False)
        else:
            verdicts.append(True)
        assert can_be_run(Places(schedule, action_columns(schedule))) == verdicts[-1]
    assert set(verdicts) == {True, False}


def test_overlapped_slots_are_left_to_the_checker() -> None:
    schedule = build_schedule("dualpipev", Shape(2, 8, 2))
    assert action_columns(schedule).has_overlaps
    assert not can_be_run(Places(schedule, action_columns(schedule)))
