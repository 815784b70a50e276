"""Model FLOP: what the mathematics of a model asks for, under the conventions by which utilisations are published.

Linear layers and the two products of attention count, a multiply-add as two; norms, softmax and other element-wise work
do not. A backward is twice a forward.

Conventions for attention, `Convention`:

- ``full``: every token attends to every token of its sample (or of its window), as Megatron's papers count;
- ``causal``: to those before it, half as many, as FlashAttention computes and Megatron Bridge counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from fractions import Fraction
from typing import Literal

from clustersim.scenario.model import ModelSpec
from clustersim.workload.model.layers import LayerKind, layer_kinds, mtp_kinds
from clustersim.workload.model.linears import layer_linears, mtp_linear, output_linear, rows_of
from clustersim.workload.model.recompute import Recompute, again_share
from clustersim.workload.model.shard import WHOLE

Convention = Literal["full", "causal"]


def model_flop(model: ModelSpec, num_samples: int, convention: Convention = "full") -> int:
    """Return the FLOP of a training step on `num_samples` samples, without recomputation.

    For a plain GPT under ``full`` it is 72 B L s h² (1 + s / 6h + V / 12hL). [FLOP]

    References
    ----------
    Narayanan et al., SC21, section 5.1; Korthikanti et al., MLSys 2023, appendix A.

    Examples
    --------
    >>> gpt = ModelSpec(num_layers=2, hidden_size=12, num_attention_heads=1, vocab_size=24, seq_length=36)
    >>> model_flop(gpt, 1) == 72 * 2 * 36 * 12**2 + 12 * 2 * 36**2 * 12 + 6 * 36 * 12 * 24
    True
    """
    return 3 * num_samples * sum(forward_flop(model, convention).values())


def model_flop_per_token(model: ModelSpec, convention: Convention = "full") -> Fraction:
    """Return the FLOP of forward and backward for one token. [FLOP]"""
    return Fraction(model_flop(model, 1, convention), model.seq_length)


def hardware_flop(
    model: ModelSpec,
    num_samples: int,
    recompute: Recompute,
    *,
    flash_attention: bool,
    convention: Convention = "full",
    modules: Collection[str] = ("core_attn",),
    layers: Iterable[LayerKind] | None = None,
) -> int:
    """Return the FLOP of a training step that GPUs really run: model FLOP and recomputation. [FLOP]

    Full recomputation runs every layer's forward again: for a plain GPT 96 B L s h² (1 + s / 6h + V / 16hL). Selective
    recomputation runs that of `modules` again, the attention core's as it stands. FlashAttention's backward computes
    the scores again, whatever the mode.

    Parameters
    ----------
    modules
        Of selective recomputation.
    layers
        Those that are recomputed; None: all.

    Notes
    -----
    Korthikanti et al., appendix A, writes 1 + s / 3h for selective recomputation, three times what its own section 5
    recomputes (the core's forward, 4 B s² h a layer).
    """
    again = Counter[str]()
    everywhere = Counter[LayerKind]((*layer_kinds(model), *mtp_kinds(model)))
    recomputed = everywhere if layers is None else Counter[LayerKind](layers)
    for kind, count in everywhere.items():
        for name, flop in layer_forward_flop(model, kind, convention).items():
            is_core = name in ("scores", "values")
            share = Fraction(recompute == "full")
            if recompute == "selective" and not (is_core and flash_attention):
                share = again_share(modules, name, is_core, model.gated_mlp)
            again[name] += recomputed[kind] * int(flop * share)
            if flash_attention and name == "scores":
                again[name] += count * flop
    return model_flop(model, num_samples, convention) + num_samples * again.total()


def forward_flop(model: ModelSpec, convention: Convention = "full") -> Counter[str]:
    """Return the FLOP of the forward of one sample by operator, MTP modules included. [FLOP]"""
    total = Counter[str]()
    for kind, count in Counter((*layer_kinds(model), *mtp_kinds(model))).items():
        for name, flop in layer_forward_flop(model, kind, convention).items():
            total[name] += count * flop
    total["logits"] = (1 + model.num_mtp_layers) * output_linear(model).flop(model.seq_length)
    if model.num_mtp_layers:
        total["mtp_projection"] = model.num_mtp_layers * mtp_linear(model).flop(model.seq_length)
    return total


def layer_forward_flop(model: ModelSpec, kind: LayerKind, convention: Convention = "full") -> dict[str, int]:
    """Return the FLOP of one layer's forward over one sample, by operator. [FLOP]

    Examples
    --------
    >>> gpt = ModelSpec(num_layers=1, hidden_size=12, num_attention_heads=1, vocab_size=24, seq_length=10)
    >>> sum(layer_forward_flop(gpt, layer_kinds(gpt)[0]).values()) == 24 * 10 * 12**2 + 4 * 10**2 * 12
    True
    """
    linears = layer_linears(model, kind)
    by_linear = {linear.name: linear.flop(rows_of(linear, model, WHOLE, model.seq_length)) for linear in linears}
    per_width = model.num_attention_heads * flop_over_pairs(model.seq_length, kind.window, convention)
    return by_linear | {"scores": per_width * model.head_size, "values": per_width * model.value_size}


def flop_over_pairs(seq_length: int, window: int | None, convention: Convention) -> int:
    """Return the FLOP of one multiply-add for each pair of a token and one that it attends to. [FLOP]

    Examples
    --------
    >>> flop_over_pairs(10, None, "full"), flop_over_pairs(10, None, "causal"), flop_over_pairs(10, 4, "causal")
    (200, 100, 64)
    """
    reach = seq_length if window is None else min(window, seq_length)
    # half the square, as is usual, and not s (s + 1) / 2; within a window the triangle at its start is missing
    return 2 * seq_length * reach if convention == "full" else 2 * seq_length * reach - reach * reach
