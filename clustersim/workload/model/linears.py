"""The linear layers of a model: the one list from which parameters, FLOP and GEMM shapes are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clustersim.scenario.model import MlaSpec, ModelSpec
from clustersim.workload.model.layers import LayerKind
from clustersim.workload.model.shard import WHOLE, Shard, divided

Split = Literal["column", "row", "none"]
"""How tensor parallelism splits a linear layer: its outputs, its inputs, or not at all."""


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear layer of one GPU; of experts all that the GPU has."""

    name: str
    inputs: int
    outputs: int
    split: Split
    has_bias: bool = False
    num_experts: int = 0  # on this GPU; 0: not a routed expert's

    @property
    def num_weights(self) -> int:
        """Values in the weight matrices."""
        return self.inputs * self.outputs * max(1, self.num_experts)

    @property
    def num_biases(self) -> int:
        """Values in the biases."""
        return self.outputs * max(1, self.num_experts) if self.has_bias else 0

    def flop(self, num_rows: int) -> int:
        """Return the FLOP of a forward over so many rows, a multiply-add being two; biases are left out."""
        return 2 * num_rows * self.inputs * self.outputs


def attention_linears(model: ModelSpec, shard: Shard = WHOLE) -> tuple[Linear, ...]:
    """Return the projections around the attention core.

    Examples
    --------
    >>> model = ModelSpec(num_layers=1, hidden_size=64, num_attention_heads=8, num_query_groups=2, vocab_size=10,
    ...     seq_length=16, gated_mlp=True)
    >>> [(linear.name, linear.inputs, linear.outputs) for linear in attention_linears(model, Shard(tp=2))]
    [('qkv', 64, 48), ('projection', 32, 64)]
    """
    heads, bias = divided(model.num_attention_heads, shard.tp), model.has_linear_bias
    projection = Linear("projection", heads * model.value_size, model.hidden_size, "row", bias)
    if model.mla:
        return (*_latent_linears(model, model.mla, heads), projection)
    # with fewer groups than tp each GPU has one group whole
    outputs = (heads + 2 * divided(model.kv_heads, shard.tp)) * model.head_size
    return Linear("qkv", model.hidden_size, outputs, "column", model.has_qkv_bias), projection


def _latent_linears(model: ModelSpec, mla: MlaSpec, heads: int) -> tuple[Linear, ...]:
    """Return the projections of latent attention: down to its ranks, whole on each GPU, and up to `heads` heads."""
    hidden, bias = model.hidden_size, model.has_qkv_bias
    queries = heads * model.head_size
    keys_and_values = heads * (mla.qk_nope_head_dim + mla.v_head_dim)
    of_queries = (
        (Linear("q", hidden, queries, "column"),)
        if mla.q_lora_rank is None
        else (
            Linear("q_down", hidden, mla.q_lora_rank, "none", bias),
            Linear("q_up", mla.q_lora_rank, queries, "column"),
        )
    )
    return (
        *of_queries,
        Linear("kv_down", hidden, mla.kv_lora_rank + mla.qk_rope_head_dim, "none", bias),
        Linear("kv_up", mla.kv_lora_rank, keys_and_values, "column"),
    )


def mlp_linears(model: ModelSpec, kind: LayerKind, shard: Shard = WHOLE) -> tuple[Linear, ...]:
    """Return the linear layers after attention: an MLP, or router, routed and shared experts."""
    if not kind.has_experts or model.moe is None:
        return _mlp("fc", model, divided(model.ffn_size, shard.tp))
    moe, hidden = model.moe, model.hidden_size
    router = Linear("router", hidden, moe.num_experts, "none", moe.router_bias)
    width = divided(model.expert_ffn_size, shard.etp)
    experts = _mlp("expert_fc", model, width, divided(moe.num_experts, shard.ep))
    shared = _mlp("shared_fc", model, divided(model.shared_ffn_size, shard.tp)) if moe.num_shared_experts else ()
    gate = (Linear("shared_gate", hidden, 1, "none"),) if moe.shared_expert_gate else ()
    return (router, *experts, *shared, *gate)


def _mlp(name: str, model: ModelSpec, width: int, num_experts: int = 0) -> tuple[Linear, Linear]:
    hidden, bias = model.hidden_size, model.has_linear_bias
    inner = 2 * width if model.gated_mlp else width
    return (
        Linear(f"{name}1", hidden, inner, "column", bias, num_experts),
        Linear(f"{name}2", width, hidden, "row", bias, num_experts),
    )


def layer_linears(model: ModelSpec, kind: LayerKind, shard: Shard = WHOLE) -> tuple[Linear, ...]:
    """Return every linear layer of a transformer layer, in the order in which a forward runs them."""
    return *attention_linears(model, shard), *mlp_linears(model, kind, shard)


def output_linear(model: ModelSpec, shard: Shard = WHOLE) -> Linear:
    """Return the output layer, from the last hidden state to logits."""
    return Linear("logits", model.hidden_size, divided(model.vocab_size, shard.tp), "column")


def mtp_linear(model: ModelSpec, shard: Shard = WHOLE) -> Linear:
    """Return the projection at the start of an MTP module, from a hidden state and an embedding.

    References
    ----------
    DeepSeek-V3 technical report, arXiv:2412.19437, equation 21.
    """
    return Linear("mtp_projection", 2 * model.hidden_size, divided(model.hidden_size, shard.tp), "column")


def rows_of(linear: Linear, model: ModelSpec, shard: Shard, num_tokens: int) -> int:
    """Return the rows that one GPU puts through `linear`, for a micro-batch of `num_tokens` tokens.

    What tp does not split runs, with sequence parallelism, on each GPU's own tokens.
    """
    if linear.num_experts and model.moe:
        return shard.routed_rows(num_tokens, model.moe.top_k)
    return shard.sequence_tokens(num_tokens) if linear.split == "none" else shard.tokens(num_tokens)
