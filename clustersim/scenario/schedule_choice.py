"""Which schedule a scenario names, and what each schedule asks of the rest of the scenario."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from clustersim.errors import nearest


@dataclass(frozen=True, slots=True)
class ScheduleRules:
    """What a schedule asks of a scenario."""

    has_loops: bool = False  # several chunks per rank (vpp), and groups of micro-batches
    splits_backward: bool = False  # runs I and W apart
    allows_blocking_p2p: bool = False


SCHEDULE_RULES: dict[str, ScheduleRules] = {
    "gpipe": ScheduleRules(allows_blocking_p2p=True),
    "1f1b": ScheduleRules(allows_blocking_p2p=True),
    "interleaved-1f1b": ScheduleRules(has_loops=True, allows_blocking_p2p=True),
    "zb-h1": ScheduleRules(splits_backward=True),
}
_PLANNED = (
    *("looped-bfs", "zb-h2", "interleaved-zb", "zb-v", "zb-auto", "v-half", "v-min"),
    *("dualpipe", "dualpipev", "chimera", "hanayo", "pipedream", "pipedream-2bw"),
)


class ScheduleChoice(BaseModel):
    """A schedule by name, with its parameters; the name alone is a shorthand for it.

    Examples
    --------
    >>> ScheduleChoice.model_validate("1f1b").name
    '1f1b'
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    name: str = Field(description="Name of the schedule.", json_schema_extra={"enum": list(SCHEDULE_RULES)})
    group_size: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Micro-batches that interleaved-1f1b runs through one chunk before the next; "
        "absent: pp, with a short last group.",
    )
    rounds: Literal["torch"] | None = Field(
        None, description="torch: PyTorch's rounds in place of groups, for interleaved-1f1b."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name in _PLANNED:
            raise ValueError(f"'{name}' is not available in this version; available: {', '.join(SCHEDULE_RULES)}")
        if name not in SCHEDULE_RULES:
            hint = nearest(name, list(SCHEDULE_RULES))
            known = f"available: {', '.join(SCHEDULE_RULES)}"
            raise ValueError(f"'{name}' is no schedule; {hint + ' ' if hint else ''}{known}")
        return name

    @property
    def rules(self) -> ScheduleRules:
        """What this schedule asks of the scenario."""
        return SCHEDULE_RULES[self.name]
