"""The composition: a scenario is built into a job and a cluster, run, and measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from clustersim.accounts import (
    batch_change_of,
    cost_origins_of,
    rates_on,
    shape_warnings,
    step_cost_of,
    throughput_of,
    token_cost_of,
)
from clustersim.analysis.account import Account, account_of
from clustersim.analysis.bound import makespan_bound_ps
from clustersim.analysis.bubble import Bubble, rank_times
from clustersim.analysis.busiest import busiest_rank
from clustersim.analysis.collisions import collisions
from clustersim.analysis.communication import busiest_links
from clustersim.analysis.critical_path import critical_path
from clustersim.analysis.mean_times import mean_s
from clustersim.analysis.memory import Memory, measure_memory
from clustersim.analysis.sensitivity import blame, resource_times_ps
from clustersim.analysis.waits import Waits, find_waits
from clustersim.economics import Rates
from clustersim.engine.budget import no_garbage_collection
from clustersim.engine.run import run
from clustersim.limits import Limits
from clustersim.ops import CostedSchedule, Job, Plugin
from clustersim.provenance import constraints_of, provenance_of, warnings_of
from clustersim.result import (
    AxisSummary,
    BlameSummary,
    BoundSummary,
    BubbleSummary,
    CollisionSummary,
    CommunicationSummary,
    CriticalPathSummary,
    LinkSummary,
    MemorySummary,
    RankMemory,
    RankTime,
    Result,
    TimeSummary,
)
from clustersim.scenario.devices import Device, load_device
from clustersim.scenario.fabrics import Fabric, HostedFabric
from clustersim.scenario.load import load_scenario
from clustersim.scenario.spec import Scenario
from clustersim.scenario.units import PS_PER_S
from clustersim.topology.cluster import Cluster
from clustersim.topology.table import build_cluster
from clustersim.trace import Ints, Trace
from clustersim.workload.job import build_job, costed_replicas
from clustersim.workload.peaks import program_peaks
from clustersim.workload.rank_devices import RankDevices

BUSIEST_LINKS = 10


def simulate(
    scenario: Scenario | str | Path,
    overrides: Sequence[str] = (),
    limits: Limits | None = None,
    plugins: Mapping[str, Plugin] | None = None,
    engine: str | None = None,
    fold: bool = True,
) -> Result:
    """Return the result of a scenario, or of the scenario file at a path.

    Parameters
    ----------
    scenario
        A Scenario, the path of a file, or a name from the gallery.
    overrides
        Values to replace in a file, such as ``parallelism.pp=8``.
    limits
        Budgets of the run.
    plugins
        Functions by the names under which ``schedule: {plugin: name}`` may ask for them.
    engine
        "run-ahead" to have GPUs run ahead wherever they can, even where that takes longer,
        "time-ordered" to have all events in the order of their times, also where that changes nothing but the speed, or
        "compiled" to evaluate static programs without events, where that is possible. The result is the same.
    fold
        Whether replicas that provably do the same at the same time are simulated once. The result is the same.

    Raises
    ------
    ScenarioError, TopologyError
        The input has mistakes; all of them are told.
    UnroutableError
        Two GPUs that exchange messages have no path between them.
    DeadlockError
        Ranks wait for one another for ever.
    LimitError
        A budget was used up.
    InputError
        The run lasts longer than 2**62 ps (53 days), or what flows lose at one link in all does not fit into 64 bits.
    """
    if not isinstance(scenario, Scenario):
        scenario = load_scenario(scenario, overrides)
    started_s = time.perf_counter()
    with no_garbage_collection():
        cluster = build_cluster(scenario.cluster.topology)
        job = build_job(scenario, cluster, plugins)
        trace = run(job, cluster, limits, engine, fold)
        return measure(scenario, cluster, job, trace, started_s)


class WholeRun(NamedTuple):
    """The run of a whole job, for answers that need less of it than a :class:`Result` tells."""

    scenario: Scenario
    cluster: Cluster
    trace: Trace

    def rates(self) -> Rates:
        """Return what the job costs and draws where it ran."""
        return rates_on(self.scenario, self.cluster, self.trace)

    def capacities_bytes(self) -> list[int | None]:
        """Return the memory of each rank's GPU, None where the topology names no device. [bytes]"""
        return rank_capacities(self.trace, self.cluster)


def run_whole(
    scenario: Scenario,
    limits: Limits | None = None,
    plugins: Mapping[str, Plugin] | None = None,
    device: Device | None = None,
    change: Callable[[Job, Cluster], tuple[Job, Cluster]] | None = None,
) -> WholeRun:
    """Return the run of all replicas, folded where it can be, which gives the times that :func:`simulate` gives.

    Parameters
    ----------
    scenario
        What is run.
    limits, plugins
        As `simulate` takes them.
    device
        What stands for the device that the topology names; None: that one.
    change
        What becomes of the job and the cluster before the run, such as other costs; None: nothing.
    """
    with no_garbage_collection():
        cluster = build_cluster(scenario.cluster.topology)
        job = build_job(scenario, cluster, plugins, None, device)
        job, changed = (job, cluster) if change is None else change(job, cluster)
        return WholeRun(scenario, cluster, run(job, changed, limits))


def simulate_representatives(
    scenario: Scenario,
    device: Device | None = None,
    in_training: float | None = None,
    alone: bool = False,
    limits: Limits | None = None,
    plugins: Mapping[str, Plugin] | None = None,
    change: Callable[[Job, Cluster], tuple[Job, Cluster]] | None = None,
) -> Trace:
    """Return the trace of the first replicas alone, the others taken to do the same and to keep out of their way.

    One replica stands for all where every GPU has a NIC of its own; where several share one, as many as a node has
    GPUs. So it takes about the time of one pipeline, however many GPUs there are, and gives what :func:`simulate` gives
    on a fabric that blocks nothing, ranks placed in their usual order.

    Parameters
    ----------
    scenario
        What is run.
    device
        What the times of a model follow from; None: the topology's.
    in_training
        Share of the bandwidth that is left to collectives; None: the topology's.
    alone
        Whether one replica stands for all even where several share a NIC, which it then has to itself.
    limits, plugins
        As `simulate` takes them.
    change
        What becomes of the job and the cluster before the run, such as other costs; None: nothing.
    """
    fabric = scenario.cluster.topology
    if in_training is not None:
        fabric = fabric.with_in_training(in_training)
    num_simulated = fabric.gpus_per_node if isinstance(fabric, HostedFabric) and shares_nics(fabric) else 1
    if alone:
        num_simulated = 1
    cluster = build_cluster(fabric)
    job = build_job(scenario, cluster, plugins, num_simulated, device)
    job, cluster = (job, cluster) if change is None else change(job, cluster)
    return run(job, cluster, limits)


def shares_nics(fabric: Fabric) -> bool:
    """Return whether several GPUs share a NIC."""
    return isinstance(fabric, HostedFabric) and fabric.nics_per_node < fabric.gpus_per_node


def peak_bytes_by_rank(scenario: Scenario, plugins: Mapping[str, Plugin] | None = None) -> tuple[int, ...]:
    """Return the peak of memory of each pp_rank as a run would give it, which is not run unless a policy orders it."""
    if scenario.schedule.policy is None:
        return program_peaks(scenario, build_cluster(scenario.cluster.topology), plugins)
    trace = simulate_representatives(scenario, plugins=plugins).sample
    peaks = np.zeros(scenario.parallelism.pp, dtype=np.int64)
    np.maximum.at(peaks, trace.ranks.pp_rank, measure_memory(trace).peak_bytes)
    return tuple(peaks.tolist())


def costed_schedules(scenario: Scenario) -> list[CostedSchedule]:
    """Return what the replicas of a scenario run, one of each kind, with all that their ops and messages take."""
    cluster = build_cluster(scenario.cluster.topology)
    return list(costed_replicas(scenario, cluster, build_job(scenario, cluster)))


def measure(scenario: Scenario, cluster: Cluster, job: Job, trace: Trace, started_s: float) -> Result:
    """Return everything that is reported of the run of `job`, begun at `started_s` of the performance counter."""
    account = account_of(trace)
    followed = trace.standing_for(account.replicas_to_follow(trace))
    waits = account.waits if followed is trace.sample else None
    if waits is None:
        waits = find_waits(followed)
    times = account.ranks.times if followed is trace else rank_times(followed, waits)
    memory = _memory_summary(trace, cluster, account.ranks.memory)
    communication = _communication_summary(trace, account)
    step_time_s = trace.makespan_ps / (PS_PER_S * trace.num_steps)
    steady_step_time_s = _steady_step_time_s(trace, account.ranks.step_end_ps)
    num_stages = len(job.pipelines[0].schedule.chains[0])
    busiest = busiest_rank(followed, times)
    rates = rates_on(scenario, cluster, trace)
    origins = cost_origins_of(scenario, cluster, num_stages, trace, busiest)
    return Result(
        provenance=provenance_of(scenario, trace, constraints_of(scenario, trace), started_s),
        name=scenario.name,
        schedule=scenario.schedule.label,
        step_time_s=step_time_s,
        steady_step_time_s=steady_step_time_s,
        makespan_s=trace.makespan_ps / PS_PER_S,
        span_s=account.ranks.bubble.span_ps / PS_PER_S,
        bound=_bound_summary(scenario, cluster, job, trace),
        bubble=_bubble_summary(trace, account.ranks.bubble),
        time_s=TimeSummary(*(mean_s(trace, time_ps) for time_ps in account.ranks.times.of_all_ps())),
        ranks=_rank_rows(trace, account),
        throughput=throughput_of(scenario, step_time_s, num_stages, _devices(scenario, cluster, trace)),
        memory=memory,
        communication=communication,
        critical_path=_critical_path_summary(followed, waits),
        token_cost=token_cost_of(scenario, rates, steady_step_time_s or step_time_s),
        step_cost=step_cost_of(rates, steady_step_time_s or step_time_s),
        cost_origins=origins,
        batch_change=batch_change_of(scenario),
        warnings=(
            *warnings_of(scenario, cluster, trace, memory, communication, account.ranks.times.compute_ps),
            *shape_warnings(origins),
        ),
        scenario=scenario,
        trace=trace,
    )


def _devices(scenario: Scenario, cluster: Cluster, trace: Trace) -> tuple[Device | None, ...]:
    """Return the device of each GPU that was simulated; None for the topology's."""
    return RankDevices(scenario, cluster).of(trace.ranks.gpu.tolist())


def _steady_step_time_s(trace: Trace, ends_ps: Ints) -> float | None:
    """Return the mean time of a step without the first and the last; None for fewer than three."""
    if trace.num_steps < 3:
        return None
    return int(ends_ps[-2] - ends_ps[0]) / (PS_PER_S * (trace.num_steps - 2))


def _bound_summary(scenario: Scenario, cluster: Cluster, job: Job, trace: Trace) -> BoundSummary:
    barrier = scenario.runtime.optimizer_barrier
    replicas = costed_replicas(scenario, cluster, job, dict.fromkeys(trace.sample.ranks.replica.tolist()))
    bound_ps = max(makespan_bound_ps(replica, trace.num_steps, barrier) for replica in replicas)
    gap = trace.makespan_ps / bound_ps - 1 if bound_ps else None
    return BoundSummary(bound_ps / (PS_PER_S * trace.num_steps), gap)


def _bubble_summary(trace: Trace, bubble: Bubble) -> BubbleSummary:
    return BubbleSummary(
        bubble.fraction,
        bubble.overhead,
        bubble.span_fraction,
        bubble.idle_fraction,
        {phase: mean_s(trace, total_ps) for phase, total_ps in bubble.by_phase_ps.items()},
        {cause: mean_s(trace, total_ps) for cause, total_ps in bubble.by_cause_ps.items()},
    )


def _rank_rows(trace: Trace, account: Account) -> tuple[RankTime, ...]:
    """Return the account of each rank of the replica whose compute ends last, the first of several."""
    replica = int(trace.ranks.replica[np.argmax(account.ranks.compute_end_ps)])
    mine = np.flatnonzero(trace.ranks.replica == replica)
    times = account.ranks.times
    of_ranks = (trace.ranks.pp_rank, times.compute_ps, times.exposed_ps, times.bubble_ps)
    columns = (column[mine].tolist() for column in of_ranks)
    return tuple(
        RankTime(pp_rank, replica, compute_ps, exposed_ps, bubble_ps, trace.makespan_ps)
        for pp_rank, compute_ps, exposed_ps, bubble_ps in zip(*columns, strict=True)
    )


def _memory_summary(trace: Trace, cluster: Cluster, memory: Memory) -> MemorySummary:
    ranks, peaks = trace.ranks, memory.peak_bytes
    capacities = rank_capacities(trace, cluster)
    known = [capacity for capacity in capacities if capacity is not None]
    over = [
        0 if capacity is None else peak - capacity for peak, capacity in zip(peaks.tolist(), capacities, strict=True)
    ]
    # of ranks that are over by as much, or of which nobody knows, the one with the largest peak
    worst = max(range(len(over)), key=lambda row: (max(0, over[row]), int(peaks[row])))
    return MemorySummary(
        int(peaks.max()),
        min(known) if known else None,
        max(over) <= 0 if len(known) == len(ranks) else None,
        _rank_memories(trace, memory, peaks),
        int(ranks.pp_rank[worst]),
        max(0, over[worst]),
    )


def rank_capacities(trace: Trace, cluster: Cluster) -> list[int | None]:
    """Return the memory of each rank's GPU, None where the topology names no device. [bytes]"""
    devices = cluster.devices
    capacity_by_device = {name: load_device(name).memory for name in dict.fromkeys(devices) if name}
    return [capacity_by_device.get(devices[gpu] or "") for gpu in trace.ranks.gpu.tolist()]


def _rank_memories(trace: Trace, memory: Memory, peaks: Ints) -> tuple[RankMemory, ...]:
    """Return what the ranks of each pp_rank hold: that with the largest of `peaks`, the first of several."""
    ranks, num_rows = trace.ranks, int(trace.ranks.pp_rank.max()) + 1
    order = np.lexsort((np.arange(len(peaks)), -peaks, ranks.pp_rank))
    worst = order[np.searchsorted(ranks.pp_rank[order], np.arange(num_rows))]
    live = np.zeros(num_rows, dtype=np.int64)
    np.maximum.at(live, ranks.pp_rank, memory.peak_live_microbatches)
    columns = {
        "pp_rank": ranks.pp_rank[worst],
        "peak_bytes": peaks[worst],
        "weights_bytes": ranks.weights_bytes[worst],
        "gradients_bytes": ranks.gradients_bytes[worst],
        "optimizer_bytes": ranks.optimizer_bytes[worst],
        "activations_peak_bytes": memory.activations_peak_bytes[worst],
        "peak_live_microbatches": live,
        "logits_bytes": memory.logits_bytes[worst],
        "buffers_bytes": memory.buffers_bytes[worst],
        "allocated_peak_bytes": memory.allocated_peak_bytes[worst],
        "fragmentation_bytes": memory.fragmentation_bytes[worst],
        "framework_bytes": memory.framework_bytes[worst],
        "peak_ps": memory.peak_ps[worst],
    }
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return tuple(RankMemory(**dict(zip(columns, row, strict=True))) for row in rows)


def _communication_summary(trace: Trace, account: Account) -> CommunicationSummary:
    axes = {
        axis: AxisSummary(
            traffic.size_bytes // trace.num_steps,
            mean_s(trace, traffic.busy_ps),
            mean_s(trace, traffic.exposed_ps),
            mean_s(trace, traffic.slowed_ps),
        )
        for axis, traffic in account.traffic.items()
    }
    links = tuple(
        LinkSummary(load.name, load.utilization, load.size_bytes, load.queued_ps / PS_PER_S, load.slowed_ps / PS_PER_S)
        for load in busiest_links(trace, BUSIEST_LINKS)
    )
    lost = tuple(
        CollisionSummary(entry.axis, entry.by, mean_s(trace, entry.lost_ps), entry.link)
        for entry in collisions(trace, account.losses)
    )
    return CommunicationSummary(axes, lost, links, int(trace.links.is_contended.sum()))


def _critical_path_summary(trace: Trace, waits: Waits) -> CriticalPathSummary:
    path = critical_path(trace, waits)
    parts = tuple(
        BlameSummary(part.cause.name.lower(), part.axis, part.resource, part.time_ps, part.time_ps / trace.makespan_ps)
        for part in blame(trace, waits, path)
    )
    return CriticalPathSummary(trace.makespan_ps, len(path), parts, resource_times_ps(trace, path))
