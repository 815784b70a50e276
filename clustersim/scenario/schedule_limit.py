"""What a cost-aware schedule may hold of activations on a rank."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clustersim.scenario.findings import Finding, raise_if_any
from clustersim.scenario.units import SizeBytes

if TYPE_CHECKING:
    from clustersim.footprint import ActivationLimit

_UNITS = ("microbatches", "activations", "bytes")
_LARGEST = 1_000_000


class ScheduleLimit(BaseModel):
    """Limit on the activations of each rank, in one of three units.

    Examples
    --------
    >>> ScheduleLimit(bytes="40 GiB").as_op_limit().size_bytes
    42949672960
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        defer_build=True,
        json_schema_extra={"oneOf": [{"required": [unit]} for unit in _UNITS]},
    )

    microbatches: int | None = Field(
        None, ge=1, le=_LARGEST, description="Micro-batches alive at once, each from the start of F to the end of W."
    )
    activations: float | None = Field(
        None,
        ge=1,
        le=_LARGEST,
        allow_inf_nan=False,
        description="Bytes in units of the stage's `activation`; what W does not need is freed at the end of I.",
    )
    bytes: SizeBytes | None = Field(
        None, description="Bytes of activations, freed in the same way; weights and optimizer state are not counted."
    )

    @model_validator(mode="after")
    def _has_one_unit(self) -> Self:
        given = [unit for unit in _UNITS if getattr(self, unit) is not None]
        if not given:
            raise_if_any([Finding((_UNITS[0],), "missing key", "give `microbatches`, `activations` or `bytes`")])
        if len(given) > 1:
            what = f"given beside `{given[0]}`; a limit is one of `microbatches`, `activations` and `bytes`"
            raise_if_any([Finding((given[1],), what)])
        return self

    def as_op_limit(self) -> ActivationLimit:
        """Return the limit as schedules know it."""
        from clustersim.footprint import ActivationLimit  # imported only here: most scenarios have no limit

        activations = None if self.activations is None else Fraction(repr(self.activations))
        return ActivationLimit(self.microbatches, activations, self.bytes)
