"""The operators of a transformer layer, of an embedding, of an output layer, and of an MTP module.

Assumptions: an operator reads and writes each of its operands once; what frameworks fuse as a matter of course is one
operator (bias, dropout and residual; activation function and gate; scale, mask and softmax); weight gradients are added
to a buffer, read and written; casts to fp8 cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from clustersim.scenario.model import ModelSpec
from clustersim.scenario.precision import PrecisionName
from clustersim.workload.model.attention_work import core_operators
from clustersim.workload.model.layers import LayerKind
from clustersim.workload.model.linears import (
    Linear,
    attention_linears,
    layer_linears,
    mlp_linears,
    mtp_linear,
    output_linear,
    rows_of,
)
from clustersim.workload.model.microbatch import MicroBatch
from clustersim.workload.model.precision import PRECISIONS
from clustersim.workload.model.shard import WHOLE, Shard, divided
from clustersim.workload.model.work import Gemm, Operator, Work

_FP32_BYTES = 4  # router and loss
_MASK_BYTES = 1


def layer_operators(
    model: ModelSpec, kind: LayerKind, microbatch: MicroBatch, shard: Shard = WHOLE
) -> tuple[Operator, ...]:
    """Return what one GPU runs of a layer, in the order of a forward; collectives are no operators.

    Examples
    --------
    >>> from clustersim.workload.model.layers import layer_kinds
    >>> gpt = ModelSpec(num_layers=1, hidden_size=12, num_attention_heads=1, vocab_size=24, seq_length=10)
    >>> operators = layer_operators(gpt, layer_kinds(gpt)[0], MicroBatch(flash_attention=False))
    >>> [operator.name for operator in operators if operator.kind == "linear"]
    ['qkv', 'projection', 'fc1', 'fc2']
    >>> sum(operator.forward.flop for operator in operators) == 24 * 10 * 12**2 + 4 * 10**2 * 12
    True
    """
    work = _LayerWork(model, microbatch, shard)
    *before_core, projection = attention_linears(model, shard)
    return (
        *work.norms(),
        *(work.linear(linear) for linear in before_core),
        *work.of_heads(),
        *core_operators(model, kind, microbatch, shard),
        work.linear(projection),
        work.residual("attention residual"),
        *(work.linear(linear) for linear in mlp_linears(model, kind, shard)),
        *work.after_linears(kind),
        work.residual("mlp residual"),
        work.accumulation(*layer_linears(model, kind, shard)),
    )


def embedding_operators(model: ModelSpec, microbatch: MicroBatch, shard: Shard = WHOLE) -> tuple[Operator, ...]:
    """Return what one GPU runs of the embedding; its backward adds rows to the gradients, which is W."""
    work = _LayerWork(model, microbatch, shard)
    sizes, values = microbatch.sizes, work.own_values
    rows = Work(0, 2 * sizes.activation_bytes * values)
    gradients = Work(0, (sizes.activation_bytes + 2 * sizes.gradient_bytes) * values)
    lookup = Operator("embedding", "elementwise", microbatch.outside_linears, rows, Work(), gradients)
    normed = (work.norm("embedding norm", values),) if model.embedding_norm else ()
    return (lookup, *normed, *((work.dropout("embedding dropout"),) if model.has_dropout else ()))


def output_operators(model: ModelSpec, microbatch: MicroBatch, shard: Shard = WHOLE) -> tuple[Operator, ...]:
    """Return what one GPU runs after the last layer: a norm, the logits and the loss."""
    work = _LayerWork(model, microbatch, shard)
    linear = output_linear(model, shard)
    logits = linear.outputs * shard.tokens(work.num_tokens)
    width = microbatch.sizes.activation_bytes
    # to fp32, the largest, exponentials and their sum; and back as a gradient
    forward, backward = Work(0, (width + 4 * _FP32_BYTES) * logits), Work(0, (width + _FP32_BYTES) * logits)
    loss = Operator("loss", "elementwise", microbatch.outside_linears, forward, backward)
    norm, product = work.norm("final norm", work.own_values), work.linear(linear, microbatch.outside_linears)
    return norm, product, loss, work.accumulation(linear)


def mtp_operators(
    model: ModelSpec, kind: LayerKind, microbatch: MicroBatch, shard: Shard = WHOLE
) -> tuple[Operator, ...]:
    """Return what one GPU runs of an MTP module: embedding, two norms, a projection, a layer, and its own output."""
    work = _LayerWork(model, microbatch, shard)
    return (
        *embedding_operators(model, microbatch, shard),
        work.norm("mtp norms", 2 * work.own_values),
        work.linear(mtp_linear(model, shard)),
        work.accumulation(mtp_linear(model, shard)),
        *layer_operators(model, kind, microbatch, shard),
        *output_operators(model, microbatch, shard),
    )


class _LayerWork:
    """Operators of one model and micro-batch on one GPU."""

    def __init__(self, model: ModelSpec, microbatch: MicroBatch, shard: Shard) -> None:
        self.model, self.microbatch, self.shard = model, microbatch, shard
        self.num_tokens = microbatch.num_samples * model.seq_length
        self.width = microbatch.sizes.activation_bytes
        self.own_values = shard.sequence_tokens(self.num_tokens) * model.hidden_size

    def linear(self, linear: Linear, precision: PrecisionName | None = None) -> Operator:
        """Return a linear layer: one product for the output, one for each gradient."""
        name = precision or self.microbatch.precision
        if linear.name == "router":
            name = self.microbatch.outside_linears
        sizes = PRECISIONS[name]
        rows = rows_of(linear, self.model, self.shard, self.num_tokens)
        count = max(1, linear.num_experts)
        flop, weights = linear.flop(rows), linear.num_weights
        entering, leaving = rows * linear.inputs, rows * linear.outputs
        of_operands, of_results = sizes.operand_bytes, sizes.activation_bytes
        return Operator(
            linear.name,
            "experts" if linear.num_experts else "linear",
            name,
            Work(flop, of_operands(entering + weights) + of_results * leaving),
            Work(flop, of_operands(leaving + weights) + of_results * entering),
            Work(flop, of_operands(entering + leaving)),
            Gemm(divided(rows, count), linear.inputs, linear.outputs, count),
        )

    def accumulation(self, *linears: Linear) -> Operator:
        """Return what adds the gradients of weights to their buffer: it reads and writes it all."""
        moved = 2 * self.microbatch.sizes.gradient_bytes * sum(linear.num_weights for linear in linears)
        return Operator("accumulation", "elementwise", self.microbatch.outside_linears, Work(), Work(), Work(0, moved))

    def norms(self) -> Iterator[Operator]:
        for index in range(self.model.norms_per_layer):
            yield self.norm(f"norm{index}", self.own_values)

    def norm(self, name: str, num_values: int) -> Operator:
        """Return a norm: values in and out; and gradient and values in, gradient out."""
        return self._elementwise(name, 2 * self.width * num_values, 3 * self.width * num_values)

    def dropout(self, name: str) -> Operator:
        moved = (2 * self.width + _MASK_BYTES) * self.own_values
        return self._elementwise(name, moved, moved)

    def residual(self, name: str) -> Operator:
        """Return an addition to the residual stream, dropout in it; its gradients are added again."""
        mask = _MASK_BYTES if self.model.has_dropout else 0
        back = 5 * self.width + mask if self.model.has_dropout else 3 * self.width
        return self._elementwise(name, (3 * self.width + mask) * self.own_values, back * self.own_values)

    def of_heads(self) -> Iterator[Operator]:
        """What is done to queries and keys, and to the ranks of latent attention."""
        model, tokens = self.model, self.shard.tokens(self.num_tokens)
        if model.mla:
            ranks = (model.mla.q_lora_rank or 0) + model.mla.kv_lora_rank
            yield self.norm("rank norms", self.shard.sequence_tokens(self.num_tokens) * ranks)
        heads = divided(model.num_attention_heads, self.shard.tp)
        groups = heads if model.mla else divided(model.kv_heads, self.shard.tp)
        values = tokens * (heads + groups) * model.head_size
        if model.qk_norm:
            yield self.norm("qk norms", values)
        if not model.num_positions:
            yield self._elementwise("rotary positions", 2 * self.width * values, 2 * self.width * values)

    def after_linears(self, kind: LayerKind) -> Iterator[Operator]:
        """Activation functions, and what sends tokens to experts and back."""
        linears = {linear.name: linear for linear in mlp_linears(self.model, kind, self.shard)}
        for name in ("fc", "expert_fc", "shared_fc"):
            if f"{name}1" in linears:
                first, second = linears[f"{name}1"], linears[f"{name}2"]
                rows = rows_of(first, self.model, self.shard, self.num_tokens)
                forward = self.width * rows * (first.outputs + second.inputs)
                backward = self.width * rows * (2 * first.outputs + second.inputs)
                yield self._elementwise(f"{name} activation", forward, backward)
        if "router" in linears:
            rows = rows_of(linears["expert_fc1"], self.model, self.shard, self.num_tokens)
            moved = self.width * (self.own_values + 3 * rows * self.model.hidden_size + self.own_values)
            yield self._elementwise("permutation", moved, moved)
            choices = 2 * _FP32_BYTES * self.shard.sequence_tokens(self.num_tokens) * linears["router"].outputs
            yield self._elementwise("routing", choices, choices)

    def _elementwise(self, name: str, forward_bytes: int, backward_bytes: int) -> Operator:
        precision = self.microbatch.outside_linears
        return Operator(name, "elementwise", precision, Work(0, forward_bytes), Work(0, backward_bytes))
