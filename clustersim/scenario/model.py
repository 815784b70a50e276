"""The model: a transformer's shape, from which costs are derived."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clustersim.scenario.findings import Finding, raise_if_any

MAX_LAYERS = 100_000
MAX_WIDTH = 10_000_000

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
_BESIDE_MLA = ("num_query_groups", "head_dim", "qk_norm")


class MoeSpec(BaseModel):
    """Experts in place of the MLP of some layers."""

    model_config = _STRICT

    num_experts: int = Field(ge=1, le=MAX_WIDTH, description="Routed experts of a layer.")
    top_k: int = Field(ge=1, le=MAX_WIDTH, description="Routed experts that a token goes to.")
    ffn_hidden_size: int | None = Field(
        None, ge=1, le=MAX_WIDTH, description="Width of an expert; absent: the model's ffn_hidden_size."
    )
    num_shared_experts: int = Field(0, ge=0, le=MAX_WIDTH, description="Experts that every token goes to.")
    shared_ffn_hidden_size: int | None = Field(
        None,
        ge=1,
        le=MAX_WIDTH,
        description="Width of all shared experts together; absent: num_shared_experts times the width of an expert.",
    )
    first_dense_layers: int = Field(0, ge=0, le=MAX_LAYERS, description="Layers at the start that have an MLP.")
    every: int = Field(
        1, ge=1, le=MAX_LAYERS, description="Of the layers that follow, the first and every so many have experts."
    )
    router_bias: bool = Field(False, description="Whether the router has a bias (or a correction) per expert.")
    shared_expert_gate: bool = Field(False, description="Whether a gate weighs the shared experts for each token.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        raise_if_any(self._findings())
        return self

    def _findings(self) -> Iterator[Finding]:
        if self.top_k > self.num_experts:
            yield Finding(("top_k",), f"{self.top_k}; there are only {self.num_experts} experts")
        if not self.num_shared_experts:
            for key in ("shared_ffn_hidden_size", "shared_expert_gate"):
                if getattr(self, key):
                    yield Finding((key,), "means nothing without shared experts", "give `num_shared_experts`")


class MlaSpec(BaseModel):
    """Multi-head latent attention: queries, keys and values from low-rank projections."""

    model_config = _STRICT

    q_lora_rank: int | None = Field(
        None, ge=1, le=MAX_WIDTH, description="Rank of the queries' projection; absent: they are projected at once."
    )
    kv_lora_rank: int = Field(ge=1, le=MAX_WIDTH, description="Rank of the projection of keys and values.")
    qk_nope_head_dim: int = Field(ge=1, le=MAX_WIDTH, description="Width of a head's query without position.")
    qk_rope_head_dim: int = Field(ge=1, le=MAX_WIDTH, description="Width of its part with position, one key for all.")
    v_head_dim: int = Field(ge=1, le=MAX_WIDTH, description="Width of a head's value.")


class ModelSpec(BaseModel):
    """A decoder-only transformer.

    What is left out is as in GPT-3 (layer norms, biases, learned positions, dropout); with ``gated_mlp`` as in Llama
    (RMS norms and none of the others).

    Examples
    --------
    >>> gpt = ModelSpec(num_layers=2, hidden_size=64, num_attention_heads=4, vocab_size=100, seq_length=32)
    >>> gpt.head_size, gpt.kv_heads, gpt.ffn_size, gpt.norm_kind, gpt.num_positions
    (16, 4, 256, 'layernorm', 32)
    """

    model_config = _STRICT

    num_layers: int = Field(ge=1, le=MAX_LAYERS, description="Transformer layers.")
    hidden_size: int = Field(ge=1, le=MAX_WIDTH, description="Width of the residual stream.")
    num_attention_heads: int = Field(ge=1, le=MAX_WIDTH, description="Attention heads of a layer.")
    num_query_groups: int | None = Field(
        None,
        ge=1,
        le=MAX_WIDTH,
        description="Heads with keys and values of their own (GQA, MQA); absent: num_attention_heads.",
    )
    head_dim: int | None = Field(
        None, ge=1, le=MAX_WIDTH, description="Width of a head; absent: hidden_size / num_attention_heads."
    )
    ffn_hidden_size: int | None = Field(
        None, ge=1, le=MAX_WIDTH, description="Width of the MLP; absent: 4 * hidden_size."
    )
    gated_mlp: bool = Field(False, description="Whether the MLP has a gate beside it (SwiGLU and its kin).")
    vocab_size: int = Field(ge=1, le=10**9, description="Entries of the vocabulary, padding included.")
    seq_length: int = Field(ge=1, le=10**9, description="Tokens of a sample.")
    tied_embeddings: bool = Field(True, description="Whether the output layer has the embedding's weights.")
    moe: MoeSpec | None = Field(None, description="Experts; absent: every layer has an MLP.")
    mla: MlaSpec | None = Field(None, description="Latent attention; absent: ordinary attention.")
    sliding_window: int | None = Field(
        None, ge=1, le=10**9, description="Tokens that a token attends to; absent: all before it."
    )
    full_attention_every: int | None = Field(
        None, ge=2, le=MAX_LAYERS, description="Every so many layers the last has no sliding window; absent: all do."
    )
    num_mtp_layers: int = Field(0, ge=0, le=MAX_LAYERS, description="Modules that predict further tokens (MTP).")
    norm: Literal["layernorm", "rmsnorm"] | None = Field(
        None, description="layernorm: scale and bias; rmsnorm: scale alone. Absent: rmsnorm if gated_mlp."
    )
    norms_per_layer: int = Field(2, ge=1, le=4, description="Norms over hidden_size in a layer.")
    qk_norm: bool = Field(False, description="Whether queries and keys are normed, over head_dim.")
    linear_bias: bool | None = Field(None, description="Biases of linear layers; absent: unless gated_mlp.")
    qkv_bias: bool | None = Field(None, description="Biases of queries, keys and values; absent: as linear_bias.")
    learned_positions: int | None = Field(
        None, ge=0, le=10**9, description="Learned position embeddings; absent: seq_length, none if gated_mlp."
    )
    embedding_norm: bool = Field(False, description="Whether a norm follows the embedding.")
    attention_sinks: bool = Field(False, description="Whether each head has a learned attention sink.")
    dropout: bool | None = Field(None, description="Dropout in training; absent: unless gated_mlp.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        raise_if_any([*self._attention_findings(), *self._other_findings()])
        return self

    @property
    def kv_heads(self) -> int:
        """Heads with keys and values of their own."""
        return self.num_attention_heads if self.num_query_groups is None else self.num_query_groups

    @property
    def head_size(self) -> int:
        """Width of a head's query and key."""
        if self.mla:
            return self.mla.qk_nope_head_dim + self.mla.qk_rope_head_dim
        return self.hidden_size // self.num_attention_heads if self.head_dim is None else self.head_dim

    @property
    def value_size(self) -> int:
        """Width of a head's value."""
        return self.mla.v_head_dim if self.mla else self.head_size

    @property
    def ffn_size(self) -> int:
        """Width of the MLP of a layer without experts."""
        return 4 * self.hidden_size if self.ffn_hidden_size is None else self.ffn_hidden_size

    @property
    def expert_ffn_size(self) -> int:
        """Width of a routed expert; 0 without experts."""
        if self.moe is None:
            return 0
        return self.ffn_size if self.moe.ffn_hidden_size is None else self.moe.ffn_hidden_size

    @property
    def shared_ffn_size(self) -> int:
        """Width of all shared experts together; 0 without."""
        if self.moe is None:
            return 0
        given = self.moe.shared_ffn_hidden_size
        return self.moe.num_shared_experts * self.expert_ffn_size if given is None else given

    @property
    def norm_kind(self) -> Literal["layernorm", "rmsnorm"]:
        """Kind of every norm over the hidden size."""
        return self.norm or ("rmsnorm" if self.gated_mlp else "layernorm")

    @property
    def has_linear_bias(self) -> bool:
        """Whether linear layers have biases."""
        return not self.gated_mlp if self.linear_bias is None else self.linear_bias

    @property
    def has_qkv_bias(self) -> bool:
        """Whether queries, keys and values have biases."""
        return self.has_linear_bias if self.qkv_bias is None else self.qkv_bias

    @property
    def num_positions(self) -> int:
        """Number of learned position embeddings."""
        default = 0 if self.gated_mlp else self.seq_length
        return default if self.learned_positions is None else self.learned_positions

    @property
    def has_dropout(self) -> bool:
        """Whether there is dropout after attention's softmax, attention and MLP."""
        return not self.gated_mlp if self.dropout is None else self.dropout

    def _attention_findings(self) -> Iterator[Finding]:
        heads, groups = self.num_attention_heads, self.num_query_groups
        if self.mla:
            for key in _BESIDE_MLA:
                if getattr(self, key):
                    yield Finding((key,), "means nothing beside `mla`, which has its own widths", f"remove `{key}`")
        elif self.head_dim is None and self.hidden_size % heads:
            what = f"hidden_size {self.hidden_size} is no multiple of num_attention_heads {heads}"
            yield Finding(("hidden_size",), what, "give `head_dim`")
        if groups is not None and heads % groups:
            what = f"{groups} does not divide num_attention_heads {heads}"
            yield Finding(("num_query_groups",), what, "every group has as many heads as the others")
        if self.full_attention_every is not None and self.sliding_window is None:
            yield Finding(("full_attention_every",), "means nothing without `sliding_window`")

    def _other_findings(self) -> Iterator[Finding]:
        if self.moe and self.moe.first_dense_layers >= self.num_layers:
            what = f"{self.moe.first_dense_layers} of {self.num_layers} layers: none has experts"
            yield Finding(("moe", "first_dense_layers"), what, "remove `moe` if the model is dense")
        if 0 < self.num_positions < self.seq_length:
            what = f"{self.num_positions} positions; a sample has {self.seq_length} tokens"
            yield Finding(("learned_positions",), what, "0 if positions are not learned")
