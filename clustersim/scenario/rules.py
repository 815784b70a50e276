"""Rules over several sections of a scenario.

Each rule is a function of the sections, any of which may be missing because it has mistakes of its own: a rule is then
silent, so that all mistakes that can be told are told together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clustersim.errors import ScheduleError
from clustersim.scenario.batch import Batch, batch_findings, largest_num_microbatches
from clustersim.scenario.costs import CostsByStage, RankCosts
from clustersim.scenario.devices import format_fault, load_device
from clustersim.scenario.economics import Economics, price_findings
from clustersim.scenario.findings import Finding
from clustersim.scenario.model import ModelSpec
from clustersim.scenario.model_shard import model_shard_findings
from clustersim.scenario.node import Path
from clustersim.scenario.parallelism import Parallelism
from clustersim.scenario.placement import placement_findings
from clustersim.scenario.precision import NARROW
from clustersim.scenario.profile import Profile, configuration_of, profile_findings
from clustersim.scenario.schedule_choice import GROUPED, LIMITED, SCHEDULE_RULES, ScheduleChoice
from clustersim.scenario.split import Split
from clustersim.scenario.training import training_findings

if TYPE_CHECKING:
    from clustersim.scenario.spec import ClusterSpec, Runtime
    from clustersim.scenario.training import Training


_MOST_OPS_BUILT = 100_000  # of larger shapes the run itself asks


@dataclass(frozen=True, slots=True)
class Parts:
    """The sections of a scenario that are right by themselves; None for one that is not, or not there."""

    model: ModelSpec | None
    stage_costs: RankCosts | CostsByStage | None
    profile: Profile | None
    cluster: ClusterSpec | None
    parallelism: Parallelism | None
    batch: Batch | None
    schedule: ScheduleChoice | None
    training: Training | None
    runtime: Runtime | None
    economics: Economics | None


def scenario_findings(parts: Parts) -> Iterator[Finding]:
    """Yield what is wrong between the sections."""
    for rule in _RULES:
        yield from rule(parts)


def costs_findings(has_model: bool, has_stage_costs: bool) -> Iterator[Finding]:
    """Yield what is wrong if a scenario says twice, or nowhere, what its micro-batches cost."""
    if not has_model and not has_stage_costs:
        yield Finding(("stage_costs",), "missing key", "give `stage_costs`, or a `model` from which they are derived")
    elif has_model and has_stage_costs:
        what = "given beside `model`, from which costs are derived"
        yield Finding(("stage_costs",), what, "keep one of the two")


def _model(parts: Parts) -> Iterator[Finding]:
    """A model must be one that its axes can divide, on GPUs whose speed is known, dealt to all stages."""
    model, parallelism, schedule, cluster = parts.model, parts.parallelism, parts.schedule, parts.cluster
    if parallelism and parallelism.split and parts.stage_costs:
        yield Finding(("parallelism", "split"), "means nothing beside `stage_costs`", "remove it")
    if model is None:
        return
    if cluster and cluster.topology.num_gpus is not None and cluster.topology.device is None:
        what = "it names no device, from whose speed the times of a model follow"
        yield Finding(("cluster", "topology"), what, "write `device: H100-SXM5-80GB`, or give `stage_costs`")
    yield from _format(parts)
    if not parallelism:
        return
    yield from model_shard_findings(model, parallelism)
    if schedule and schedule.name is not None and schedule.rules.chunks.allows(parallelism.vpp):
        num_stages = schedule.rules.num_listed_stages(parallelism.pp, parallelism.vpp)
        try:
            (parallelism.split or Split()).layers_by_stage(model.num_layers, num_stages)
        except ValueError as error:
            where = ("parallelism", "split") if parallelism.split else ("parallelism", "pp")
            hint = "" if parallelism.split else "say with `split` how many layers each stage has"
            yield Finding(where, str(error), hint)


def _format(parts: Parts) -> Iterator[Finding]:
    """A format that only some devices compute in must be one of the device's."""
    device = parts.cluster.topology.device if parts.cluster else None
    precision = parts.training.precision if parts.training else "bf16"
    if device and precision in NARROW and (what := format_fault(load_device(device), precision)):
        yield Finding(("training", "precision"), what, "fp8 and fp4 are for the linear layers alone")


def _profile(parts: Parts) -> Iterator[Finding]:
    """A profile must hold what is asked of it: the parts that it has at all in the scenario's configuration."""
    profile, schedule = parts.profile, parts.schedule
    if profile and parts.stage_costs:
        yield Finding(("profile",), "means nothing beside `stage_costs`", "give a `model` in their place, or remove it")
    if not (profile and schedule and parts.model and parts.cluster and parts.parallelism):
        return
    if parts.batch and parts.training:
        asked = configuration_of(parts.model, parts.cluster, parts.parallelism, parts.batch, parts.training)
        needs_halves = schedule.label if schedule.rules.splits_backward else ""
        yield from profile_findings(profile, parts.model, asked, needs_halves)


def _num_stages(parts: Parts) -> Iterator[Finding]:
    costs, parallelism, schedule = parts.stage_costs, parts.parallelism, parts.schedule
    if not isinstance(costs, CostsByStage) or not parallelism or not schedule or schedule.name is None:
        return  # how many stages an order has that a user brings is known when it is there
    rules, pp, vpp = schedule.rules, parallelism.pp, parallelism.vpp
    if rules.chunks.allows(vpp) and len(costs.stages) != rules.num_listed_stages(pp, vpp):
        needed = f"pp = {pp}" if rules.is_bidirectional else f"pp * vpp = {pp} * {rules.chunks.num_chunks(vpp)}"
        yield Finding(("stage_costs", "stages"), f"{len(costs.stages)} stages; {needed} are needed")


def _listed_costs(costs: RankCosts | CostsByStage) -> list[tuple[Path, RankCosts]]:
    """Return the costs of a rank, or of each stage, with where they stand."""
    root: Path = ("stage_costs",)
    if isinstance(costs, RankCosts):
        return [(root, costs)]
    return [((*root, "stages", index), stage) for index, stage in enumerate(costs.stages)]


def _split_backward(parts: Parts) -> Iterator[Finding]:
    costs, schedule = parts.stage_costs, parts.schedule
    if not costs or not schedule or not schedule.rules.splits_backward:
        return
    for path, stage in _listed_costs(costs):
        if not stage.has_split_backward:
            what = f"{schedule.label} runs the two halves of the backward apart, and this gives only their sum"
            yield Finding((*path, "backward"), what, "give `input_grad` and `weight_grad` in its place")


def _blocking_p2p(parts: Parts) -> Iterator[Finding]:
    runtime, schedule = parts.runtime, parts.schedule
    if runtime and schedule and runtime.p2p == "blocking" and not schedule.rules.allows_blocking_p2p:
        allowed = ", ".join(name for name, rules in SCHEDULE_RULES.items() if rules.allows_blocking_p2p)
        what = f"{schedule.label} has no blocking form; blocking sends are for {allowed}"
        yield Finding(("runtime", "p2p"), what, "use `p2p: asynchronous`")


def _chunks(parts: Parts) -> Iterator[Finding]:
    parallelism, schedule = parts.parallelism, parts.schedule
    if parallelism and schedule and not schedule.rules.chunks.allows(parallelism.vpp):
        allowed = ", ".join(name for name, rules in SCHEDULE_RULES.items() if rules.has_loops)
        what = f"{schedule.label} has {schedule.rules.chunks.text}; got {parallelism.vpp}"
        yield Finding(("parallelism", "vpp"), what, f"any number of chunks will do for {allowed}")


def _groups(parts: Parts) -> Iterator[Finding]:
    schedule = parts.schedule
    if not schedule:
        return
    for key in ("group_size", "rounds"):
        if getattr(schedule, key) is not None and not schedule.rules.takes_groups:
            yield Finding(("schedule", key), f"means nothing to {schedule.label}; it is for {' and '.join(GROUPED)}")
    if schedule.group_size is not None and schedule.rounds is not None:
        yield Finding(("schedule", "group_size"), "given beside `rounds`, which takes its place", "keep one of the two")


def _shape(parts: Parts) -> Iterator[Finding]:
    """The schedule itself says whether it takes so many ranks and micro-batches, in such groups."""
    schedule, parallelism, batch = parts.schedule, parts.parallelism, parts.batch
    if not schedule or not parallelism or not batch or any(_groups(parts)) or any(_chunks(parts)):
        return
    given = [key for key in ("group_size", "rounds") if getattr(schedule, key) is not None]
    if schedule.name is None or (not schedule.rules.refuses_shapes and not given):
        return
    from clustersim.ops import Shape  # imported only here: most scenarios are checked without
    from clustersim.schedules.table import build_schedule

    for num_microbatches in _numbers_of_microbatches(batch, parallelism.dp):
        torch_rounds = schedule.rounds == "torch"
        shape = Shape(parallelism.pp, num_microbatches, parallelism.vpp, schedule.group_size, torch_rounds)
        if num_microbatches * parallelism.pp * parallelism.vpp > _MOST_OPS_BUILT:
            continue
        try:
            build_schedule(schedule.name, shape)
        except ScheduleError as error:
            yield Finding(("schedule", *given), str(error))
            return


def _exchanges(parts: Parts) -> Iterator[Finding]:
    """An exchange needs a group, and an op that the scenario tells apart."""
    costs, parallelism = parts.stage_costs, parts.parallelism
    if not costs or not parallelism:
        return
    sizes = {"tp": parallelism.tp, "cp": parallelism.cp, "ep": parallelism.ep, "etp": parallelism.expert_tp}
    for path, stage in _listed_costs(costs):
        for index, exchange in enumerate(stage.exchanges):
            if sizes[exchange.axis] == 1:
                what = f"{exchange.axis} is 1, so that there is no group to do it"
                yield Finding(
                    (*path, "exchanges", index, "axis"), what, f"set parallelism.{exchange.axis}, or remove it"
                )
            if exchange.op in ("input_grad", "weight_grad") and not stage.has_split_backward:
                what = "the backward is given as a whole"
                yield Finding((*path, "exchanges", index, "op"), what, "write `op: backward`")


def _policy(parts: Parts) -> Iterator[Finding]:
    """A policy orders ops while they run; what must stand right before an op would come at the wrong time."""
    runtime, schedule = parts.runtime, parts.schedule
    if not runtime or not schedule or schedule.policy is None:
        return
    if runtime.scatter_gather:
        yield Finding(("runtime", "scatter_gather"), "not together with an online policy", "remove it")
    for axis in ("tp", "cp"):
        if getattr(runtime.overlap, axis):
            yield Finding(("runtime", "overlap", axis), "not together with an online policy", "set it to false")


def _limit(parts: Parts) -> Iterator[Finding]:
    schedule, costs = parts.schedule, parts.stage_costs
    if not schedule or schedule.limit is None:
        return
    if not schedule.rules.takes_limit:
        yield Finding(("schedule", "limit"), f"means nothing to {schedule.label}; it is for {' and '.join(LIMITED)}")
    elif costs:
        from clustersim.schedules.activation_limit import limit_fault

        listed = [costs] if isinstance(costs, RankCosts) else costs.stages
        faults = [limit_fault(schedule.limit.as_op_limit(), cost.activation) for cost in listed]
        if what := next(filter(None, faults), None):
            yield Finding(("schedule", "limit"), what)


def _numbers_of_microbatches(batch: Batch, dp: int) -> tuple[int, ...]:
    """Return the different numbers of micro-batches that replicas have; none for a batch that can't be dealt."""
    if any(batch_findings(batch, dp)):
        return ()
    largest = largest_num_microbatches(batch, dp)
    if batch.global_batch_size is None:
        return (largest,)
    smallest = -(-(batch.global_batch_size // dp) // batch.micro_batch_size)
    return (largest,) if smallest == largest else (largest, smallest)


def _gpus(parts: Parts) -> Iterator[Finding]:
    cluster, parallelism = parts.cluster, parts.parallelism
    num_there = cluster.topology.num_gpus if cluster else None
    if cluster and cluster.gpus is not None and num_there is not None and cluster.gpus > num_there:
        yield Finding(("cluster", "gpus"), f"{cluster.gpus} GPUs asked for; the topology has {num_there}")
    elif cluster and parallelism:
        product = " * ".join(f"{axis} {size}" for axis, size in parallelism.sizes.items())
        needed = f"{product} = {parallelism.num_gpus} GPUs"
        if cluster.gpus is not None and cluster.gpus != parallelism.num_gpus:
            hint = f"change an axis, or `gpus: {parallelism.num_gpus}`"
            yield Finding(("cluster", "gpus"), f"{cluster.gpus}, but the parallelism is {needed}", hint)
        elif num_there is not None and parallelism.num_gpus > num_there:
            what = f"{needed}; the topology has {num_there}"
            yield Finding(("parallelism",), what, "a gallery topology is built as large as `cluster.gpus` says")


def _placement(parts: Parts) -> Iterator[Finding]:
    if parts.cluster:
        num_ranks = parts.parallelism.num_gpus if parts.parallelism else None
        yield from placement_findings(parts.cluster.placement, parts.cluster.topology, num_ranks)


def _experts(parts: Parts) -> Iterator[Finding]:
    parallelism = parts.parallelism
    if not parallelism:
        return
    dense = parallelism.tp * parallelism.cp * parallelism.dp
    if dense % (parallelism.ep * parallelism.expert_tp):
        what = f"ep {parallelism.ep} * etp {parallelism.expert_tp} does not divide tp * cp * dp = {dense}"
        yield Finding(("parallelism", "ep" if parallelism.ep > 1 else "etp"), what)


def _batch(parts: Parts) -> Iterator[Finding]:
    if parts.batch and parts.parallelism:
        yield from batch_findings(parts.batch, parts.parallelism.dp)


def _recompute(parts: Parts) -> Iterator[Finding]:
    if parts.model and parts.training:
        yield from training_findings(parts.training, parts.model)
    if parts.stage_costs and parts.training and parts.training.recompute not in (None, "none"):
        what = "has no effect on explicit stage costs"
        yield Finding(("training", "recompute"), what, "give `stage_costs.recompute` and `stage_costs.checkpoint`")


def _token_budget(parts: Parts) -> Iterator[Finding]:
    if parts.stage_costs and parts.training and parts.training.token_budget is not None:
        what = "how many tokens a step has is not known from explicit stage costs"
        yield Finding(("training", "token_budget"), what, "give a `model`, or remove it")


def _prices(parts: Parts) -> Iterator[Finding]:
    """Prices are of devices that there are."""
    if parts.economics and parts.cluster:
        yield from price_findings(parts.economics.prices, parts.cluster.topology)


_RULES: tuple[Callable[[Parts], Iterator[Finding]], ...] = (
    _model,
    _profile,
    _num_stages,
    _split_backward,
    _blocking_p2p,
    _chunks,
    _groups,
    _shape,
    _limit,
    _exchanges,
    _policy,
    _gpus,
    _placement,
    _experts,
    _batch,
    _recompute,
    _token_budget,
    _prices,
)
