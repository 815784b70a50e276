"""The attention core: from queries, keys and values to what the projection reads."""

from __future__ import annotations

from clustersim.scenario.model import ModelSpec
from clustersim.workload.model.flop import flop_over_pairs
from clustersim.workload.model.layers import LayerKind
from clustersim.workload.model.microbatch import MicroBatch
from clustersim.workload.model.precision import PRECISIONS
from clustersim.workload.model.shard import Shard, divided
from clustersim.workload.model.work import Gemm, Operator, Work

_MASK_BYTES = 1


def core_operators(model: ModelSpec, kind: LayerKind, microbatch: MicroBatch, shard: Shard) -> tuple[Operator, ...]:
    """Return the operators of the attention core on one GPU.

    FlashAttention is one operator that never writes its scores: it computes half of the square (or what a window
    leaves), and its backward five products for the forward's two. Without it the whole square goes through memory.

    References
    ----------
    Dao, "FlashAttention-2", arXiv:2307.08691, section 2.3.
    """
    return _flash(model, kind, microbatch, shard) if microbatch.flash_attention else _unfused(model, microbatch, shard)


def _flash(model: ModelSpec, kind: LayerKind, microbatch: MicroBatch, shard: Shard) -> tuple[Operator, ...]:
    heads = divided(model.num_attention_heads, shard.tp)
    pairs_flop = flop_over_pairs(model.seq_length, kind.window, "causal")
    per_width = divided(heads * microbatch.num_samples * pairs_flop, shard.cp)
    scores, values = per_width * model.head_size, per_width * model.value_size
    queries, keys, outputs = _operand_bytes(model, microbatch, shard)
    forward = Work(scores + values, queries + keys + outputs)
    # scores again, gradients of queries and keys; gradients of values and of probabilities
    backward = Work(3 * scores + 2 * values, 2 * (queries + keys) + 2 * outputs)
    return (Operator("attention", "attention", microbatch.outside_linears, forward, backward),)


def _unfused(model: ModelSpec, microbatch: MicroBatch, shard: Shard) -> tuple[Operator, ...]:
    precision, width = microbatch.outside_linears, microbatch.sizes.activation_bytes
    heads, tokens = divided(model.num_attention_heads, shard.tp), microbatch.num_samples * model.seq_length
    num_scores = heads * shard.tokens(tokens) * model.seq_length
    queries, keys_and_values, outputs = _operand_bytes(model, microbatch, shard)
    values = keys_and_values * model.value_size // (model.head_size + model.value_size)
    keys = keys_and_values - values
    square = width * num_scores
    count, rows = heads * microbatch.num_samples, divided(model.seq_length, shard.cp)
    scores_flop, values_flop = 2 * num_scores * model.head_size, 2 * num_scores * model.value_size
    softmax_bytes, softmax_back_bytes = 2 * square, 3 * square
    if model.has_dropout:
        dropout_bytes = 2 * square + _MASK_BYTES * num_scores
        softmax_bytes, softmax_back_bytes = softmax_bytes + dropout_bytes, softmax_back_bytes + dropout_bytes
    return (
        Operator(
            "scores",
            "attention",
            precision,
            Work(scores_flop, queries + keys + square),
            Work(2 * scores_flop, 2 * (square + queries + keys)),
            gemm=Gemm(rows, model.head_size, model.seq_length, count),
            is_core=True,
        ),
        Operator(
            "softmax", "elementwise", precision, Work(0, softmax_bytes), Work(0, softmax_back_bytes), is_core=True
        ),
        Operator(
            "values",
            "attention",
            precision,
            Work(values_flop, square + values + outputs),
            Work(2 * values_flop, 2 * (square + outputs + values)),
            gemm=Gemm(rows, model.seq_length, model.value_size, count),
            is_core=True,
        ),
    )


def _operand_bytes(model: ModelSpec, microbatch: MicroBatch, shard: Shard) -> tuple[int, int, int]:
    """Return the bytes of queries, of keys and values, and of outputs; with cp keys and values come from everywhere."""
    heads = divided(model.num_attention_heads, shard.tp)
    groups = heads if model.mla else divided(model.kv_heads, shard.tp)
    width = PRECISIONS[microbatch.outside_linears].activation_bytes
    tokens = microbatch.num_samples * model.seq_length
    own = shard.tokens(tokens)
    return (
        width * own * heads * model.head_size,
        width * tokens * groups * (model.head_size + model.value_size),
        width * own * heads * model.value_size,
    )
