"""What the engine's benchmark runs: 1F1B on private links, from a scenario to its result, and its parts.

Times are processor times: each case is one thread that waits for nothing, and what else a machine does would spoil the
time on the clock.
"""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from naive import naive_makespan

import clustersim as cs
from clustersim.draws import static_runs
from clustersim.engine.clock import Timeline
from clustersim.engine.cohort import cohorts_of
from clustersim.engine.compiled import Batch
from clustersim.engine.kernel import new_state, run_all
from clustersim.engine.network import Network
from clustersim.engine.run_ahead import RunAhead
from clustersim.limits import Limits
from clustersim.ops import Shape
from clustersim.scenario.load import scenario_from_mapping
from clustersim.schedules.table import build_schedule
from clustersim.topology.table import build_cluster
from clustersim.workload.job import build_job

FORWARD_PS, BACKWARD_PS, HOLD_PS, LATENCY_PS = 10**9, 2 * 10**9, 5_000, 1_000


@dataclass(frozen=True)
class Measured:
    """One run of one simulator."""

    seconds: float
    num_ops: int
    num_events: int
    makespan_ps: int
    engine: str
    peak_bytes: int  # of the process so far
    system_s: float = 0  # of the seconds, what the operating system took: nearly all to give out memory


def mapping(p: int, replicas: int, m: int) -> dict[str, Any]:
    """Return a scenario of `replicas` pipelines of p stages with m micro-batches each, on links of their own."""
    link = {"bandwidth": "1 GB/s", "latency": f"{LATENCY_PS} ps"}  # 5 bytes hold it for 5 ns
    return {
        "version": 1,
        "stage_costs": {"forward": f"{FORWARD_PS} ps", "backward": f"{BACKWARD_PS} ps", "message": "5 B"},
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": p * replicas, "link": link}},
        "parallelism": {"pp": p, "dp": replicas},
        "batch": {"num_microbatches": m},
        "schedule": "1f1b",
    }


def ours(p: int, replicas: int, m: int, engine: str | None = None) -> Measured:
    """Return what the public Python API takes: validation, simulation, recording and analysis."""
    started, system_started = time.process_time(), _system_s()
    result = cs.simulate(scenario_from_mapping(mapping(p, replicas, m)), engine=engine, fold=False)
    seconds, system_s, trace = time.process_time() - started, _system_s() - system_started, result.trace
    num_ops, peak_bytes = 2 * p * replicas * m, _peak_bytes()
    return Measured(seconds, num_ops, trace.num_events, trace.makespan_ps, trace.engine, peak_bytes, system_s)


def naive(p: int, replicas: int, m: int) -> Measured:
    """Return what the naive simulator takes for the makespan of the same."""
    schedule = build_schedule("1f1b", Shape(p, m))
    schedule = replace(schedule, orders=tuple(schedule.orders))  # as it would have been given
    started = time.process_time()
    makespan_ps, num_events = naive_makespan(schedule, FORWARD_PS, BACKWARD_PS, HOLD_PS, LATENCY_PS, replicas)
    seconds = time.process_time() - started
    return Measured(seconds, 2 * p * replicas * m, num_events, makespan_ps, "naive", _peak_bytes())


def kernel_and_run_ahead(p: int, m: int) -> tuple[float, float]:
    """Return the seconds of the compiled loop and of run-ahead processes in SimPy, both without what is around them."""
    scenario = scenario_from_mapping(mapping(p, 1, m))
    cluster = build_cluster(scenario.cluster.topology)
    job = build_job(scenario, cluster)
    network = Network(Timeline(), cluster, job)
    processes = RunAhead(job, network)
    started = time.process_time()
    noted = processes.run_to_end(Limits())
    run_ahead_s = time.process_time() - started
    batch = Batch(cohorts_of(job, network)[0], network)
    assert noted is not None
    assert batch.plan is not None
    for _ in range(2):  # the first time it is compiled, or read from disk
        state = new_state(batch.plan, 1, len(batch.cohort.links))
        started = time.process_time()
        run_all([batch.plan], [batch.times], [state], together=True)
        kernel_s = time.process_time() - started
    return kernel_s, run_ahead_s


def draws(p: int, m: int, num_draws: int) -> Measured:
    """Return what so many draws take, each op between 1 and 1.1 times as long as it is."""
    scenario = scenario_from_mapping(mapping(p, 1, m))
    started = time.process_time()
    runs = static_runs(scenario)
    factors = np.random.default_rng(0).uniform(1, 1.1, size=(num_draws, len(runs.durations_ps)))
    makespans_ps = runs.makespans_ps(np.ceil(runs.durations_ps * factors).astype(np.int64))
    seconds = time.process_time() - started
    return Measured(seconds, 2 * p * m * num_draws, 0, int(makespans_ps.max()), "compiled", _peak_bytes())


def quietly(run: Callable[..., Any], *arguments: Any) -> Any:
    """Return a run without the garbage collector, which no simulator here needs."""
    gc.collect()
    gc.disable()
    try:
        return run(*arguments)
    finally:
        gc.enable()


def _system_s() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_stime


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
