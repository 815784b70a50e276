"""How many parameters a model has, and a GPU's share of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from clustersim.scenario.model import ModelSpec
from clustersim.workload.model.layers import LayerKind, layer_kinds, mtp_kinds
from clustersim.workload.model.linears import Linear, layer_linears, mtp_linear
from clustersim.workload.model.shard import WHOLE, Shard, divided


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameters by what they are; sums of them add up."""

    matrices: int = 0  # weights of linear layers, without those of routed experts
    vectors: int = 0  # biases, norms, sinks
    experts: int = 0  # all of the routed experts
    embeddings: int = 0  # of tokens and positions, and the output layer

    @property
    def total(self) -> int:
        """All of them."""
        return self.matrices + self.vectors + self.experts + self.embeddings

    @property
    def dense(self) -> int:
        """All but the routed experts: what a data-parallel group of the dense layers shares."""
        return self.total - self.experts

    def __add__(self, other: Parameters) -> Parameters:
        return Parameters(
            self.matrices + other.matrices,
            self.vectors + other.vectors,
            self.experts + other.experts,
            self.embeddings + other.embeddings,
        )


def parameters(model: ModelSpec) -> Parameters:
    """Return the parameters of the whole model, without MTP modules, as model cards count them.

    Examples
    --------
    >>> gpt2 = ModelSpec(num_layers=12, hidden_size=768, num_attention_heads=12, vocab_size=50257, seq_length=1024)
    >>> parameters(gpt2).total
    124439808
    """
    return part_parameters(model, layer_kinds(model), has_embedding=True, has_output=True)


def active_parameters(model: ModelSpec) -> int:
    """Return the parameters that a token meets: all but those of the routed experts that it does not go to."""
    counted = parameters(model)
    if model.moe is None:
        return counted.total
    return counted.dense + counted.experts * model.moe.top_k // model.moe.num_experts


def mtp_parameters(model: ModelSpec) -> Parameters:
    """Return the parameters of the MTP modules; embedding and output layer are the model's own."""
    return sum((mtp_module_parameters(model, kind) for kind in mtp_kinds(model)), Parameters())


def part_parameters(
    model: ModelSpec,
    kinds: Iterable[LayerKind],
    *,
    has_embedding: bool = False,
    has_output: bool = False,
    shard: Shard = WHOLE,
) -> Parameters:
    """Return the parameters of some layers, with what a first and a last pipeline stage has beside them.

    Parameters
    ----------
    kinds
        The layers.
    has_embedding
        Whether the embedding is there.
    has_output
        Whether the final norm and the output layer are there. If the output layer has the embedding's weights, they
        are counted once where both are, and in each stage where they are apart.
    shard
        Share of one GPU; absent: the whole.
    """
    total = Parameters()
    for kind in kinds:
        total += layer_parameters(model, kind, shard)
    if has_embedding:
        total += embedding_parameters(model, shard)
    if has_output:
        total += Parameters(vectors=_norm(model))
        if not (model.tied_embeddings and has_embedding):
            total += Parameters(embeddings=divided(model.vocab_size, shard.tp) * model.hidden_size)
    return total


def layer_parameters(model: ModelSpec, kind: LayerKind, shard: Shard = WHOLE) -> Parameters:
    """Return the parameters of one transformer layer."""
    return _of_linears(layer_linears(model, kind, shard)) + Parameters(vectors=_layer_vectors(model, shard))


def mtp_module_parameters(model: ModelSpec, kind: LayerKind, shard: Shard = WHOLE) -> Parameters:
    """Return the parameters of one MTP module: a projection, a layer, and three norms."""
    projection = _of_linears([mtp_linear(model, shard)])
    return projection + layer_parameters(model, kind, shard) + Parameters(vectors=3 * _norm(model))


def embedding_parameters(model: ModelSpec, shard: Shard = WHOLE) -> Parameters:
    """Return the parameters of the embedding: of tokens, which tp splits, and of positions."""
    entries = divided(model.vocab_size, shard.tp) + model.num_positions
    return Parameters(embeddings=entries * model.hidden_size, vectors=_norm(model) if model.embedding_norm else 0)


def _of_linears(linears: Iterable[Linear]) -> Parameters:
    total = Parameters()
    for linear in linears:
        if linear.num_experts:
            total += Parameters(experts=linear.num_weights + linear.num_biases)
        else:
            total += Parameters(matrices=linear.num_weights, vectors=linear.num_biases)
    return total


def _norm(model: ModelSpec) -> int:
    return model.hidden_size * (2 if model.norm_kind == "layernorm" else 1)


def _layer_vectors(model: ModelSpec, shard: Shard) -> int:
    """Return the values of a layer's norms and sinks; norms are whole on every GPU."""
    of_qk = 2 * model.head_size if model.qk_norm else 0
    of_mla = (model.mla.q_lora_rank or 0) + model.mla.kv_lora_rank if model.mla else 0
    sinks = divided(model.num_attention_heads, shard.tp) if model.attention_sinks else 0
    return model.norms_per_layer * _norm(model) + of_qk + of_mla + sinks
