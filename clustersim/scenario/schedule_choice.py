"""Which schedule a scenario names, and what each schedule asks of the rest of the scenario."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from clustersim.errors import nearest
from clustersim.scenario.findings import Finding, raise_if_any
from clustersim.scenario.schedule_limit import ScheduleLimit


@dataclass(frozen=True, slots=True)
class ChunkRule:
    """Which vpp a schedule takes, and how many chunks a rank then has.

    Examples
    --------
    >>> TWO_CHUNKS.allows(1), TWO_CHUNKS.num_chunks(1), TWO_CHUNKS.allows(3)
    (True, 2, False)
    """

    text: str
    smallest: int = 1  # a smaller vpp, as when it is absent, is taken as this
    largest: int | None = None
    multiple_of: int = 1

    def num_chunks(self, vpp: int) -> int:
        """Return the chunks on each rank for a `vpp` that the rule allows."""
        return max(vpp, self.smallest)

    def allows(self, vpp: int) -> bool:
        """Return whether the schedule takes `vpp`."""
        chunks = self.num_chunks(vpp)
        return chunks % self.multiple_of == 0 and (self.largest is None or chunks <= self.largest)


ONE_CHUNK = ChunkRule("one chunk per rank", largest=1)
ANY_CHUNKS = ChunkRule("any number of chunks per rank")
TWO_CHUNKS = ChunkRule("two chunks per rank (vpp absent, 1 or 2)", smallest=2, largest=2)
WAVES = ChunkRule("two chunks per rank and wave (vpp absent, 1 or even)", smallest=2, multiple_of=2)


@dataclass(frozen=True, slots=True)
class ScheduleRules:
    """What a schedule asks of a scenario."""

    chunks: ChunkRule = ONE_CHUNK
    is_bidirectional: bool = False  # two replicas of pp whole stages, passed in opposite directions
    takes_groups: bool = False  # of micro-batches (group_size, rounds)
    splits_backward: bool = False  # runs I and W apart
    allows_blocking_p2p: bool = False
    refuses_shapes: bool = False  # some numbers of ranks or micro-batches, whatever the groups
    is_continuous: bool = False  # runs all steps as one stream, without a flush
    takes_limit: bool = False  # looks at costs, and keeps to a limit on activations

    @property
    def has_loops(self) -> bool:
        """Whether any number of chunks per rank will do."""
        return self.chunks is ANY_CHUNKS

    def num_listed_stages(self, pp: int, vpp: int) -> int:
        """Return how many stages a list of costs has; a second replica copies the first."""
        return pp if self.is_bidirectional else pp * self.chunks.num_chunks(vpp)


SCHEDULE_RULES: dict[str, ScheduleRules] = {
    "gpipe": ScheduleRules(allows_blocking_p2p=True),
    "1f1b": ScheduleRules(allows_blocking_p2p=True),
    "interleaved-1f1b": ScheduleRules(ANY_CHUNKS, takes_groups=True, allows_blocking_p2p=True),
    "looped-bfs": ScheduleRules(ANY_CHUNKS),
    "zb-h1": ScheduleRules(splits_backward=True),
    "zb-h2": ScheduleRules(splits_backward=True),
    "interleaved-zb": ScheduleRules(ANY_CHUNKS, takes_groups=True, splits_backward=True),
    "zb-auto": ScheduleRules(splits_backward=True, takes_limit=True),
    "zb-v": ScheduleRules(TWO_CHUNKS, splits_backward=True),
    "v-half": ScheduleRules(TWO_CHUNKS, splits_backward=True),
    "v-min": ScheduleRules(TWO_CHUNKS, splits_backward=True),
    "dualpipe": ScheduleRules(TWO_CHUNKS, is_bidirectional=True, splits_backward=True, refuses_shapes=True),
    "dualpipev": ScheduleRules(TWO_CHUNKS, splits_backward=True, refuses_shapes=True),
    "chimera": ScheduleRules(TWO_CHUNKS, is_bidirectional=True, refuses_shapes=True),
    "hanayo": ScheduleRules(WAVES),
    "pipedream": ScheduleRules(is_continuous=True),
    "pipedream-2bw": ScheduleRules(is_continuous=True, refuses_shapes=True),
}
BROUGHT_RULES = ScheduleRules(ANY_CHUNKS)
"""What is asked of a scenario for an order that a user brings; the order itself is asked for the rest."""
GROUPED = tuple(name for name, rules in SCHEDULE_RULES.items() if rules.takes_groups)
LIMITED = tuple(name for name, rules in SCHEDULE_RULES.items() if rules.takes_limit)
POLICY_RULES = ScheduleRules(ANY_CHUNKS)
"""What is asked of a scenario whose order an online policy makes as it runs."""
_SOURCES = ("name", "csv", "plugin", "policy")


class ScheduleChoice(BaseModel):
    """A schedule by name (which alone is a shorthand for it), from a CSV file, or from a plugin; one of the three.

    Examples
    --------
    >>> ScheduleChoice.model_validate("1f1b").name
    '1f1b'
    >>> ScheduleChoice(csv="orders/mine.csv").label
    'csv:orders/mine.csv'
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        defer_build=True,
        json_schema_extra={"oneOf": [{"required": [source]} for source in _SOURCES]},
    )

    name: str | None = Field(
        None, description="Name of the schedule.", json_schema_extra={"enum": list(SCHEDULE_RULES)}
    )
    csv: str | None = Field(
        None,
        min_length=1,
        max_length=4096,
        description="Path of an order in PyTorch's CSV form (compute_only or compute_comms), relative to this file.",
    )
    plugin: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="Name of a function that orders the schedule, bound by --plugin name=module:function.",
    )
    policy: Literal["forward-first", "backward-first", "memory-bounded"] | None = Field(
        None,
        description="Online policy, asked for the next op whenever a GPU falls idle; memory-bounded takes a limit of "
        "micro-batches.",
    )
    chains: Literal[1, 2] | None = Field(
        None,
        description="2: the second half of the CSV file's stages is a second replica, passed in the opposite "
        "direction, as in DualPipe and Chimera; absent: one chain of stages.",
    )
    group_size: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description=f"Micro-batches that {' or '.join(GROUPED)} runs through one chunk before the next; "
        "absent: pp, with a short last group.",
    )
    rounds: Literal["torch"] | None = Field(
        None, description=f"torch: PyTorch's rounds in place of groups, for {' and '.join(GROUPED)}."
    )
    moe_overlap: bool = Field(
        False, description="Megatron's expert-parallel overlap: one more warm-up forward, for interleaved-1f1b."
    )
    limit: ScheduleLimit | None = Field(
        None,
        description=f"What {' or '.join(LIMITED)} may hold of activations on a rank; absent: pp micro-batches.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        given = [source for source in _SOURCES if getattr(self, source) is not None]
        if not given:
            raise_if_any([Finding(("name",), "missing key", "give `name`, `csv`, `plugin` or `policy`")])
        if len(given) > 1:
            what = f"given beside `{given[0]}`; a schedule is one of `name`, `csv`, `plugin` and `policy`"
            raise_if_any([Finding((given[1],), what)])
        if self.chains is not None and self.csv is None:
            raise_if_any([Finding(("chains",), f"means nothing to {self.label}; it is for a CSV file")])
        if self.moe_overlap and self.name != "interleaved-1f1b":
            raise_if_any([Finding(("moe_overlap",), f"means nothing to {self.label}; it is for interleaved-1f1b")])
        if self.policy == "memory-bounded" and (self.limit is None or self.limit.microbatches is None):
            raise_if_any([Finding(("limit",), "memory-bounded needs one", "give `limit: {microbatches: N}`")])
        return self

    @field_validator("csv")
    @classmethod
    def _is_no_url(cls, csv: str | None) -> str | None:
        if csv is not None and "://" in csv:
            raise ValueError(f"got {csv!r}; an order is read from a file, not from a URL")
        return csv

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str | None) -> str | None:
        if name is None:
            return None
        if name not in SCHEDULE_RULES:
            hint = nearest(name, list(SCHEDULE_RULES))
            known = f"available: {', '.join(SCHEDULE_RULES)}"
            raise ValueError(f"'{name}' is no schedule; {hint + ' ' if hint else ''}{known}")
        return name

    @property
    def rules(self) -> ScheduleRules:
        """What this schedule asks of the scenario."""
        if self.policy is not None:
            return replace(POLICY_RULES, takes_limit=self.policy == "memory-bounded")
        return BROUGHT_RULES if self.name is None else SCHEDULE_RULES[self.name]

    @property
    def label(self) -> str:
        """What messages and results call this schedule."""
        if self.name is not None:
            return self.name
        given = next((source for source in _SOURCES[1:] if getattr(self, source) is not None), "name")
        return f"{given}:{getattr(self, given)}"

    @property
    def num_chains(self) -> int:
        """Chains of stages in a CSV file."""
        return self.chains or 1
