"""What ``plan`` searches: the objective, candidate clusters, limits, and the values of each choice."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clustersim.errors import nearest
from clustersim.scenario.batch import MAX_BATCH_SIZE
from clustersim.scenario.findings import Finding, raise_if_any
from clustersim.scenario.parallelism import MAX_GPUS, MAX_PP, MAX_VPP
from clustersim.scenario.schedule_choice import SCHEDULE_RULES
from clustersim.scenario.shorthand import OrText
from clustersim.scenario.spending_units import DurationS, EnergyJ, MoneyUsd
from clustersim.scenario.units import SizeBytes, TimePs

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

Objective = Literal["step-time", "cost", "energy", "gpus"]
Recompute = Literal["none", "selective", "full"]

PLANNED_SCHEDULES = tuple(
    name for name, rules in SCHEDULE_RULES.items() if not rules.is_continuous and not rules.takes_limit
)
"""Schedules that can be searched: those with a flush, which train as the batch says, in an order known beforehand."""

USUAL_SCHEDULES = tuple(name for name in PLANNED_SCHEDULES if not SCHEDULE_RULES[name].is_bidirectional)
"""Those that are searched unless a plan names others: two copies of a stage do not pay for summing their gradients."""

_MOST_VALUES = 1000


def _values(of: Any) -> Any:
    return Annotated[tuple[of, ...], Field(min_length=1, max_length=_MOST_VALUES, strict=False)]


class PlanCluster(BaseModel):
    """One cluster to choose from."""

    model_config = _STRICT

    topology: Any = Field(description="Its topology: a gallery name, a path, or the topology itself.")
    gpus: int | None = Field(None, ge=1, le=MAX_GPUS, description="Its GPUs; absent: as many as the topology has.")

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"topology": value} if isinstance(value, str) else value


_NamedCluster = Annotated[PlanCluster, OrText("its topology: a name from the gallery, or a path")]


class PlanLimits(BaseModel):
    """What a plan has to keep to."""

    model_config = _STRICT

    memory: SizeBytes | None = Field(None, description="Memory of a GPU; absent: what its device has.")
    step_time: TimePs | None = Field(None, description="Time of a training step.")
    deadline: DurationS | None = Field(None, description="Time of the whole training; needs `training.token_budget`.")
    budget: MoneyUsd | None = Field(None, description="Money for the whole training; needs `training.token_budget`.")
    energy: EnergyJ | None = Field(None, description="Energy of the whole training; needs `training.token_budget`.")
    gpus: int | None = Field(None, ge=1, le=MAX_GPUS, description="GPUs of the job.")

    @property
    def of_whole_training(self) -> tuple[str, ...]:
        """Names of the limits that are given and that count all steps together."""
        return tuple(name for name in ("deadline", "budget", "energy") if getattr(self, name) is not None)


class PlanSpec(BaseModel):
    """What `plan` searches; a choice that the scenario makes elsewhere is kept, whatever stands here."""

    model_config = _STRICT

    objective: Objective = Field("step-time", description="What the best layout has least of.")
    clusters: Annotated[tuple[_NamedCluster, ...], Field(min_length=1, max_length=100, strict=False)] | None = Field(
        None, description="Clusters to choose from; absent: that of the scenario."
    )
    gpus: _values(Annotated[int, Field(ge=1, le=MAX_GPUS)]) | None = Field(  # type: ignore[valid-type]
        None, description="Numbers of GPUs to choose from; absent: `gpus` of each cluster."
    )
    limits: PlanLimits = Field(default_factory=PlanLimits, description="What a plan has to keep to.")
    tp: _values(Annotated[int, Field(ge=1, le=MAX_GPUS)]) | None = Field(  # type: ignore[valid-type]
        None, description="Sizes of tensor parallelism; absent: all that the model allows."
    )
    pp: _values(Annotated[int, Field(ge=1, le=MAX_PP)]) | None = Field(  # type: ignore[valid-type]
        None, description="Sizes of pipeline parallelism; absent: all into which the layers can be dealt."
    )
    vpp: _values(Annotated[int, Field(ge=1, le=MAX_VPP)]) | None = Field(  # type: ignore[valid-type]
        None, description="Chunks per pipeline rank; absent: all that the schedule and the layers allow."
    )
    dp: _values(Annotated[int, Field(ge=1, le=MAX_GPUS)]) | None = Field(  # type: ignore[valid-type]
        None, description="Sizes of data parallelism; absent: all that divide the batch."
    )
    cp: _values(Annotated[int, Field(ge=1, le=MAX_GPUS)]) | None = Field(  # type: ignore[valid-type]
        None, description="Sizes of context parallelism; absent: all that divide the sequence."
    )
    ep: _values(Annotated[int, Field(ge=1, le=MAX_GPUS)]) | None = Field(  # type: ignore[valid-type]
        None, description="Sizes of expert parallelism; absent: all that divide the experts."
    )
    micro_batch_size: _values(Annotated[int, Field(ge=1, le=MAX_BATCH_SIZE)]) | None = Field(  # type: ignore[valid-type]
        None, description="Samples of a micro-batch; absent: all that divide a replica's share of the batch."
    )
    schedules: _values(str) | None = Field(  # type: ignore[valid-type]
        None, description=f"Names of schedules; absent: {', '.join(USUAL_SCHEDULES)}."
    )
    recompute: _values(Recompute) | None = Field(  # type: ignore[valid-type]
        None, description="What is computed again to save memory; absent: none, selective and full."
    )
    zero_stage: _values(Annotated[int, Field(ge=0, le=3)]) | None = Field(  # type: ignore[valid-type]
        None, description="ZeRO stages; absent: 0 to 3."
    )

    @model_validator(mode="after")
    def _has_known_schedules(self) -> Self:
        for index, name in enumerate(self.schedules or ()):
            if name not in PLANNED_SCHEDULES:
                hint = nearest(name, PLANNED_SCHEDULES)
                known = f"available: {', '.join(PLANNED_SCHEDULES)}"
                what = f"'{name}' is no schedule that is searched; {hint + ' ' if hint else ''}{known}"
                raise_if_any([Finding(("schedules", index), what)])
        return self
