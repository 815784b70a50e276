"""Costs of stages derived from a model: times on a device, bytes, memory, and what groups exchange.

A stage's op is its layers' operators one after the other; what tensor-, context- and expert-parallel groups exchange is
counted beside that (see :mod:`clustersim.workload.model_exchanges`), and runs as the collectives of the stage. Times
that a profile holds take the place of derived ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from clustersim.errors import Fault, ScenarioError
from clustersim.ops import Exchange, Kind, StageCosts
from clustersim.scenario.devices import Device, format_fault
from clustersim.scenario.model import ModelSpec
from clustersim.scenario.parallelism import Parallelism
from clustersim.scenario.profile import PartName, ProfileRow
from clustersim.scenario.spec import Overlap, Scenario
from clustersim.scenario.split import Split
from clustersim.workload.measured import Measured, OpTimes
from clustersim.workload.model.buffers import buffer_bytes
from clustersim.workload.model.linears import output_linear
from clustersim.workload.model.microbatch import MicroBatch
from clustersim.workload.model.parameters import Parameters
from clustersim.workload.model.precision import PRECISIONS
from clustersim.workload.model.recompute import RecomputedLayers
from clustersim.workload.model.shard import Shard, shard_of
from clustersim.workload.model.stage import (
    ModelPart,
    Repeated,
    message_bytes,
    parts_of,
    recomputed_layers,
    stage_activations,
    stage_operators,
    stage_parameters,
    stage_recomputed,
)
from clustersim.workload.model.state import optimizer_step_bytes, state_bytes
from clustersim.workload.model.timing import DeviceTiming
from clustersim.workload.model_exchanges import exchanges_of, exchanges_of_modules, fully_sharded
from clustersim.workload.overhead import framework_of
from clustersim.workload.rank_devices import usual_device


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
        The topology names no device, the catalogue does not say how fast it is though something has to be derived, the
        profile lacks the configuration, or layers can't be dealt so.
    """
    assert scenario.model is not None
    stages, pp = model_stages(scenario, scenario.model, device), scenario.parallelism.pp
    num_chunks = max(1, num_stages // pp)
    asked = [
        (part, stages.measured.optimizer_ps(stage // pp, num_chunks))
        for stage, part in enumerate(model_parts(scenario, num_stages))
    ]
    known = {key: stages.costs(*key) for key in dict.fromkeys(asked)}  # most stages have the same layers
    return tuple(known[key] for key in asked)


def model_stages(scenario: Scenario, model: ModelSpec, device: Device | None = None) -> ModelStages:
    """Return what all stages of `model` have in common under the scenario; see :func:`model_costs`."""
    device = device or usual_device(scenario)
    training, runtime = scenario.training, scenario.runtime
    if what := format_fault(device, training.precision):
        raise ScenarioError(Fault("training.precision", what))
    return ModelStages(
        model,
        microbatch_of(scenario),
        scenario.parallelism,
        runtime.overlap,
        device,
        training.attention_kernel,
        measured_of(scenario, device),
        runtime.gradient_bucket,
    )


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


def measured_of(scenario: Scenario, device: Device | None = None) -> Measured:
    """Return what the scenario's profile holds for `device`, or for the topology's; a ScenarioError if it lacks it."""
    return Measured(_measured_rows(scenario, device), scenario.training.recompute or "none")


def _measured_rows(scenario: Scenario, device: Device | None) -> Mapping[PartName, ProfileRow]:
    try:
        return scenario.measured_rows(device.name if device else None)
    except ValueError as error:
        raise ScenarioError(Fault("profile", str(error))) from None


@dataclass(frozen=True, slots=True)
class ModelStages:
    """What all stages of a job have in common."""

    model: ModelSpec
    microbatch: MicroBatch
    parallelism: Parallelism
    overlap: Overlap
    device: Device
    attention_kernel: str | None
    measured: Measured
    bucket_bytes: int  # of gradients that are reduced at once

    @property
    def shard(self) -> Shard:
        """How the GPUs of a stage split its layers."""
        return shard_of(self.parallelism)

    @property
    def timing(self) -> DeviceTiming:
        """What derived times follow from.

        Raises
        ------
        ScenarioError
            Nobody knows how fast the device is, or how fast it computes attention.
        """
        try:
            return DeviceTiming.of(self.device, self.attention_kernel)
        except KeyError:
            known = list(self.device.kernels.attention_kernels) if self.device.kernels else []
            what = f"the catalogue does not say what '{self.attention_kernel}' reaches on {self.device.name}"
            hint = f"allowed: {', '.join(known)}; or leave it out" if known else "leave it out"
            raise ScenarioError(Fault("training.attention_kernel", what, hint=hint)) from None
        except ValueError as error:
            hint = "give `stage_costs`, a full `profile`, or a `device` whose file in the catalogue has `kernels`"
            raise ScenarioError(Fault("cluster.topology.device", str(error), hint=hint)) from None

    def operators(self, part: ModelPart) -> Repeated:
        """Return what one GPU of a stage runs for a micro-batch, without recomputation and what is measured."""
        return stage_operators(self.model, self.measured.unmeasured(part), self.microbatch, self.shard)

    def recomputed(self, part: ModelPart) -> Repeated:
        """Return the operators whose forward it runs once more, but for those of which that is measured."""
        again = self.measured.unmeasured_again(self._again(part))
        return stage_recomputed(self.model, again, self.microbatch, self.shard)

    def measured_times(self, part: ModelPart) -> OpTimes:
        """Return what is measured of a stage's times."""
        return self.measured.times(part, self._again(part))

    def costs(self, part: ModelPart, optimizer_ps: int | None = None) -> StageCosts:
        """Return what one micro-batch costs on a stage, whose optimizer step is measured or, if None, derived."""
        parameters = stage_parameters(self.model, part, self.shard)
        return self.with_state(self.passing_costs(part), part, parameters, optimizer_ps)

    def with_state(
        self, passing: StageCosts, part: ModelPart, parameters: Parameters, optimizer_ps: int | None = None
    ) -> StageCosts:
        """Return the costs of a stage with what it holds for the whole run, and what its replicas share of that.

        Parameters
        ----------
        passing, part
            What a micro-batch costs that passes the stage, and the layers of that.
        parameters
            Those of one of its GPUs.
        optimizer_ps
            Time of the optimizer step if it is measured; None: it is derived. [ps]
        """
        precision = self.microbatch.precision
        held = state_bytes(parameters, precision, self.parallelism)
        is_sharded = self.parallelism.zero_stage == 3  # what replicas share, they then share micro-batch by micro-batch
        shared = 0 if is_sharded else self._reduced(parameters.dense, parameters.experts)
        sizes = PRECISIONS[precision]
        if optimizer_ps is None:
            optimizer_ps = self.timing.memory_ps(optimizer_step_bytes(parameters, precision, self.parallelism))
        gathers = (
            tuple(fully_sharded(self.model, part, self.microbatch, self.parallelism, self.overlap))
            if is_sharded
            else ()
        )
        return replace(
            passing,
            optimizer_ps=optimizer_ps,
            weights_bytes=held.weights_bytes,
            gradients_bytes=held.gradients_bytes,
            optimizer_bytes=held.optimizer_bytes,
            buffers_bytes=buffer_bytes(self.model, part, self.microbatch, self.parallelism, self.bucket_bytes),
            exchanges=(*passing.exchanges, *gathers),
            reduced_bytes=sizes.gradient_bytes * shared,
            gathered_bytes=sizes.weight_bytes * shared,
        )

    def passing_costs(self, part: ModelPart) -> StageCosts:
        """Return what a micro-batch costs that passes a stage, however the replicas share what the stage holds."""
        model, microbatch, shard = self.model, self.microbatch, self.shard
        times = self.measured_times(part).plus(self._derived_times(part))
        activations = stage_activations(model, part, microbatch, shard)
        return StageCosts(
            forward_ps=times.forward_ps,
            input_grad_ps=times.input_grad_ps,
            weight_grad_ps=times.weight_grad_ps,
            forward_backward_ps=times.forward_ps + times.input_grad_ps + times.weight_grad_ps,
            recompute_ps=times.recompute_ps,
            activation_bytes=activations.whole_bytes,
            logits_bytes=activations.logits_bytes,
            weight_grad_activation_bytes=activations.weight_grad_bytes,
            checkpoint_bytes=activations.checkpoint_bytes if times.recompute_ps else 0,
            backward_bytes=0 if times.recompute_ps else activations.whole_bytes - activations.checkpoint_bytes,
            message_bytes=message_bytes(model, microbatch, shard),
            exchanges=(*self._exchanges(part), *self._exchanged_again(part)),
            recomputes_exchanges=False,
            tied_gradients_bytes=self._tied_bytes(part),
        )

    def _again(self, part: ModelPart) -> ModelPart:
        return recomputed_layers(part, self.microbatch)

    def _derived_times(self, part: ModelPart) -> OpTimes:
        """Return what a stage takes beside what is measured of it; of a device nothing is asked if that is all."""
        operators, again = self.operators(part), self.recomputed(part)
        if not operators and not again:
            return OpTimes()
        timing = self.timing
        return OpTimes(
            timing.forward_ps(operators),
            timing.input_grad_ps(operators),
            timing.weight_grad_ps(operators),
            timing.forward_ps(again),
        )

    def _exchanges(self, part: ModelPart) -> Iterator[Exchange]:
        """Yield what the groups of a stage exchange for one micro-batch, but for what measured times hold."""
        exchanging = partial(self.measured.exchanging, part)
        yield from exchanges_of(self.model, exchanging, self.microbatch, self.parallelism)

    def _exchanged_again(self, part: ModelPart) -> Iterator[Exchange]:
        """Yield what a recomputation exchanges: whole layers what a forward does, and parts of layers what they do.

        Sharded weights are not gathered for it: they are there for the backward already.
        """
        exchanging = partial(self.measured.exchanging_again, self._again(part))
        of_layers = exchanges_of if self.microbatch.recompute == "full" else exchanges_of_modules
        for exchange in of_layers(self.model, exchanging, self.microbatch, self.parallelism):
            if exchange.kind is Kind.F:
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
