"""Costs of stages derived from a model: times on a device, bytes, memory, and what groups exchange.

A stage's op is its layers' operators one after the other; what tensor-, context- and expert-parallel groups exchange is
counted beside that, layer by layer, and runs as the collectives of the stage.

References
----------
Korthikanti et al., MLSys 2023, section 4.2.2 (where tensor and sequence parallelism communicate). Shoeybi et al.,
"Megatron-LM", arXiv:1909.08053, section 3 (two all-reduces a layer and direction). Lepikhin et al., "GShard", ICLR 2021
(two all-to-alls a layer of experts and direction).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from clustersim.errors import Fault, ScenarioError
from clustersim.ops import Exchange, Kind, StageCosts
from clustersim.scenario.batch import deal_samples
from clustersim.scenario.devices import Device, load_device
from clustersim.scenario.model import ModelSpec
from clustersim.scenario.parallelism import Parallelism
from clustersim.scenario.spec import Overlap, Scenario
from clustersim.scenario.split import Split
from clustersim.workload.model.buffers import buffer_bytes
from clustersim.workload.model.flop import Convention, hardware_flop, model_flop
from clustersim.workload.model.layers import LayerKind
from clustersim.workload.model.linears import output_linear
from clustersim.workload.model.microbatch import MicroBatch
from clustersim.workload.model.precision import PRECISIONS
from clustersim.workload.model.recompute import RecomputedLayers
from clustersim.workload.model.shard import Shard, shard_of
from clustersim.workload.model.stage import (
    ModelPart,
    Repeated,
    message_bytes,
    parts_of,
    recomputed_kinds,
    stage_activations,
    stage_operators,
    stage_parameters,
    stage_recomputed,
)
from clustersim.workload.model.state import optimizer_step_bytes, state_bytes
from clustersim.workload.model.timing import DeviceTiming
from clustersim.workload.overhead import framework_of


def model_costs(scenario: Scenario, num_stages: int, device: Device | None = None) -> tuple[StageCosts, ...]:
    """Return ``costs[stage]`` of the scenario's model on `num_stages` stages.

    Parameters
    ----------
    scenario
        A scenario with a model.
    num_stages
        Stages of one chain, in the order in which a micro-batch passes them.
    device
        What times follow from; None: the topology's.

    Raises
    ------
    ScenarioError
        The topology names no device, the catalogue does not say how fast it is, or layers can't be dealt so.
    """
    stages, parts = model_stages(scenario, num_stages, device)
    return tuple(stages.costs(part) for part in parts)


def model_stages(
    scenario: Scenario, num_stages: int, device: Device | None = None
) -> tuple[ModelStages, tuple[ModelPart, ...]]:
    """Return what all stages of the scenario's model have in common, and the part of each; see :func:`model_costs`."""
    assert scenario.model is not None
    timing = timing_of(scenario, device)
    return _stages(scenario, scenario.model, timing), model_parts(scenario, num_stages)


def part_costs(scenario: Scenario, model: ModelSpec, part: ModelPart, timing: DeviceTiming) -> StageCosts:
    """Return what one micro-batch of the scenario costs on a stage that holds a part of a model."""
    return _stages(scenario, model, timing).costs(part)


def _stages(scenario: Scenario, model: ModelSpec, timing: DeviceTiming) -> ModelStages:
    runtime = scenario.runtime
    microbatch = microbatch_of(scenario)
    return ModelStages(model, microbatch, scenario.parallelism, runtime.overlap, timing, runtime.gradient_bucket)


def model_parts(scenario: Scenario, num_stages: int) -> tuple[ModelPart, ...]:
    """Return the layers of each stage; a ScenarioError if they can't be dealt so."""
    assert scenario.model is not None
    split = scenario.parallelism.split or Split()
    try:
        counts = split.layers_by_stage(scenario.model.num_layers, num_stages)
    except ValueError as error:
        raise ScenarioError(Fault("parallelism.split", str(error))) from None
    return parts_of(scenario.model, counts)


def microbatch_of(scenario: Scenario) -> MicroBatch:
    """Return a full micro-batch of the scenario."""
    training, framework, logit = scenario.training, framework_of(scenario), scenario.runtime.memory.logit
    return MicroBatch(
        scenario.batch.micro_batch_size,
        training.precision,
        training.flash_attention,
        training.recompute or "none",
        training.recompute_modules or (framework.selective,),
        RecomputedLayers(training.recompute_num_layers, training.recompute_method or "block", training.recompute_every),
        framework.logit if logit is None else logit,
    )


def timing_of(scenario: Scenario, device: Device | None = None) -> DeviceTiming:
    """Return the timing of `device`, or of the one that the scenario's topology names.

    Raises
    ------
    ScenarioError
        It names none, or one of which nobody knows how fast it is, or how fast it computes attention.
    """
    attention_kernel = scenario.training.attention_kernel
    if device is not None:
        return _timing_on(device, attention_kernel)
    name = scenario.cluster.topology.device
    if name is None:
        what = "it names no device, from whose speed the times of a model follow"
        raise ScenarioError(Fault("cluster.topology", what))
    return _timing(name, attention_kernel)


@dataclass(frozen=True, slots=True)
class StepWork:
    """What a training step asks of all GPUs together, and what one of them could do."""

    model_flop: int  # without recomputation
    hardware_flop: int  # the same with recomputation
    peak_flop_per_s: float  # of one GPU, in the number format of the linear layers


def step_work(scenario: Scenario, num_stages: int, convention: Convention = "full") -> StepWork:
    """Return what a training step of the model asks for on `num_stages` stages, under a convention for attention."""
    model, training = scenario.model, scenario.training
    assert model is not None
    samples = sum(share.num_samples for share in deal_samples(scenario.batch, scenario.parallelism.dp))
    microbatch = microbatch_of(scenario)
    parts = model_parts(scenario, num_stages)
    again = hardware_flop(
        model,
        samples,
        microbatch.recompute,
        flash_attention=training.flash_attention,
        modules=microbatch.recomputed_modules,
        convention=convention,
        layers=[kind for part in parts for kind in recomputed_kinds(part, microbatch)],
    )
    peak = timing_of(scenario).peak(training.precision)
    return StepWork(model_flop(model, samples, convention), again, peak)


@lru_cache(maxsize=64)
def _timing(name: str, attention_kernel: str | None) -> DeviceTiming:
    return _timing_on(load_device(name), attention_kernel)


def _timing_on(device: Device, attention_kernel: str | None) -> DeviceTiming:
    try:
        return DeviceTiming.of(device, attention_kernel)
    except KeyError:
        known = list(device.kernels.attention_kernels) if device.kernels else []
        what = f"the catalogue does not say what '{attention_kernel}' reaches on {device.name}"
        hint = f"allowed: {', '.join(known)}; or leave it out" if known else "leave it out"
        raise ScenarioError(Fault("training.attention_kernel", what, hint=hint)) from None
    except ValueError as error:
        hint = "give `stage_costs`, or a `device` whose file in the catalogue has `kernels`"
        raise ScenarioError(Fault("cluster.topology.device", str(error), hint=hint)) from None


@dataclass(frozen=True, slots=True)
class ModelStages:
    """What all stages of a job have in common."""

    model: ModelSpec
    microbatch: MicroBatch
    parallelism: Parallelism
    overlap: Overlap
    timing: DeviceTiming
    bucket_bytes: int  # of gradients that are reduced at once

    @property
    def shard(self) -> Shard:
        """How the GPUs of a stage split its layers."""
        return shard_of(self.parallelism)

    def operators(self, part: ModelPart) -> Repeated:
        """Return what one GPU of a stage runs for a micro-batch, without recomputation."""
        return stage_operators(self.model, part, self.microbatch, self.shard)

    def recomputed(self, part: ModelPart) -> Repeated:
        """Return the operators whose forward it runs once more."""
        return stage_recomputed(self.model, part, self.microbatch, self.shard)

    def costs(self, part: ModelPart) -> StageCosts:
        """Return what one micro-batch costs on a stage."""
        model, microbatch, shard, timing = self.model, self.microbatch, self.shard, self.timing
        operators = self.operators(part)
        forward_ps = timing.forward_ps(operators)
        input_grad_ps, weight_grad_ps = timing.input_grad_ps(operators), timing.weight_grad_ps(operators)
        recompute_ps = timing.forward_ps(self.recomputed(part))
        activations = stage_activations(model, part, microbatch, shard)
        parameters = stage_parameters(model, part, shard)
        precision = microbatch.precision
        held = state_bytes(parameters, precision, self.parallelism)
        is_sharded = self.parallelism.zero_stage == 3  # what replicas share, they then share micro-batch by micro-batch
        shared = 0 if is_sharded else self._reduced(parameters.dense, parameters.experts)
        sizes = PRECISIONS[precision]
        return StageCosts(
            forward_ps=forward_ps,
            input_grad_ps=input_grad_ps,
            weight_grad_ps=weight_grad_ps,
            forward_backward_ps=forward_ps + input_grad_ps + weight_grad_ps,
            recompute_ps=recompute_ps,
            optimizer_ps=timing.memory_ps(optimizer_step_bytes(parameters, precision, self.parallelism)),
            activation_bytes=activations.whole_bytes,
            logits_bytes=activations.logits_bytes,
            weight_grad_activation_bytes=activations.weight_grad_bytes,
            checkpoint_bytes=activations.checkpoint_bytes if recompute_ps else 0,
            backward_bytes=0 if recompute_ps else activations.whole_bytes - activations.checkpoint_bytes,
            message_bytes=message_bytes(model, microbatch, shard),
            weights_bytes=held.weights_bytes,
            gradients_bytes=held.gradients_bytes,
            optimizer_bytes=held.optimizer_bytes,
            buffers_bytes=buffer_bytes(model, part, microbatch, self.parallelism, self.bucket_bytes),
            exchanges=(*self._exchanges(part), *self._exchanged_again(part)),
            recomputes_exchanges=False,
            tied_gradients_bytes=self._tied_bytes(part),
            reduced_bytes=sizes.gradient_bytes * shared,
            gathered_bytes=sizes.weight_bytes * shared,
        )

    def _exchanges(self, part: ModelPart) -> tuple[Exchange, ...]:
        return tuple(_exchanges(self.model, part, self.microbatch, self.parallelism, self.overlap))

    def _exchanged_again(self, part: ModelPart) -> Iterator[Exchange]:
        """Yield what a recomputation exchanges: whole layers what a forward does, and parts of layers what they do.

        Sharded weights are not gathered for it: they are there for the backward already.
        """
        again = recomputed_kinds(part, self.microbatch)
        if self.microbatch.recompute == "full":
            forward = iter(self._exchanges(ModelPart(again)))
        else:
            forward = _exchanges_of_modules(self.model, again, self.microbatch, self.parallelism)
        for exchange in forward:
            if exchange.kind is Kind.F and exchange.axis != "dp":
                yield replace(exchange, kind=Kind.RECOMPUTE)

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
    model: ModelSpec, part: ModelPart, microbatch: MicroBatch, parallelism: Parallelism, overlap: Overlap
) -> Iterator[Exchange]:
    """Yield what the groups of a stage exchange for one micro-batch."""
    layers = Counter(kind.has_experts for kind in (*part.kinds, *part.mtp_kinds))
    if parallelism.tp > 1:
        yield from _tensor_parallel(model, part, microbatch, parallelism, layers)
    if parallelism.cp > 1:
        yield from _context_parallel(model, microbatch, parallelism, layers.total())
    if parallelism.ep > 1 and layers[True]:
        yield from _expert_parallel(model, microbatch, parallelism, layers[True])
    if parallelism.zero_stage == 3:
        yield from _fully_sharded(model, part, microbatch, parallelism, overlap)


def _exchanges_of_modules(
    model: ModelSpec, kinds: tuple[LayerKind, ...], microbatch: MicroBatch, parallelism: Parallelism
) -> Iterator[Exchange]:
    """Yield what the forwards of the recomputed modules of some layers exchange; the other modules exchange nothing."""
    modules = microbatch.recomputed_modules
    num_mlps = sum(not kind.has_experts for kind in kinds) if "mlp" in modules else 0
    num_experts = sum(kind.has_experts for kind in kinds) if "moe" in modules else 0
    if parallelism.tp > 1:
        regions = num_mlps + (num_experts if parallelism.expert_tp > 1 else 0)
        yield from _tensor_parallel_calls(model, microbatch, parallelism, Kind.F, regions)
    if parallelism.ep > 1:
        yield from _expert_parallel(model, microbatch, parallelism, num_experts)


def _fully_sharded(
    model: ModelSpec, part: ModelPart, microbatch: MicroBatch, parallelism: Parallelism, overlap: Overlap
) -> Iterator[Exchange]:
    """ZeRO 3: layer by layer, weights are gathered for a forward and a backward, and gradients scattered after it.

    The first gather and the last scatter of an op have nothing to run beside.
    """
    num_layers = max(1, len(part.kinds))
    total = stage_parameters(model, part, shard_of(parallelism)).total
    size_bytes = microbatch.sizes.weight_bytes * total // num_layers
    calls = (
        (Kind.F, "all-gather", overlap.fsdp_forward),
        (Kind.I, "all-gather", overlap.fsdp_backward),
        (Kind.W, "reduce-scatter", True),
    )
    for kind, operation, is_beside in calls:
        num_beside = num_layers - 1 if is_beside else 0
        if num_beside:
            yield Exchange("dp", kind, operation, size_bytes, num_beside, is_beside=True)
        yield Exchange("dp", kind, operation, size_bytes, num_layers - num_beside, is_beside=False)


def _tensor_parallel(
    model: ModelSpec, part: ModelPart, microbatch: MicroBatch, parallelism: Parallelism, layers: Counter[bool]
) -> Iterator[Exchange]:
    # An attention block and an MLP each; experts that are not split among tp exchange tokens over ep instead.
    regions = 2 * layers[False] + (2 if parallelism.expert_tp > 1 else 1) * layers[True]
    ends = {Kind.F: part.has_embedding + 0, Kind.I: part.has_output + len(part.mtp_kinds)}
    for kind, extra in ends.items():
        yield from _tensor_parallel_calls(model, microbatch, parallelism, kind, regions + extra)


def _tensor_parallel_calls(
    model: ModelSpec, microbatch: MicroBatch, parallelism: Parallelism, kind: Kind, num_regions: int
) -> Iterator[Exchange]:
    tokens = shard_of(parallelism).tokens(microbatch.num_samples * model.seq_length)
    size_bytes = microbatch.sizes.activation_bytes * tokens * model.hidden_size
    operations = ("all-gather", "reduce-scatter") if parallelism.sequence_parallel else ("all-reduce",)
    yield from _calls("tp", kind, operations, size_bytes, num_regions)


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
    assert model.moe is not None
    rows = shard_of(parallelism).routed_rows(microbatch.num_samples * model.seq_length, model.moe.top_k)
    size_bytes = microbatch.sizes.activation_bytes * rows * model.hidden_size
    for kind in (Kind.F, Kind.I):
        yield from _calls("ep", kind, ("all-to-all",), size_bytes, 2 * num_layers)


def _calls(axis: str, kind: Kind, operations: tuple[str, ...], size_bytes: int, num_calls: int) -> Iterator[Exchange]:
    if num_calls:
        for operation in operations:
            yield Exchange(axis, kind, operation, size_bytes, num_calls)
