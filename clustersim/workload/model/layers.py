"""Which kind each layer of a model is."""

from __future__ import annotations

from typing import NamedTuple

from clustersim.scenario.model import ModelSpec


class LayerKind(NamedTuple):
    """What tells one layer of a model from another."""

    has_experts: bool
    window: int | None  # tokens that a token attends to; None: all before it


def layer_kinds(model: ModelSpec) -> tuple[LayerKind, ...]:
    """Return the kind of each layer, without those of MTP modules.

    Examples
    --------
    >>> model = ModelSpec(num_layers=4, hidden_size=8, num_attention_heads=1, vocab_size=9, seq_length=16,
    ...     moe={"num_experts": 4, "top_k": 2, "first_dense_layers": 1, "every": 2},
    ...     sliding_window=4, full_attention_every=2)
    >>> [kind.has_experts for kind in layer_kinds(model)]
    [False, True, False, True]
    >>> [kind.window for kind in layer_kinds(model)]
    [4, None, 4, None]
    """
    return tuple(LayerKind(_has_experts(model, layer), _window(model, layer)) for layer in range(model.num_layers))


def mtp_kinds(model: ModelSpec) -> tuple[LayerKind, ...]:
    """Return the kind of the layer in each MTP module: that of the model's last layer."""
    return layer_kinds(model)[-1:] * model.num_mtp_layers


def _has_experts(model: ModelSpec, layer: int) -> bool:
    if model.moe is None or layer < model.moe.first_dense_layers:
        return False
    return (layer - model.moe.first_dense_layers) % model.moe.every == 0


def _window(model: ModelSpec, layer: int) -> int | None:
    if model.full_attention_every is not None and (layer + 1) % model.full_attention_every == 0:
        return None
    return model.sliding_window
