"""A pipeline stage of a model: which layers it has, what it runs and what it keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from clustersim.scenario.model import ModelSpec
from clustersim.workload.model.activations import (
    LOGIT_BYTES,
    embedding_activation_bytes,
    layer_activation_bytes,
    logits_bytes,
    mtp_activation_bytes,
    output_activation_bytes,
    weight_grad_bytes,
)
from clustersim.workload.model.layer_work import (
    embedding_operators,
    layer_operators,
    mtp_operators,
    output_operators,
)
from clustersim.workload.model.layers import LayerKind, layer_kinds, mtp_kinds
from clustersim.workload.model.microbatch import MicroBatch
from clustersim.workload.model.parameters import Parameters, mtp_module_parameters, part_parameters
from clustersim.workload.model.recompute import recomputed
from clustersim.workload.model.shard import Shard
from clustersim.workload.model.work import Operator

Repeated = Counter[Operator]
"""Operators, and how often each runs: equal layers have equal ones."""


@dataclass(frozen=True, slots=True)
class ModelPart:
    """The layers of one stage."""

    kinds: tuple[LayerKind, ...]
    has_embedding: bool = False
    has_output: bool = False
    mtp_kinds: tuple[LayerKind, ...] = ()

    @property
    def layers(self) -> tuple[LayerKind, ...]:
        """All layers, those of MTP modules last."""
        return self.kinds + self.mtp_kinds


def parts_of(model: ModelSpec, num_layers: tuple[int, ...]) -> tuple[ModelPart, ...]:
    """Return the part of each stage, `num_layers` of them in each; MTP modules are with the output.

    Examples
    --------
    >>> gpt = ModelSpec(num_layers=6, hidden_size=12, num_attention_heads=1, vocab_size=24, seq_length=10)
    >>> [(len(part.kinds), part.has_embedding, part.has_output) for part in parts_of(gpt, (3, 2, 1))]
    [(3, True, False), (2, False, False), (1, False, True)]
    """
    kinds, start, last = layer_kinds(model), 0, len(num_layers) - 1
    parts = []
    for stage, count in enumerate(num_layers):
        mtp = mtp_kinds(model) if stage == last else ()
        parts.append(ModelPart(kinds[start : start + count], stage == 0, stage == last, mtp))
        start += count
    return tuple(parts)


def stage_operators(model: ModelSpec, part: ModelPart, microbatch: MicroBatch, shard: Shard) -> Repeated:
    """Return what one GPU of a stage runs for a micro-batch, without recomputation."""
    operators = Repeated()
    for kind, count in Counter(part.kinds).items():
        _add(operators, layer_operators(model, kind, microbatch, shard), count)
    if part.has_embedding:
        _add(operators, embedding_operators(model, microbatch, shard))
    for kind in part.mtp_kinds:
        _add(operators, mtp_operators(model, kind, microbatch, shard))
    if part.has_output:
        _add(operators, output_operators(model, microbatch, shard))
    return operators


def stage_recomputed(model: ModelSpec, again: ModelPart, microbatch: MicroBatch, shard: Shard) -> Repeated:
    """Return the operators whose forward a GPU runs once more before a backward, of layers that are recomputed."""
    operators = Repeated()
    for kind, count in Counter(again.layers).items():
        layer = layer_operators(model, kind, microbatch, shard)
        _add(operators, recomputed(layer, microbatch.recompute, microbatch.recomputed_modules, model.gated_mlp), count)
    return operators


def recomputed_layers(part: ModelPart, microbatch: MicroBatch) -> ModelPart:
    """Return the layers of a stage that are recomputed, in whole or in part; those of MTP modules count as the last."""
    num_layers = len(part.kinds)
    again: Sequence[int] = range(len(part.layers)) if microbatch.recompute == "selective" else ()
    if microbatch.recompute == "full":
        chunks = microbatch.recomputed_layers.chunks(len(part.layers))
        again = [layer for chunk in chunks for layer in chunk]
    return ModelPart(
        tuple(part.layers[layer] for layer in again if layer < num_layers),
        mtp_kinds=tuple(part.layers[layer] for layer in again if layer >= num_layers),
    )


def stage_parameters(model: ModelSpec, part: ModelPart, shard: Shard) -> Parameters:
    """Return the parameters of one GPU of a stage; MTP modules use the output layer, and an embedding of their own."""
    flags = {"has_embedding": part.has_embedding or bool(part.mtp_kinds), "has_output": part.has_output}
    total = part_parameters(model, part.kinds, **flags, shard=shard)
    for kind in part.mtp_kinds:
        total += mtp_module_parameters(model, kind, shard)
    return total


@dataclass(frozen=True, slots=True)
class StageActivations:
    """What one GPU of a stage keeps for one micro-batch. [bytes]"""

    whole_bytes: int  # at the most, in the forward or while its backward runs
    checkpoint_bytes: int  # from the end of the forward to the start of recomputation; the whole if there is none
    weight_grad_bytes: int  # the part of the whole that W still needs
    logits_bytes: int  # the part of the whole that logits are


def stage_activations(model: ModelSpec, part: ModelPart, microbatch: MicroBatch, shard: Shard) -> StageActivations:
    """Return what one GPU of a stage keeps for one micro-batch. [bytes]

    Notes
    -----
    With full recomputation a stage keeps the input of each layer or chunk that is recomputed, and makes the activations
    of one at a time. The loss comes before any of that.
    """
    layers = part.layers
    kept, unfolded = _kept_and_unfolded(model, layers, microbatch, shard)
    ends = part.has_embedding * embedding_activation_bytes(model, microbatch, shard)
    ends += len(part.mtp_kinds) * mtp_activation_bytes(model, microbatch, shard)
    num_outputs = part.has_output + len(part.mtp_kinds)
    ends += num_outputs * output_activation_bytes(model, microbatch, shard)
    extra = microbatch.logit_bytes - LOGIT_BYTES
    in_loss = num_outputs * extra * logits_bytes(model, microbatch, shard) // LOGIT_BYTES
    whole = kept + ends + max(unfolded, in_loss)
    for_weights = sum(
        count * weight_grad_bytes(model, kind, microbatch, shard) for kind, count in Counter(layers).items()
    )
    return StageActivations(
        whole, kept + ends, min(whole, for_weights), num_outputs * logits_bytes(model, microbatch, shard)
    )


def _kept_and_unfolded(
    model: ModelSpec, layers: tuple[LayerKind, ...], microbatch: MicroBatch, shard: Shard
) -> tuple[int, int]:
    """Return what layers keep until their backward, and what the largest recomputation makes beside that. [bytes]"""
    plain = replace(microbatch, recompute="none")
    whole = {kind: layer_activation_bytes(model, kind, plain, shard) for kind in set(layers)}
    folded = {kind: layer_activation_bytes(model, kind, microbatch, shard) for kind in set(layers)}
    if microbatch.recompute != "full":
        return sum(folded[kind] for kind in layers), max((whole[kind] - folded[kind] for kind in layers), default=0)
    chunks = [[layers[layer] for layer in chunk] for chunk in microbatch.recomputed_layers.chunks(len(layers))]
    inputs = sum(folded[chunk[0]] for chunk in chunks)
    recomputed_bytes = sum(whole[kind] for chunk in chunks for kind in chunk)
    unfolded = max((sum(whole[kind] for kind in chunk) - folded[chunk[0]] for chunk in chunks), default=0)
    return sum(whole[kind] for kind in layers) - recomputed_bytes + inputs, unfolded


def message_bytes(model: ModelSpec, microbatch: MicroBatch, shard: Shard) -> int:
    """Return what one GPU of a stage sends to the next: the hidden states of its tokens. [bytes]"""
    tokens = shard.sequence_tokens(microbatch.num_samples * model.seq_length)
    return microbatch.sizes.activation_bytes * tokens * model.hidden_size


def _add(operators: Repeated, some: tuple[Operator, ...], times: int = 1) -> None:
    for operator in some:
        operators[operator] += times
