"""What ways to split a job take at least: one replica alone, its messages and collectives unhindered, in a fixed order.

That is a bound: other replicas, and what a rank itself sends at the same time, can only make a transfer later, and in a
fixed order of ops nothing that comes later makes a step shorter. It is nearly what a simulation gives, and is found for
all layouts of one order at once, without events.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from clustersim.ops import Overlap, Shape, StageCosts
from clustersim.scenario.frameworks import load_framework
from clustersim.scenario.parallelism import Parallelism
from clustersim.scenario.schedule_choice import SCHEDULE_RULES
from clustersim.scenario.spec import Scenario
from clustersim.scenario.split import Split
from clustersim.schedules.table import build_schedule, takes_shape
from clustersim.topology.cluster import Cluster
from clustersim.topology.table import build_cluster
from clustersim.workload.alone_ops import OpTimes, op_times
from clustersim.workload.alone_step import StepTimes, step_ps
from clustersim.workload.group_times import GroupTimes
from clustersim.workload.host_gap import host_gap_ps, with_host_gap
from clustersim.workload.job import gpus_of_ranks
from clustersim.workload.model.parameters import Parameters
from clustersim.workload.model.stage import ModelPart, parts_of, stage_parameters
from clustersim.workload.model_costs import ModelStages, model_stages
from clustersim.workload.order_path import OrderPath
from clustersim.workload.order_peaks import OrderPeaks
from clustersim.workload.overhead import fragmentation_of, framework_bytes
from clustersim.workload.stages import static_bytes

__all__ = ["Alone", "Alternative", "Estimate", "OrderKey", "has_overlapped_pairs", "takes_shape"]

_Kept = TypeVar("_Kept")
_MOST_ORDERS = 64  # kept; each may hold hundreds of thousands of ops


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way to split a job over its GPUs."""

    parallelism: Parallelism
    micro_batch_size: int
    schedule: str
    recompute: str | None  # None: as the scenario says

    def order(self, global_batch_size: int) -> OrderKey:
        """Return what decides over the order of its ops."""
        p = self.parallelism
        return OrderKey(self.schedule, p.pp, global_batch_size // (p.dp * self.micro_batch_size), p.vpp)


def has_overlapped_pairs(schedule: str) -> bool:
    """Return whether a schedule runs some forwards and backwards in one slot."""
    order = build_schedule(schedule, Shape(2, 8, 2 if SCHEDULE_RULES[schedule].has_loops else 1)).orders
    return any(isinstance(slot, Overlap) for slots in order for slot in slots)


class OrderKey(NamedTuple):
    """What decides over the order of a replica's ops."""

    schedule: str
    num_ranks: int
    num_microbatches: int
    num_chunks: int

    @property
    def num_ops(self) -> int:
        """About how many ops that are."""
        return 2 * self.num_ranks * self.num_microbatches * self.num_chunks


class Estimate(NamedTuple):
    """What an alternative takes at least, None if that was not asked for; and the peak of its memory."""

    step_ps: int | None
    peak_bytes: int


class Alone:
    """Times and memory of the alternatives of one job, on one cluster.

    Parameters
    ----------
    scenario
        Any alternative of the job, on all GPUs.
    cluster
        Where it runs.
    """

    def __init__(self, scenario: Scenario, cluster: Cluster) -> None:
        assert scenario.model is not None
        self.scenario, self.model, self.cluster = scenario, scenario.model, cluster
        gpus = gpus_of_ranks(scenario, scenario.parallelism.num_gpus, cluster)
        self.groups = GroupTimes(cluster, gpus)
        self._split = scenario.parallelism.split or Split()
        self.gap_ps = host_gap_ps(scenario)
        self._parts: dict[int, tuple[ModelPart, ...]] = {}
        self._usual = model_stages(scenario, self.model)
        self._costs: dict[tuple[object, ...], StageCosts] = {}
        self._passing: dict[tuple[object, ...], StageCosts] = {}  # before anything is held
        self._parameters: dict[tuple[object, ...], Parameters] = {}
        self._orders: OrderedDict[OrderKey, OrderPath] = OrderedDict()
        self._peaks: OrderedDict[OrderKey, OrderPeaks] = OrderedDict()

    @classmethod
    def of(cls, scenario: Scenario) -> Alone:
        """Return those of a scenario on its cluster."""
        return cls(scenario, build_cluster(scenario.cluster.topology))

    @property
    def samples(self) -> int:
        """Samples of a step."""
        return self.scenario.batch.global_batch_size or 0

    def estimates(
        self, key: OrderKey, alternatives: Sequence[Alternative], capacity_bytes: int | None
    ) -> list[Estimate]:
        """Return what alternatives of one order take; of those that do not fit in memory only how much they hold."""
        costs = [self.stage_costs(alternative) for alternative in alternatives]
        peaks = self._peaks_bytes(_shallow(key), costs, alternatives)
        if capacity_bytes is not None and min(peaks) > capacity_bytes:
            return [Estimate(None, peak) for peak in peaks]
        if key != _shallow(key):
            peaks = self._peaks_bytes(key, costs, alternatives)
        fitting = [index for index, peak in enumerate(peaks) if capacity_bytes is None or peak <= capacity_bytes]
        steps: dict[int, int] = {}
        if fitting:
            path = self.order(key)
            times = [self.step_times(path, alternatives[index], costs[index]) for index in fitting]
            steps = dict(zip(fitting, step_ps(path, times, self.scenario.runtime), strict=True))
        return [Estimate(steps.get(index), peak) for index, peak in enumerate(peaks)]

    def peak_bytes(self, alternative: Alternative, is_exact: bool = True) -> int:
        """Return the peak of an alternative's memory, or quicker what is no more than that. [bytes]"""
        key, costs = alternative.order(self.samples), self.stage_costs(alternative)
        return self._peak_bytes(self.peaks(key if is_exact else _shallow(key)), costs, alternative)

    def order(self, key: OrderKey) -> OrderPath:
        """Return the order of a schedule, ready to be evaluated for its times."""
        return _kept(self._orders, key, lambda: OrderPath(self.peaks(key).schedule))

    def peaks(self, key: OrderKey) -> OrderPeaks:
        """Return the order of a schedule, ready to be evaluated for its memory."""
        shape = Shape(key.num_ranks, key.num_microbatches, key.num_chunks)
        return _kept(self._peaks, key, lambda: OrderPeaks(build_schedule(key.schedule, shape)))

    def stage_costs(self, alternative: Alternative) -> tuple[StageCosts, ...]:
        """Return ``costs[stage]`` of an alternative, as its scenario has them."""
        p, known = alternative.parallelism, dict[ModelPart, StageCosts]()
        parts = self.parts(alternative.schedule, p.pp, p.vpp)
        for part in parts:
            if part not in known:
                known[part] = self._part_costs(alternative, part)
        costs = tuple([known[part] for part in parts])
        return costs * 2 if SCHEDULE_RULES[alternative.schedule].is_bidirectional else costs

    def parts(self, schedule: str, pp: int, vpp: int) -> tuple[ModelPart, ...]:
        """Return the layers of each stage of a chain."""
        num_stages = SCHEDULE_RULES[schedule].num_listed_stages(pp, vpp)
        if num_stages not in self._parts:
            counts = self._split.layers_by_stage(self.model.num_layers, num_stages)
            self._parts[num_stages] = parts_of(self.model, counts)
        return self._parts[num_stages]

    def _part_costs(self, alternative: Alternative, part: ModelPart) -> StageCosts:
        """Return what a stage with these layers costs under an alternative."""
        p = alternative.parallelism
        split = (p.tp, p.cp, p.ep, p.sequence_parallel, part)
        passed = (*split, alternative.micro_batch_size, alternative.recompute, self._framework(p.zero_stage))
        key = (*passed, p.dp, p.zero_stage, p.pp > 1)
        if key not in self._costs:
            stages = self.stages(alternative)
            if split not in self._parameters:
                self._parameters[split] = stage_parameters(self.model, part, stages.shard)
            if passed not in self._passing:
                self._passing[passed] = with_host_gap([stages.passing_costs(part)], self.gap_ps)[0]
            self._costs[key] = stages.with_state(self._passing[passed], part, self._parameters[split])
        return self._costs[key]

    def _framework(self, zero_stage: int) -> str:
        return self.scenario.runtime.memory.framework_name(zero_stage)

    def stages(self, alternative: Alternative) -> ModelStages:
        """Return what all stages of an alternative have in common."""
        p = alternative.parallelism
        stages, microbatch = self._usual, self._usual.microbatch
        framework = load_framework(self._framework(p.zero_stage))
        training, logit = self.scenario.training, self.scenario.runtime.memory.logit
        microbatch = replace(
            microbatch,
            num_samples=alternative.micro_batch_size,
            recompute=alternative.recompute or training.recompute or "none",  # type: ignore[arg-type]
            recomputed_modules=training.recompute_modules or (framework.selective,),
            logit_bytes=framework.logit if logit is None else logit,
        )
        return replace(stages, microbatch=microbatch, parallelism=p)

    def step_times(self, path: OrderPath, alternative: Alternative, costs: Sequence[StageCosts]) -> StepTimes:
        """Return the times of all ops, messages and collectives of an alternative."""
        p, runtime = alternative.parallelism, self.scenario.runtime
        beside = frozenset(axis for axis in ("tp", "cp") if getattr(runtime.overlap, axis))
        known: dict[tuple[int, int], OpTimes] = {}
        times: list[OpTimes] = []
        for cost, rank in zip(costs, path.schedule.rank_by_stage, strict=True):
            if (id(cost), rank) not in known:
                known[id(cost), rank] = op_times(cost, p, rank, self.groups, beside)
            times.append(known[id(cost), rank])
        parts = p.tp if runtime.scatter_gather else 1
        gpus = [self.groups.gpu(p, rank) for rank in range(p.pp)]
        return StepTimes(p, costs, times, self._hops_ps(path, costs, gpus, parts), self.groups, gpus)

    def _hops_ps(self, path: OrderPath, costs: Sequence[StageCosts], gpus: Sequence[int], num_parts: int) -> list[int]:
        owner = path.schedule.rank_by_stage
        hops = []
        for source, target in path.hops:
            size_bytes = costs[
                min(source, target)
            ].message_bytes  # of the stage that sends it down, also on its way back
            hops.append(self.groups.message_ps(gpus[owner[source]], gpus[owner[target]], -(-size_bytes // num_parts)))
        return hops

    def _peaks_bytes(
        self, key: OrderKey, costs: Sequence[Sequence[StageCosts]], alternatives: Sequence[Alternative]
    ) -> list[int]:
        peaks = self.peaks(key)
        return [self._peak_bytes(peaks, own, one) for own, one in zip(costs, alternatives, strict=True)]

    def _peak_bytes(self, order: OrderPeaks, costs: Sequence[StageCosts], alternative: Alternative) -> int:
        """Return the peak of the fullest rank, as `program_peaks` gives it."""
        sized = self.scenario.model_copy(update={"parallelism": alternative.parallelism})
        framework, fragmentation = framework_bytes(sized), fragmentation_of(sized)
        held = static_bytes(order.schedule, costs, framework, self.scenario.runtime.memory.buffers)
        peaks = []
        for fixed, activations in zip(held, order.activation_peaks(costs), strict=True):
            allocated = sum(fixed) - framework + activations
            reserved = -(-allocated * fragmentation.numerator // fragmentation.denominator)
            peaks.append(allocated + reserved + framework)
        return max(peaks)


def _shallow(key: OrderKey) -> OrderKey:
    """Return the same order for no more micro-batches than fill the pipeline: none of more of them holds less."""
    return key._replace(num_microbatches=min(key.num_microbatches, 4 * key.num_ranks))


def _kept(known: OrderedDict[OrderKey, _Kept], key: OrderKey, make: Callable[[], _Kept]) -> _Kept:
    """Return what is known of an order; the one that was not asked for the longest is forgotten."""
    if key in known:
        known.move_to_end(key)
    else:
        known[key] = make()
        if len(known) > _MOST_ORDERS:
            known.popitem(last=False)
    return known[key]
