"""Which layers of a stage are recomputed, and which parts of a layer: what they do without, and what runs again.

References
----------
Megatron Core, ``TransformerConfig``: ``recompute_granularity``, ``recompute_method``, ``recompute_num_layers`` and
``recompute_modules``. torchtitan, activation checkpointing with a number as its selective option.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from clustersim.workload.model.work import Operator

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
    """A part of a layer that selective recomputation runs again."""

    tensors: tuple[str, ...]  # that are not kept, by the start of their name
    operators: tuple[str, ...]  # that run again, by the start of their name


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
}
"""By Megatron Core's names. What enters a module is kept; ``layernorm`` keeps what enters the norms.

With ``layernorm`` a module that is recomputed and whose input is a norm's output starts from the norm.
"""


def drops(modules: Collection[str], name: str, is_core: bool) -> bool:
    """Return whether selective recomputation of `modules` does without a tensor.

    Examples
    --------
    >>> drops(["mlp"], "fc2 input", False), drops(["core_attn"], "softmax", True), drops(["mlp"], "mlp input", False)
    (True, True, False)
    """
    if is_core:
        return "core_attn" in modules
    return any(name.startswith(start) for module in modules for start in MODULES[module].tensors)


def runs_again(modules: Collection[str], name: str, is_core: bool) -> bool:
    """Return whether selective recomputation of `modules` runs an operator's forward again."""
    if is_core:
        return "core_attn" in modules
    return any(name.startswith(start) for module in modules for start in MODULES[module].operators)


def recomputed(
    operators: Sequence[Operator], recompute: Recompute, modules: Collection[str] = ("core_attn",)
) -> tuple[Operator, ...]:
    """Return which of a layer's operators run their forward once more before the backward.

    With FlashAttention the core runs none: its backward does already.
    """
    if recompute == "full":
        return tuple(operators)
    if recompute == "none":
        return ()
    return tuple(operator for operator in operators if runs_again(modules, operator.name, operator.is_core))
