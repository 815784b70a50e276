"""A scenario and a cluster become a job: every replica lowered, and every rank on its GPU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from clustersim.errors import Fault, ScenarioError, TopologyError
from clustersim.ops import CostedSchedule, Job, Pipeline, Plugin, Schedule, StageCosts, StaticBytes
from clustersim.scenario.batch import ReplicaBatch, deal_samples
from clustersim.scenario.devices import Device
from clustersim.scenario.faults import with_positions
from clustersim.scenario.spec import Scenario
from clustersim.schedules.activation_limit import footprints
from clustersim.schedules.check import microbatches_by_chain
from clustersim.topology.cluster import FULL_SPEED, Cluster
from clustersim.topology.placement import place
from clustersim.topology.rank_layout import RankCoordinates, RankLayout
from clustersim.workload.data_parallel import DataParallel
from clustersim.workload.group_rows import GroupOptions
from clustersim.workload.groups import job_groups
from clustersim.workload.hops import Hops, HopTimes, with_hop_times, with_hops
from clustersim.workload.host_gap import with_gaps_in_times
from clustersim.workload.lowering import lower
from clustersim.workload.overhead import fragmentation_of, framework_bytes, logits_shares
from clustersim.workload.rank_devices import RankDevices
from clustersim.workload.slow import slowed
from clustersim.workload.stages import (
    costs_on,
    policy_of,
    runs_halves_only,
    schedule_of,
    stage_costs,
    static_bytes,
)
from clustersim.workload.step_rows import StepOptions

# Sums over a run must stay within an int64.
_LARGEST_SUM = 2**62


def build_job(
    scenario: Scenario,
    cluster: Cluster,
    plugins: Mapping[str, Plugin] | None = None,
    num_simulated: int | None = None,
    device: Device | None = None,
) -> Job:
    """Return the job of `scenario` on `cluster`; the times of a model follow from `device`, or the topology's.

    Every GPU is simulated, also those of a tensor- or context-parallel group, which do the same at the same time;
    unless `num_simulated` says that the first so many replicas stand for all. Then those left out are taken to do the
    same at the same time, and to keep off the links of the others: collectives are planned with them, and their own
    traffic is left out.

    Raises
    ------
    ScenarioError
        The schedule refuses the shape, a plugin is not bound or failed, or the run would be too long to count.
    """
    parallelism = scenario.parallelism
    layout = RankLayout(parallelism.tp, parallelism.cp, parallelism.dp, parallelism.pp, parallelism.order)
    gpu_by_rank = gpus_of_ranks(scenario, layout.num_ranks, cluster)
    shares = deal_samples(scenario.batch, parallelism.dp)
    replicas = [
        (share, tuple(layout.rank(RankCoordinates(tp, cp, dp, pp)) for pp in range(parallelism.pp)))
        for dp, share in enumerate(shares)
        for cp in range(parallelism.cp)
        for tp in range(parallelism.tp)
    ]
    gpus = tuple(tuple(gpu_by_rank[rank] for rank in ranks) for _, ranks in replicas)
    devices = RankDevices(scenario, cluster, device)
    schedules = _schedules(scenario, _costs_to_look_at(scenario, cluster, gpus[0], devices.of(gpus[0])), plugins)
    lowered: dict[tuple[ReplicaBatch, Devices], LoweredReplica] = {}
    on_gpus: dict[tuple[ReplicaBatch, Devices, tuple[Fraction, ...]], Pipeline] = {}
    pipelines: list[Pipeline] = []
    held: list[tuple[StaticBytes, ...]] = []
    for (share, _), own_gpus in zip(replicas, gpus, strict=True):
        key = (share, devices.of(own_gpus))
        if key not in lowered:
            lowered[key] = _lowered(scenario, schedules[share], *key)
        slowdowns = tuple([cluster.slowdown(gpu) for gpu in own_gpus])
        is_slow = any(slowdown is not FULL_SPEED for slowdown in slowdowns)
        slow_key = (*key, slowdowns if is_slow else ())  # hashing what all but a few replicas have takes long
        if slow_key not in on_gpus:
            on_gpus[slow_key] = slowed(lowered[key].pipeline, slowdowns)
            _require_countable(on_gpus[slow_key])
        pipelines.append(on_gpus[slow_key])
        held.append(lowered[key].static_bytes)
    groups = job_groups(parallelism, layout, pipelines, gpus, cluster, num_simulated)
    shown = slice(num_simulated)
    return Job(
        pipelines=tuple(pipelines[shown]),
        ranks=tuple(ranks for _, ranks in replicas[shown]),
        gpus=gpus[shown],
        blocking=scenario.runtime.p2p == "blocking",
        num_steps=scenario.steps,
        static_bytes=tuple(held[shown]),
        policy=policy_of(scenario),
        groups=groups,
        fragmentation=fragmentation_of(scenario),
        logits_shares=logits_shares(next(iter(lowered.values())).costs),
    )


Devices = tuple[Device | None, ...]
"""``devices[pp_rank]`` of a replica; None: the topology's."""


class LoweredReplica(NamedTuple):
    """What all replicas with one share of the batch, on the same devices, have in common."""

    pipeline: Pipeline
    costs: tuple[StageCosts, ...]
    static_bytes: tuple[StaticBytes, ...]  # by pp_rank


def lowered_replicas(
    scenario: Scenario, cluster: Cluster, plugins: Mapping[str, Plugin] | None = None
) -> list[LoweredReplica]:
    """Return one lowered replica of each share, placed nowhere: what a job holds, but not what it exchanges."""
    parallelism = scenario.parallelism
    usual: Devices = (None,) * parallelism.pp
    if scenario.schedule.rules.takes_limit:  # its order depends on where its first replica is
        layout = RankLayout(parallelism.tp, parallelism.cp, parallelism.dp, parallelism.pp, parallelism.order)
        gpu_by_rank = gpus_of_ranks(scenario, layout.num_ranks, cluster)
        gpus = [gpu_by_rank[layout.rank(RankCoordinates(0, 0, 0, pp))] for pp in range(parallelism.pp)]
        costs = _costs_to_look_at(scenario, cluster, gpus, RankDevices(scenario, cluster).of(gpus))
    else:
        costs = stage_costs(scenario)
    schedules = _schedules(scenario, costs, plugins)
    return [_lowered(scenario, schedule, share, usual) for share, schedule in schedules.items()]


def _schedules(
    scenario: Scenario, costs: Sequence[StageCosts], plugins: Mapping[str, Plugin] | None
) -> dict[ReplicaBatch, Schedule]:
    shares = dict.fromkeys(deal_samples(scenario.batch, scenario.parallelism.dp))
    return {share: schedule_of(scenario, share.num_microbatches, plugins, costs) for share in shares}


def _lowered(scenario: Scenario, schedule: Schedule, share: ReplicaBatch, devices: Devices) -> LoweredReplica:
    costs = costs_on(scenario, schedule, devices)
    held = static_bytes(schedule, costs, framework_bytes(scenario), scenario.runtime.memory.buffers)
    return LoweredReplica(lower(schedule, costs, share.last_fraction, _step_options(scenario)), costs, held)


def gpus_of_ranks(scenario: Scenario, num_ranks: int, cluster: Cluster) -> tuple[int, ...]:
    """Return the GPU of each rank; what is wrong with the placement is told where it stands in the scenario.

    Raises
    ------
    ScenarioError, TopologyError
        As `place` does.
    """
    try:
        return place(scenario.cluster.placement, num_ranks, cluster, scenario.seed)
    except (ScenarioError, TopologyError) as error:
        if scenario.loaded_from is None:
            raise
        raise type(error)(with_positions(error.faults, scenario.loaded_from.root)) from None


def _costs_to_look_at(
    scenario: Scenario, cluster: Cluster, gpus: Sequence[int], devices: Devices
) -> tuple[StageCosts, ...]:
    """Return the stage costs that a schedule sees, on the devices and with the hop times of ranks of one stage each."""
    rules = scenario.schedule.rules
    if not rules.takes_limit or scenario.schedule.policy is not None:
        return with_gaps_in_times(stage_costs(scenario, devices[0]), rules.splits_backward)
    by_device = {device: stage_costs(scenario, device) for device in dict.fromkeys(devices)}
    own = [by_device[device][stage] for stage, device in enumerate(devices)]
    costs = with_gaps_in_times(own, rules.splits_backward)
    return with_hops(costs, range(len(costs)), [range(len(costs))], gpus, cluster)


def _require_countable(pipeline: Pipeline) -> None:
    """Refuse a replica whose sums would not fit into 64 bits."""
    if pipeline.made_from is not None and pipeline.made_from[0] is pipeline.programs:
        return  # lowered in 64 bits, which was made sure of
    longest_ps = sum(sum(program.durations_ps) for program in pipeline.programs)
    largest_bytes = max(sum(program.start_bytes) for program in pipeline.programs)
    if max(longest_ps, largest_bytes) >= _LARGEST_SUM:
        what = f"the run adds up to {longest_ps:.2g} ps and {largest_bytes:.2g} bytes; allowed: below 2**62 of each"
        raise ScenarioError(Fault("stage_costs", what, hint="fewer steps or micro-batches, or smaller costs"))


def _step_options(scenario: Scenario) -> StepOptions:
    runtime, parallelism = scenario.runtime, scenario.parallelism
    groups = {"tp": parallelism.tp, "cp": parallelism.cp, "ep": parallelism.ep, "etp": parallelism.expert_tp}
    if parallelism.zero_stage == 3:
        groups["dp"] = parallelism.dp * parallelism.cp
    is_static = scenario.schedule.policy is None  # else nobody knows beforehand which backward is a stage's last
    return StepOptions(
        scenario.steps,
        runtime.optimizer_barrier,
        runtime.p2p == "blocking",
        GroupOptions(
            frozenset(axis for axis, size in groups.items() if size > 1),
            frozenset(axis for axis in ("tp", "cp") if getattr(runtime.overlap, axis)),
            parallelism.tp if runtime.scatter_gather else 1,
        ),
        DataParallel(
            parallelism.zero_stage > 0,
            runtime.overlap.grad_reduce and is_static,
            runtime.overlap.param_gather and is_static,
            runtime.gradient_bucket,
        )
        if parallelism.dp * parallelism.cp > 1
        else None,
    )


def costed_replicas(
    scenario: Scenario, cluster: Cluster, job: Job, replicas: Iterable[int] | None = None
) -> Iterator[CostedSchedule]:
    """Yield the schedules of `job` with all that they cost, one of each kind of replica, of these or of all."""
    shares = deal_samples(scenario.batch, scenario.parallelism.dp)
    replicas_per_share = len(job.pipelines) // len(shares)
    known: set[tuple[int, Hops]] = set()
    hop_times = HopTimes(cluster)
    devices = RankDevices(scenario, cluster)
    costs_by_kind: dict[tuple[int, Devices], tuple[StageCosts, ...]] = {}
    for replica in range(len(job.pipelines)) if replicas is None else replicas:
        pipeline = job.pipelines[replica]
        schedule, fraction = pipeline.schedule, shares[replica // replicas_per_share].last_fraction
        gpus = job.gpus[replica]
        kind = (id(schedule), devices.of(gpus))
        if kind not in costs_by_kind:
            costs_by_kind[kind] = with_gaps_in_times(costs_on(scenario, schedule, kind[1]), runs_halves_only(schedule))
        costs = costs_by_kind[kind]
        hops = hop_times.of(costs, schedule.rank_by_stage, schedule.chains, gpus)
        if (id(pipeline), hops) in known:
            continue
        known.add((id(pipeline), hops))
        hopping = with_hop_times(costs, hops)
        limit, has_one_stage_a_rank = schedule.shape.limit, len(costs) == len(schedule.orders)
        room = footprints(schedule.name, limit, costs) if limit and has_one_stage_a_rank else None
        yield CostedSchedule(schedule, tuple(microbatches_by_chain(schedule)), hopping, fraction, room)


def num_samples(scenario: Scenario) -> int:
    """Return the samples of one training step, over all replicas."""
    return sum(share.num_samples for share in deal_samples(scenario.batch, scenario.parallelism.dp))


def budget_steps(scenario: Scenario, tokens: int | None = None) -> int | None:
    """Return the whole steps that cover a training; None without a model, or where nothing says on how many tokens.

    Parameters
    ----------
    scenario
        The job.
    tokens
        Tokens of the training; None: the scenario's token budget.

    Examples
    --------
    >>> from clustersim.scenario.load import load_scenario
    >>> budget_steps(load_scenario("llama-3.1-8b-64gpus"), 10**12)  # of 512 samples of 8,192 tokens
    238419
    """
    asked = scenario.training.token_budget if tokens is None else tokens
    if asked is None or scenario.model is None:
        return None
    return -(-asked // (num_samples(scenario) * scenario.model.seq_length))
