"""Many runs of one shape at once, against runs in SimPy one by one; and what is too large or stuck is left to those."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from running import equal_costs
from test_engine_runs import two_rank_job
from test_run_ahead import SCENARIO, SWITCH, drawn_job

from clustersim.draws import static_runs
from clustersim.engine import compiled, kernel
from clustersim.engine.clock import Timeline
from clustersim.engine.compiled import static_runs_of
from clustersim.engine.network import Network
from clustersim.engine.run import run
from clustersim.errors import DeadlockError, ScenarioError
from clustersim.ops import Job, Shape, StaticBytes
from clustersim.scenario.fabrics import FullMesh
from clustersim.scenario.load import scenario_from_mapping
from clustersim.schedules.table import build_schedule
from clustersim.topology.cluster import Cluster
from clustersim.topology.table import build_cluster
from clustersim.workload.lowering import lower


def with_durations(job: Job, durations_ps: list[int]) -> Job:
    """Return the job of one replica with other durations, rank after rank."""
    programs, first = [], 0
    for program in job.pipelines[0].programs:
        last = first + len(program)
        programs.append(replace(program, durations_ps=tuple(durations_ps[first:last])))
        first = last
    return replace(job, pipelines=(replace(job.pipelines[0], programs=tuple(programs)),))


@pytest.mark.parametrize("seed", range(12))
def test_draws_give_what_runs_one_by_one_give(seed: int) -> None:
    random = Random(f"draws {seed}")
    job, cluster = drawn_job(random, 1)
    runs = static_runs_of(job, Network(Timeline(), cluster, job))
    generator = np.random.default_rng(seed)
    draws = runs.durations_ps * generator.integers(0, 4, size=(25, len(runs.durations_ps)))
    makespans = runs.makespans_ps(draws)
    assert makespans.tolist() == [run(with_durations(job, draw.tolist()), cluster).makespan_ps for draw in draws]
    assert runs.makespans_ps(draws[:0]).tolist() == []
    assert compiled._ends_of_vectors(runs.timing, draws).tolist() == makespans.tolist()
    # What runs where numba is installed, and slowly where it is not.
    assert runs.batch.plan is not None
    for is_kept in (False, True):
        state = kernel.new_state(runs.batch.plan, len(draws), len(runs.batch.cohort.links), is_kept)
        assert kernel.run_all([runs.batch.plan], [runs.batch.times._replace(duration=draws)], [state], together=False)
        assert state.clock.max(axis=1).tolist() == makespans.tolist()


def test_draws_too_long_for_64_bits_are_refused() -> None:
    job, cluster = drawn_job(Random(1), 1)
    runs = static_runs_of(job, Network(Timeline(), cluster, job))
    with pytest.raises(OverflowError, match="ops of up to 1152921504606846976 ps"):
        runs.makespans_ps(np.full((1, len(runs.kinds)), 2**60))


def mesh(num_gpus: int) -> Cluster:
    return build_cluster(FullMesh.model_validate({"fabric": "full-mesh", "gpus": num_gpus}))


def test_a_stuck_run_names_the_circle_also_without_events() -> None:
    with pytest.raises(DeadlockError, match="stuck in a circle: rank 0"):
        run(two_rank_job(((1,), (0,)), blocking=False), mesh(2), None, "compiled")


def test_times_too_large_for_64_bits_are_left_to_integers_without_bounds() -> None:
    schedule = build_schedule("1f1b", Shape(2, 4))
    pipeline = lower(schedule, equal_costs(2, 2**58, 1, 1))
    job = Job((pipeline,), ((0, 1),), ((0, 1),), static_bytes=((StaticBytes(0, 0, 0),) * 2,))
    trace = run(job, mesh(2), None, "compiled")
    assert trace.engine == "time-ordered: times do not fit into 64 bits"
    assert trace.makespan_ps == 5 * 2**58 + 2 * 5


def test_what_depends_on_the_order_of_times_is_refused() -> None:
    shared = SCENARIO | {"cluster": {"topology": SWITCH}}
    with pytest.raises(ScenarioError, match="links are shared, so that its runs depend on the order of times"):
        static_runs(scenario_from_mapping(shared))
