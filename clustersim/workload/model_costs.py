"""Costs of stages derived from a model: times on a device, bytes, memory, and what groups exchange.

A stage's op is its layers' operators one after the other; what tensor-, context- and expert-parallel groups exchange is
counted beside that, layer by layer, and runs as the collectives of the stage. Times that a profile holds take the place
of derived ones.

References
----------
Korthikanti et al., MLSys 2023, section 4.2.2 (where tensor and sequence parallelism communicate). Shoeybi et al.,
"Megatron-LM", arXiv:1909.08053, section 3 (two all-reduces a layer and direction). Lepikhin et al., "GShard", ICLR 2021
(two all-to-alls a layer of experts and direction). Megatron Core, MoEAlltoAllTokenDispatcher (rows are gathered over
etp after the first all-to-all, and scattered before the second).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from clustersim.errors import Fault, ScenarioError
from clustersim.ops import Exchange, Kind, StageCosts
from clustersim.scenario.batch import deal_samples
from clustersim.scenario.devices import format_fault, load_device
from clustersim.scenario.model import ModelSpec
from clustersim.scenario.parallelism import Parallelism
from clustersim.scenario.profile import PartName, ProfileRow
from clustersim.scenario.spec import Scenario
from clustersim.scenario.split import Split
from clustersim.workload.measured import Measured, OpTimes
from clustersim.workload.model.flop import hardware_flop, model_flop
from clustersim.workload.model.linears import output_linear
from clustersim.workload.model.microbatch import MicroBatch
from clustersim.workload.model.precision import PRECISIONS
from clustersim.workload.model.shard import Shard, divided, shard_of
from clustersim.workload.model.stage import (
    ModelPart,
    message_bytes,
    parts_of,
    stage_activations,
    stage_operators,
    stage_parameters,
    stage_recomputed,
)
from clustersim.workload.model.state import optimizer_step_bytes, state_bytes
from clustersim.workload.model.timing import DeviceTiming, peak_rate


def model_costs(scenario: Scenario, num_stages: int, device: str | None = None) -> tuple[StageCosts, ...]:
    """Return ``costs[stage]`` of the scenario's model on `num_stages` stages.

    Parameters
    ----------
    scenario
        A scenario with a model.
    num_stages
        Stages of one chain, in the order in which a micro-batch passes them.
    device
        Name in the catalogue; None: the topology's.

    Raises
    ------
    ScenarioError
        The topology names no device, the catalogue does not say how fast it is though something has to be derived, the
        profile lacks the configuration, or layers can't be dealt so.
    """
    assert scenario.model is not None
    name = device or scenario.cluster.topology.device
    if name is None:
        what = "it names no device, from whose speed the times of a model follow"
        raise ScenarioError(Fault("cluster.topology", what))
    training = scenario.training
    if what := format_fault(name, training.precision):
        raise ScenarioError(Fault("training.precision", what))
    split = scenario.parallelism.split or Split()
    try:
        counts = split.layers_by_stage(scenario.model.num_layers, num_stages)
    except ValueError as error:
        raise ScenarioError(Fault("parallelism.split", str(error))) from None
    microbatch = MicroBatch(
        scenario.batch.micro_batch_size,
        training.precision,
        training.flash_attention,
        training.recompute or "none",
    )
    measured = Measured(_measured_rows(scenario, name), microbatch.recompute)
    stages = _Stages(scenario.model, microbatch, scenario.parallelism, name, measured)
    pp = scenario.parallelism.pp
    num_chunks = max(1, num_stages // pp)
    return tuple(
        stages.costs(part, measured.optimizer_ps(stage // pp, num_chunks))
        for stage, part in enumerate(parts_of(scenario.model, counts))
    )


def _measured_rows(scenario: Scenario, device: str) -> Mapping[PartName, ProfileRow]:
    try:
        return scenario.measured_rows(device)
    except ValueError as error:
        raise ScenarioError(Fault("profile", str(error))) from None


@dataclass(frozen=True, slots=True)
class StepWork:
    """What a training step asks of all GPUs together, and what one of them could do."""

    model_flop: int  # full attention, without recomputation
    hardware_flop: int  # the same with recomputation
    peak_flop_per_s: float | None  # of one GPU, in the number format of the linear layers; None: not published


def step_work(scenario: Scenario, devices: Sequence[str | None] = ()) -> StepWork:
    """Return what a training step of the scenario's model asks for, under the convention of full attention.

    `devices` names that of each GPU, None or absent: the topology's; the peak is their mean.
    """
    model, training, usual = scenario.model, scenario.training, scenario.cluster.topology.device
    assert model is not None
    names = Counter(device or usual for device in devices) or Counter([usual])
    samples = sum(share.num_samples for share in deal_samples(scenario.batch, scenario.parallelism.dp))
    again = hardware_flop(
        model, samples, training.recompute or "none", flash_attention=training.flash_attention, convention="full"
    )
    peaks = {name: load_device(name).peak_flop_per_s if name else {} for name in names}
    if not all(peaks.values()):
        return StepWork(model_flop(model, samples), again, None)
    total = sum(count * peak_rate(peaks[name], training.precision) for name, count in names.items())
    return StepWork(model_flop(model, samples), again, total / names.total())


@lru_cache(maxsize=64)
def _timing(name: str) -> DeviceTiming:
    try:
        return DeviceTiming.of(load_device(name))
    except ValueError as error:
        hint = "give `stage_costs`, a full `profile`, or a `device` whose file in the catalogue has `kernels`"
        raise ScenarioError(Fault("cluster.topology.device", str(error), hint=hint)) from None


@dataclass(frozen=True, slots=True)
class _Stages:
    """What all stages of a job have in common."""

    model: ModelSpec
    microbatch: MicroBatch
    parallelism: Parallelism
    device: str
    measured: Measured

    @property
    def shard(self) -> Shard:
        return shard_of(self.parallelism)

    def costs(self, part: ModelPart, optimizer_ps: int | None = None) -> StageCosts:
        """Return what one micro-batch costs on a stage, whose optimizer step is measured or, if None, derived."""
        model, microbatch, shard = self.model, self.microbatch, self.shard
        times = self.measured.times(part).plus(self._derived_times(part))
        activations = stage_activations(model, part, microbatch, shard)
        parameters = stage_parameters(model, part, shard)
        precision = microbatch.precision
        held = state_bytes(parameters, precision, self.parallelism)
        is_sharded = self.parallelism.zero_stage == 3  # what replicas share, they then share micro-batch by micro-batch
        shared = 0 if is_sharded else self._reduced(parameters.dense, parameters.experts)
        sizes = PRECISIONS[precision]
        if optimizer_ps is None:
            moved_bytes = optimizer_step_bytes(parameters, precision, self.parallelism)
            optimizer_ps = _timing(self.device).memory_ps(moved_bytes)
        return StageCosts(
            forward_ps=times.forward_ps,
            input_grad_ps=times.input_grad_ps,
            weight_grad_ps=times.weight_grad_ps,
            forward_backward_ps=times.forward_ps + times.input_grad_ps + times.weight_grad_ps,
            recompute_ps=times.recompute_ps,
            optimizer_ps=optimizer_ps,
            activation_bytes=activations.whole_bytes,
            weight_grad_activation_bytes=activations.weight_grad_bytes,
            checkpoint_bytes=activations.checkpoint_bytes if times.recompute_ps else 0,
            message_bytes=message_bytes(model, microbatch, shard),
            weights_bytes=held.weights_bytes,
            gradients_bytes=held.gradients_bytes,
            optimizer_bytes=held.optimizer_bytes,
            exchanges=tuple(_exchanges(model, part, microbatch, self.parallelism, self.measured)),
            recomputes_exchanges=microbatch.recompute == "full",
            tied_gradients_bytes=self._tied_bytes(part),
            reduced_bytes=sizes.gradient_bytes * shared,
            gathered_bytes=sizes.weight_bytes * shared,
        )

    def _derived_times(self, part: ModelPart) -> OpTimes:
        """Return what a stage takes beside what is measured of it; of a device nothing is asked if that is all."""
        run = stage_operators(self.model, self.measured.unmeasured(part), self.microbatch, self.shard)
        rest = self.measured.unmeasured_recomputation(part)
        again = stage_recomputed(self.model, rest, self.microbatch, self.shard)
        if not run and not again:
            return OpTimes()
        timing = _timing(self.device)
        forward_ps, recompute_ps = timing.forward_ps(run), timing.forward_ps(again)
        return OpTimes(forward_ps, timing.input_grad_ps(run), timing.weight_grad_ps(run), recompute_ps)

    def _reduced(self, dense: int, experts: int) -> int:
        """Return the parameters that several GPUs hold, and so reduce: experts only where they have copies."""
        p = self.parallelism
        has_copies = p.tp * p.cp * p.dp > p.ep * p.expert_tp
        return dense + (experts if has_copies else 0)

    def _tied_bytes(self, part: ModelPart) -> int:
        if not self.model.tied_embeddings or not (part.has_embedding or part.has_output):
            return 0
        gradient_bytes = PRECISIONS[self.microbatch.precision].gradient_bytes
        return gradient_bytes * output_linear(self.model, self.shard).num_weights


def _exchanges(
    model: ModelSpec, part: ModelPart, microbatch: MicroBatch, parallelism: Parallelism, measured: Measured
) -> Iterator[Exchange]:
    """Yield what the groups of a stage exchange for one micro-batch, but for what measured times hold."""
    if parallelism.tp > 1:
        yield from _tensor_parallel(model, measured.exchanging(part, "tp"), microbatch, parallelism)
    if parallelism.cp > 1:
        layers = _layers(measured.exchanging(part, "cp"))
        yield from _context_parallel(model, microbatch, parallelism, layers.total())
    if parallelism.ep > 1:
        layers = _layers(measured.exchanging(part, "ep"))
        yield from _expert_parallel(model, microbatch, parallelism, layers[True])
    if parallelism.expert_tp > 1:
        layers = _layers(measured.exchanging(part, "etp"))
        yield from _expert_tensor_parallel(model, microbatch, parallelism, layers[True])
    if parallelism.zero_stage == 3:
        yield from _fully_sharded(model, part, microbatch, parallelism)


def _layers(part: ModelPart) -> Counter[bool]:
    """Return how many layers of a stage have no experts, and how many have."""
    return Counter(kind.has_experts for kind in (*part.kinds, *part.mtp_kinds))


def _fully_sharded(
    model: ModelSpec, part: ModelPart, microbatch: MicroBatch, parallelism: Parallelism
) -> Iterator[Exchange]:
    """ZeRO 3: layer by layer, weights are gathered for a forward and a backward, and gradients scattered after it."""
    num_layers = max(1, len(part.kinds))
    total = stage_parameters(model, part, shard_of(parallelism)).total
    sizes = microbatch.sizes
    weights_bytes = sizes.weight_bytes * total // num_layers
    yield from _calls("dp", Kind.F, ("all-gather",), weights_bytes, num_layers)
    yield from _calls("dp", Kind.I, ("all-gather",), weights_bytes, num_layers)
    yield from _calls("dp", Kind.W, ("reduce-scatter",), weights_bytes, num_layers)


def _tensor_parallel(
    model: ModelSpec, part: ModelPart, microbatch: MicroBatch, parallelism: Parallelism
) -> Iterator[Exchange]:
    layers = _layers(part)
    tokens = shard_of(parallelism).tokens(microbatch.num_samples * model.seq_length)
    size_bytes = microbatch.sizes.activation_bytes * tokens * model.hidden_size
    # An attention block and an MLP each; experts exchange over ep and etp instead, but for those that all tokens go to.
    has_shared = model.moe is not None and model.moe.num_shared_experts > 0
    regions = 2 * layers[False] + (1 + has_shared) * layers[True]
    ends = {Kind.F: part.has_embedding + 0, Kind.I: part.has_output + len(part.mtp_kinds)}
    for kind, extra in ends.items():
        if parallelism.sequence_parallel:
            yield from _calls("tp", kind, ("all-gather", "reduce-scatter"), size_bytes, regions + extra)
        else:
            yield from _calls("tp", kind, ("all-reduce",), size_bytes, regions + extra)


def _context_parallel(
    model: ModelSpec, microbatch: MicroBatch, parallelism: Parallelism, num_layers: int
) -> Iterator[Exchange]:
    groups = -(-model.kv_heads // parallelism.tp)
    values = groups * (model.head_size + model.value_size)
    size_bytes = microbatch.sizes.activation_bytes * microbatch.num_samples * model.seq_length * values
    yield from _calls("cp", Kind.F, ("all-gather",), size_bytes, num_layers)
    yield from _calls("cp", Kind.I, ("all-gather", "reduce-scatter"), size_bytes, num_layers)


def _expert_parallel(
    model: ModelSpec, microbatch: MicroBatch, parallelism: Parallelism, num_layers: int
) -> Iterator[Exchange]:
    if model.moe is None:
        return
    rows = divided(_routed_rows(model, microbatch, parallelism), parallelism.expert_tp)  # before etp gathers them
    size_bytes = microbatch.sizes.activation_bytes * rows * model.hidden_size
    for kind in (Kind.F, Kind.I):
        yield from _calls("ep", kind, ("all-to-all",), size_bytes, 2 * num_layers)


def _routed_rows(model: ModelSpec, microbatch: MicroBatch, parallelism: Parallelism) -> int:
    """Return the rows that one GPU's experts get together."""
    num_tokens = microbatch.num_samples * model.seq_length
    return shard_of(parallelism).routed_rows(num_tokens, model.moe.top_k) if model.moe else 0


def _expert_tensor_parallel(
    model: ModelSpec, microbatch: MicroBatch, parallelism: Parallelism, num_layers: int
) -> Iterator[Exchange]:
    """Experts that are split among GPUs gather the rows of all of them, and scatter the sums of what they make of them.

    Without sequence parallelism every GPU has the tokens already, and sums what its share of the experts made of each.
    """
    if model.moe is None:
        return
    rows = _routed_rows(model, microbatch, parallelism)
    row_bytes = microbatch.sizes.activation_bytes * model.hidden_size
    for kind in (Kind.F, Kind.I):
        if parallelism.sequence_parallel:
            yield from _calls("etp", kind, ("all-gather", "reduce-scatter"), row_bytes * rows, num_layers)
        else:
            yield from _calls("etp", kind, ("all-reduce",), row_bytes * divided(rows, model.moe.top_k), num_layers)


def _calls(axis: str, kind: Kind, operations: tuple[str, ...], size_bytes: int, num_calls: int) -> Iterator[Exchange]:
    if num_calls:
        for operation in operations:
            yield Exchange(axis, kind, operation, size_bytes, num_calls)
