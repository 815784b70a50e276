"""Events come in SimPy's order, however they wait for it, and a GPU in time order stops where it has to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
import simpy
from running import equal_costs
from simpy.events import NORMAL, URGENT, Event

from clustersim.engine import time_ordered
from clustersim.engine.clock import Timeline
from clustersim.engine.run import run
from clustersim.errors import DeadlockError
from clustersim.ops import Job, Pipeline, Shape, StaticBytes
from clustersim.scenario.fabrics import FullMesh
from clustersim.schedules.table import build_schedule
from clustersim.topology.table import build_cluster
from clustersim.workload.lowering import lower
from clustersim.workload.step_rows import StepOptions

Drawn = tuple[int, int, int]  # how long after the one that sets it, priority, and how many it sets in turn


def drawn_events(random: Random, num_events: int) -> list[Drawn]:
    """Return events of which many fall on one time."""
    return [
        (random.randrange(4), random.choice([NORMAL, NORMAL, 2, 5]), random.randrange(3)) for _ in range(num_events)
    ]


def order_of_events(env: simpy.Environment, events: Sequence[Drawn]) -> list[tuple[float, int]]:
    """Return (time, number) of events in the order in which they come; each sets further ones when it comes."""
    came: list[tuple[float, int]] = []
    numbers = iter(range(len(events)))

    def set_next(priority: int | None = None) -> None:
        number = next(numbers, None)
        if number is None:
            return
        delay, own_priority, num_next = events[number]
        event = Event(env)
        event._ok, event._value = True, None

        def come(_event: Event) -> None:
            came.append((env.now, number))
            for _ in range(num_next):
                set_next()

        event.callbacks.append(come)
        env.schedule(event, own_priority if priority is None else priority, delay)

    for _ in range(len(events) // 2):
        set_next()
    for _ in range(3):
        set_next(URGENT)
    if isinstance(env, Timeline):
        assert env.run_to_end(lambda _num_events: None, 7) == len(came)
    else:
        env.run()
    return came


@pytest.mark.parametrize("seed", range(20))
def test_events_come_in_the_order_of_simpy(seed: int) -> None:
    events = drawn_events(Random(seed), 200)
    assert order_of_events(Timeline(), events) == order_of_events(simpy.Environment(), events)


def test_a_check_comes_after_exactly_so_many_events_even_of_one_time() -> None:
    env = Timeline()
    for _ in range(10):
        event = Event(env)
        event._ok, event._value = True, None
        env.wake(event, 5)
    counts: list[int] = []
    assert env.run_to_end(counts.append, 4) == 10
    assert counts == [0, 4, 8, 10]


def other_waits(pipeline: Pipeline, random: Random) -> Pipeline:
    """Return a pipeline in which a row of some rank waits, too, for what another row of that rank waited for."""
    pp_rank = random.randrange(len(pipeline.programs))
    program = pipeline.programs[pp_rank]
    row, other = random.sample(range(len(program)), 2)
    waits_for = list(program.waits_for)
    waits_for[row], waits_for[other] = waits_for[row] + waits_for[other], ()
    programs = list(pipeline.programs)
    programs[pp_rank] = replace(program, waits_for=tuple(waits_for))
    return Pipeline(pipeline.schedule, tuple(programs), pipeline.messages)


def outcome(job: Job) -> str:
    """Return how a run in time order ends, in words."""
    cluster = build_cluster(FullMesh.model_validate({"fabric": "full-mesh", "gpus": len(job.ranks[0])}))
    try:
        return f"{run(job, cluster, engine='time-ordered').ops.start_ps.tolist()} ps"
    except DeadlockError as error:
        return str(error)


def test_gpus_that_go_through_rows_of_numbers_are_stuck_where_all_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(0)
    outcomes = []
    for number in range(60):
        name = random.choice(["1f1b", "gpipe", "zb-h1"])
        schedule = build_schedule(name, Shape(3, 4))
        pipeline = lower(schedule, equal_costs(3, 3, 2, 2, message_bytes=3), options=StepOptions(num_steps=2))
        job = Job(
            (other_waits(pipeline, random),), ((0, 1, 2),), ((0, 1, 2),), False, 2, ((StaticBytes(0, 0, 0),) * 3,)
        )
        in_plain = outcome(job)
        with monkeypatch.context() as patch:
            patch.setattr(time_ordered, "_plain_rows", lambda _job, _network: {})
            assert outcome(job) == in_plain, number
        outcomes.append(in_plain)
    assert 10 < sum("stuck" in outcome for outcome in outcomes) < 50
    assert any("waits for all others" in outcome for outcome in outcomes)
