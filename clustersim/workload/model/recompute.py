"""Which layers of a stage are recomputed, and which parts of a layer: what they do without, and what runs again.

References
----------
Megatron Core, ``TransformerConfig``: ``recompute_granularity``, ``recompute_method``, ``recompute_num_layers`` and
``recompute_modules``. torchtitan, activation checkpointing with a number as its selective option.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from clustersim.workload.model.work import Operator, Work

Recompute = Literal["none", "selective", "full"]


@dataclass(frozen=True, slots=True)
class RecomputedLayers:
    """Which layers of a stage full recomputation is for; as it stands every one, by itself."""

    num_layers: int | None = None
    method: Literal["block", "uniform"] = "block"
    every: int | None = None

    def chunks(self, num_layers: int) -> list[range]:
        """Return the layers that are run again together, chunk by chunk, of a stage with `num_layers`.

        Only the input of a chunk's first layer is kept; layers in no chunk keep everything.

        Examples
        --------
        >>> RecomputedLayers().chunks(2)
        [range(0, 1), range(1, 2)]
        >>> RecomputedLayers(2).chunks(3)
        [range(0, 1), range(1, 2)]
        >>> RecomputedLayers(2, "uniform").chunks(3)
        [range(0, 2), range(2, 3)]
        >>> RecomputedLayers(every=2).chunks(5)
        [range(1, 2), range(3, 4)]
        """
        if self.every is not None:
            return [range(layer, layer + 1) for layer in range(self.every - 1, num_layers, self.every)]
        if self.num_layers is None:
            return [range(layer, layer + 1) for layer in range(num_layers)]
        if self.method == "block":
            return [range(layer, layer + 1) for layer in range(min(self.num_layers, num_layers))]
        return [
            range(first, min(first + self.num_layers, num_layers)) for first in range(0, num_layers, self.num_layers)
        ]


@dataclass(frozen=True, slots=True)
class Module:
    """A part of a layer that selective recomputation runs again; each named by the starts of names."""

    tensors: tuple[str, ...]  # that are not kept
    operators: tuple[str, ...]  # that run again
    halved: tuple[str, ...] = ()  # of which, in a gated MLP, only the gate is kept, and the other half runs again
    if_gated: tuple[str, ...] = ()  # operators and tensors that neither go nor run again in a gated MLP


MODULES: dict[str, Module] = {
    # the core is marked on tensors and operators themselves: FlashAttention does without it anyhow
    "core_attn": Module((), ()),
    "mlp": Module(("fc activation input", "fc2 input"), ("fc1", "fc2", "fc activation")),
    "moe": Module(
        ("router probabilities", "expert input", "expert_fc", "shared_fc"),
        ("router", "expert_fc", "shared_", "permutation", "routing"),
    ),
    "moe_act": Module(("expert_fc2 input",), ("expert_fc activation",)),
    "shared_experts": Module(("shared_fc",), ("shared_fc",)),
    "layernorm": Module(("attention input", "mlp input"), ("norm0", "norm1")),
    "mla_up_proj": Module(("queries", "keys", "values"), ("q_up", "kv_up", "rotary positions")),
    # q, v, gate and the second matrix of a gated MLP keep what they give (as large as what enters the MLP)
    "every_other_matmul": Module(
        ("norm1 input", "attention input", "keys", "fc2 input", "expert_fc2 input", "shared_fc2 input", "mlp input"),
        (
            "norm0", "norm1", "rotary positions", "projection", "fc2", "expert_fc2", "shared_fc2",
            "fc activation", "expert_fc activation", "shared_fc activation",
        ),
        (
            "fc activation input", "expert_fc activation input", "shared_fc activation input",
            "fc1", "expert_fc1", "shared_fc1",
        ),
        ("mlp input", "fc2", "expert_fc2", "shared_fc2"),
    ),
}  # fmt: skip
"""By Megatron Core's names, and torchtitan's policy for single operations. What enters a module is kept; ``layernorm``
keeps what enters the norms.

With ``layernorm`` a module that is recomputed and whose input is a norm's output starts from the norm. The product that
gives keys, which ``every_other_matmul`` runs again, is left out.
"""


def kept_share(modules: Collection[str], name: str, is_core: bool, is_gated: bool) -> Fraction:
    """Return which part of a tensor stays where `modules` are recomputed.

    Examples
    --------
    >>> [kept_share(["mlp"], name, False, False) for name in ("fc2 input", "mlp input")]
    [Fraction(0, 1), Fraction(1, 1)]
    >>> kept_share(["every_other_matmul"], "fc activation input", False, True)
    Fraction(1, 2)
    """
    if is_core:
        return Fraction("core_attn" not in modules)
    return min((_kept_share(MODULES[module], name, is_gated) for module in modules), default=Fraction(1))


def _kept_share(module: Module, name: str, is_gated: bool) -> Fraction:
    if is_gated and name in module.halved:
        return Fraction(1, 2)
    is_spared = is_gated and name in module.if_gated
    return Fraction(is_spared or not name.startswith(module.tensors))


def again_share(modules: Collection[str], name: str, is_core: bool, is_gated: bool) -> Fraction:
    """Return which part of an operator's forward runs again where `modules` are recomputed.

    Examples
    --------
    >>> [again_share(["mlp"], name, False, False) for name in ("fc2", "projection")]
    [Fraction(1, 1), Fraction(0, 1)]
    >>> again_share(["every_other_matmul"], "fc1", False, True)
    Fraction(1, 2)
    """
    if is_core:
        return Fraction("core_attn" in modules)
    return max((_again_share(MODULES[module], name, is_gated) for module in modules), default=Fraction(0))


def _again_share(module: Module, name: str, is_gated: bool) -> Fraction:
    if is_gated and name in module.halved:
        return Fraction(1, 2)
    is_spared = is_gated and name in module.if_gated
    return Fraction(name.startswith(module.operators) and not is_spared)


def recomputed(
    operators: Sequence[Operator],
    recompute: Recompute,
    modules: Collection[str] = ("core_attn",),
    is_gated: bool = False,
) -> tuple[Operator, ...]:
    """Return which of a layer's operators run their forward once more before the backward.

    With FlashAttention the core runs none: its backward does already.
    """
    if recompute == "full":
        return tuple(operators)
    if recompute == "none":
        return ()
    shares = ((operator, again_share(modules, operator.name, operator.is_core, is_gated)) for operator in operators)
    return tuple(operator if share == 1 else _half(operator) for operator, share in shares if share)


def _half(operator: Operator) -> Operator:
    """Return an operator of half the outputs, whose forward alone means anything."""
    flop, moved_bytes = operator.forward
    gemm = operator.gemm and operator.gemm._replace(outputs=operator.gemm.outputs // 2)
    return replace(operator, forward=Work(flop // 2, moved_bytes // 2), gemm=gemm)
