"""How GPUs are split among the parallelism axes."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, Field, field_validator

from clustersim.scenario.split import Split

AXES = ("tp", "cp", "ep", "dp", "pp")
MAX_PP = 4096
MAX_VPP = 1024
MAX_GPUS = 1_000_000


class Parallelism(BaseModel):
    """Sizes of the parallelism axes.

    Examples
    --------
    >>> Parallelism(tp=8, pp=16, dp=8).num_gpus
    1024
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    tp: int = Field(1, ge=1, le=MAX_GPUS, description="Tensor parallelism.")
    pp: int = Field(1, ge=1, le=MAX_PP, description="Pipeline parallelism: the number of pipeline ranks.")
    vpp: int = Field(1, ge=1, le=MAX_VPP, description="Chunks per pipeline rank (virtual pipeline stages).")
    dp: int = Field(1, ge=1, le=MAX_GPUS, description="Data parallelism: the number of replicas.")
    cp: int = Field(1, ge=1, le=MAX_GPUS, description="Context parallelism.")
    ep: int = Field(1, ge=1, le=MAX_GPUS, description="Expert parallelism.")
    etp: int | None = Field(None, ge=1, le=MAX_GPUS, description="Tensor parallelism of the experts; absent: tp.")
    sequence_parallel: bool = Field(False, description="Sequence parallelism within the tensor-parallel group.")
    zero_stage: int = Field(0, ge=0, le=3, description="ZeRO stage: what dp shards.")
    split: Split | None = Field(None, description="Layers of each stage, with a model; absent: as many everywhere.")
    order: str = Field("tp-cp-ep-dp-pp", description="Order of the axes over the ranks, the fastest first.")

    @field_validator("order")
    @classmethod
    def _names_every_axis(cls, order: str) -> str:
        if sorted(order.split("-")) != sorted(AXES):
            raise ValueError(f"got {order!r}; an order names each of {', '.join(AXES)} once, joined by '-'")
        return order

    @property
    def expert_tp(self) -> int:
        """Tensor parallelism of the experts."""
        return self.tp if self.etp is None else self.etp

    @property
    def sizes(self) -> dict[str, int]:
        """The axes that multiply to the number of GPUs."""
        return {"tp": self.tp, "cp": self.cp, "dp": self.dp, "pp": self.pp}

    @property
    def num_gpus(self) -> int:
        """Number of GPUs that the axes need: tp * cp * dp * pp."""
        return math.prod(self.sizes.values())
