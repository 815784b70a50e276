"""How a model is trained: number formats, and what is computed again to save memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clustersim.scenario.batch import MAX_BATCH_SIZE
from clustersim.scenario.findings import Finding, raise_if_any
from clustersim.scenario.model import MAX_LAYERS, ModelSpec
from clustersim.scenario.precision import PrecisionName
from clustersim.scenario.units import Tokens

RecomputeModule = Literal[
    "core_attn", "mlp", "moe", "moe_act", "shared_experts", "layernorm", "mla_up_proj", "every_other_matmul"
]
"""What selective recomputation can run again of a layer: modules of Megatron Core, and torchtitan's own policy."""

_NumLayers = Annotated[int, Field(ge=1, le=MAX_LAYERS)]
_OF_EXPERTS = ("moe", "moe_act", "shared_experts")


class Training(BaseModel):
    """How the model is trained; with explicit stage costs most of it is in the costs already.

    Examples
    --------
    >>> Training(recompute="full", recompute_num_layers=4).recompute_num_layers
    4
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    precision: PrecisionName = Field("bf16", description="Number format of the linear layers.")
    recompute: Literal["none", "selective", "full"] | None = Field("none", description="Activation recomputation.")
    recompute_method: Literal["block", "uniform"] | None = Field(
        None,
        description="How recompute_num_layers is meant: block: the first so many layers of each stage are recomputed, "
        "the others not; uniform: all are, and the input of one in so many is kept. Absent: block.",
    )
    recompute_num_layers: _NumLayers | None = Field(
        None, description="Layers of a stage (block) or of a chunk (uniform); absent: every layer by itself."
    )
    recompute_every: _NumLayers | None = Field(
        None, description="One layer in so many of a stage is recomputed, the last of them, as torchtitan counts."
    )
    recompute_modules: Annotated[tuple[RecomputeModule, ...], Field(min_length=1, strict=False)] | None = Field(
        None,
        description="What selective recomputation runs again; absent: what the framework does, which is core_attn, "
        "and with zero_stage 3 every_other_matmul.",
    )
    flash_attention: bool = Field(True, description="Whether attention is computed without its score matrix.")
    attention_kernel: str | None = Field(
        None,
        max_length=100,
        description="FlashAttention's implementation, one that the device's file lists, as flash-2; absent: its usual.",
    )
    optimizer: Literal["adam"] = Field("adam", description="Optimizer.")
    token_budget: Tokens | None = Field(
        None, description="Tokens of the whole training, of which time, GPU-hours and energy are told; needs a `model`."
    )
    reference_global_batch_size: int | None = Field(
        None,
        ge=1,
        le=MAX_BATCH_SIZE,
        description="Samples of a step for which the learning rate was chosen; what another batch asks of it is told.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        raise_if_any([*self._layer_findings(), *self._module_findings()])
        return self

    def _layer_findings(self) -> Iterator[Finding]:
        for key in ("recompute_method", "recompute_num_layers", "recompute_every"):
            if getattr(self, key) is not None and self.recompute != "full":
                yield Finding((key,), "is for whole layers", "write `recompute: full`, or remove it")
        if self.recompute_method is not None and self.recompute_num_layers is None:
            what = "does not say of how many layers"
            yield Finding(("recompute_method",), what, "give `recompute_num_layers`, or remove it")
        if self.recompute_every is not None and self.recompute_num_layers is not None:
            what = "given beside `recompute_num_layers`, which chooses layers, too"
            yield Finding(("recompute_every",), what, "keep one of the two")

    def _module_findings(self) -> Iterator[Finding]:
        if self.recompute_modules is None:
            return
        if self.recompute != "selective":
            what = "is for parts of layers"
            yield Finding(("recompute_modules",), what, "write `recompute: selective`, or remove it")
        if len(set(self.recompute_modules)) < len(self.recompute_modules):
            yield Finding(("recompute_modules",), "names a module twice")
        if "moe" in self.recompute_modules and {"moe_act", "shared_experts"} & set(self.recompute_modules):
            what = "moe runs the experts again whole, moe_act and shared_experts are parts of it"
            yield Finding(("recompute_modules",), what, "keep `moe`, or its parts")


def training_findings(training: Training, model: ModelSpec) -> Iterator[Finding]:
    """Yield which modules a model can't recompute, as it does not have them."""
    path = ("training", "recompute_modules")
    for module in training.recompute_modules or ():
        if module in _OF_EXPERTS and model.moe is None:
            yield Finding(path, f"{module}: the model has no experts", "remove it")
        elif module == "shared_experts" and model.moe and not model.moe.num_shared_experts:
            yield Finding(path, "shared_experts: the model has none", "remove it")
        elif module == "mla_up_proj" and model.mla is None:
            yield Finding(path, "mla_up_proj: the model has no latent attention", "remove it")
