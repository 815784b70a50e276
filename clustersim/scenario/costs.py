"""Explicit costs: what one micro-batch takes on a pipeline rank or stage, as times and sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from clustersim.scenario.findings import Finding, raise_if_any
from clustersim.scenario.units import SizeBytes, TimePs, format_time

MAX_STAGES = 65_536

CollectiveName = Literal["all-reduce", "all-gather", "reduce-scatter", "all-to-all", "broadcast"]

PER_RANK = "per-rank"
PER_STAGE = "per-stage"


class ExchangeCosts(BaseModel):
    """What ops of one kind exchange within a parallel group, beside the messages between stages.

    Examples
    --------
    >>> ExchangeCosts(axis="tp", op="forward", collective="all-reduce", size="64 MiB", calls=2).size
    67108864
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    axis: Literal["tp", "cp", "ep", "etp"] = Field(description="Parallelism axis whose groups do it.")
    op: Literal["forward", "backward", "input_grad", "weight_grad"] = Field(
        description="Op that it belongs to; a whole backward does what input_grad and weight_grad do."
    )
    collective: CollectiveName = Field(description="What the group does.")
    size: SizeBytes = Field(
        description="Bytes of one call, as nccl-tests count them: the whole buffer that is reduced, gathered or "
        "scattered, or that a rank sends to all."
    )
    calls: int = Field(1, ge=1, le=1_000_000, strict=True, description="Calls of an op, one after the other.")


class RankCosts(BaseModel):
    """Costs of one micro-batch on a pipeline rank, or on a stage of ``stages``; times [ps], sizes [bytes].

    Examples
    --------
    >>> costs = RankCosts(forward="10 ms", input_grad="10 ms", weight_grad="10 ms")
    >>> costs.backward_ps, costs.has_split_backward
    (20000000000, True)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    forward: TimePs = Field(description="Forward of one micro-batch.")
    input_grad: TimePs | None = Field(None, description="Gradient of the input (I); together with weight_grad.")
    weight_grad: TimePs | None = Field(None, description="Gradient of the weights (W); together with input_grad.")
    backward: TimePs | None = Field(
        None, description="Whole backward (B), for schedules that never part I from W; instead of the two above."
    )
    forward_backward: TimePs | None = Field(None, description="An overlapped F&B slot; absent: the sum of the two.")
    recompute: TimePs = Field(0, description="Forward run again just before the backward; absent: none.")
    optimizer_step: TimePs = Field(0, description="Optimizer step at the end of a training step.")
    activation: SizeBytes = Field(0, description="What a forward keeps for its backward.")
    weight_grad_activation: SizeBytes | None = Field(
        None, description="The part of `activation` that W still needs after I; absent: all of it."
    )
    checkpoint: SizeBytes = Field(0, description="What stays between F and the recomputation, when there is one.")
    message: SizeBytes = Field(
        0, description="From this stage to the next; its gradient coming back has the same size."
    )
    weights: SizeBytes = Field(0, description="Weights of the rank.")
    gradients: SizeBytes = Field(0, description="Gradients of the rank, reduced over dp.")
    optimizer_state: SizeBytes = Field(0, description="Optimizer state of the rank.")
    exchanges: tuple[ExchangeCosts, ...] = Field(
        (), max_length=1000, description="What ops exchange within tp, cp and ep groups; absent: the times hold it."
    )
    tied_embedding_gradients: SizeBytes = Field(
        0, description="Gradients of an embedding that the first and the last stage share and reduce between them."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        raise_if_any([*self._backward_findings(), *self._size_findings()])
        return self

    @property
    def has_split_backward(self) -> bool:
        """Whether I and W are known apart."""
        return self.backward is None

    @property
    def backward_ps(self) -> int:
        """The whole backward: B, or I + W. [ps]"""
        if self.backward is not None:
            return self.backward
        return (self.input_grad or 0) + (self.weight_grad or 0)

    @property
    def forward_backward_ps(self) -> int:
        """The overlapped F&B slot. [ps]"""
        return self.forward + self.backward_ps if self.forward_backward is None else self.forward_backward

    @property
    def weight_grad_activation_bytes(self) -> int:
        """The part of the activation that W still needs. [bytes]"""
        return self.activation if self.weight_grad_activation is None else self.weight_grad_activation

    def _backward_findings(self) -> Iterator[Finding]:
        halves = {"input_grad": self.input_grad, "weight_grad": self.weight_grad}
        given = [key for key, value in halves.items() if value is not None]
        absent = [key for key, value in halves.items() if value is None]
        if self.backward is not None and given:
            what = f"given beside {' and '.join(given)}; it is either the one or the other two"
            yield Finding(("backward",), what, "backward is the sum of input_grad and weight_grad")
        elif self.backward is None and not given:
            yield Finding(("backward",), "missing key", "give `backward`, or both `input_grad` and `weight_grad`")
        elif self.backward is None and absent:
            yield Finding((absent[0],), f"missing key beside {given[0]}", "give both, or `backward` alone")
        elif self.forward_backward is not None:
            shortest, longest = max(self.forward, self.backward_ps), self.forward + self.backward_ps
            if not shortest <= self.forward_backward <= longest:
                what = (
                    f"{format_time(self.forward_backward)} is not between the longer of forward and backward "
                    f"({format_time(shortest)}) and their sum ({format_time(longest)})"
                )
                yield Finding(("forward_backward",), what)

    def _size_findings(self) -> Iterator[Finding]:
        if self.weight_grad_activation_bytes > self.activation:
            yield Finding(("weight_grad_activation",), "larger than `activation`, of which it is a part")
        if self.checkpoint and not self.recompute:
            what = "means nothing without `recompute`: it is what stays until the recomputation"
            yield Finding(("checkpoint",), what, "give `recompute`, or remove `checkpoint`")
        elif self.checkpoint > self.activation:
            yield Finding(("checkpoint",), "larger than `activation`, of which it takes the place")


class CostsByStage(BaseModel):
    """Costs of each global stage, taken as they stand."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    stages: tuple[RankCosts, ...] = Field(
        min_length=1,
        max_length=MAX_STAGES,
        description="One mapping per global stage, in order: pp * vpp of them, two chunks counting for a V; pp of them "
        "if the schedule is bidirectional.",
    )


def _tag(value: Any) -> str:
    """Return which of the two forms `value` has; a mapping of neither is taken for the plain one."""
    by_stage = "stages" in value if isinstance(value, dict) else isinstance(value, CostsByStage)
    return PER_STAGE if by_stage else PER_RANK


StageCosts = Annotated[
    Annotated[RankCosts, Tag(PER_RANK)] | Annotated[CostsByStage, Tag(PER_STAGE)], Discriminator(_tag)
]
