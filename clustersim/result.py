"""The result of a run: the stable document that reports, comparisons and sweeps read.

Fields are those of ``clustersim run --json`` (schema ``clustersim/result/1``). Times are seconds unless a name ends in
``_ps``; what can't be known from the scenario is None.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clustersim.scenario.spec import Scenario
    from clustersim.trace import Trace

RESULT_SCHEMA = "clustersim/result/1"


class Record:
    """A group of fields, read as ``result.bubble.fraction`` or as ``result.bubble["fraction"]``."""

    def keys(self) -> Iterator[str]:
        """Return the names of the fields, so that ``dict(record)`` works."""
        return (field.name for field in fields(self))  # type: ignore[arg-type]

    def __getitem__(self, name: str) -> Any:
        if name not in set(self.keys()):
            raise KeyError(name)
        return getattr(self, name)


@dataclass(frozen=True, slots=True)
class BubbleSummary(Record):
    """Bubble ratios, over the sums of all GPUs, and the bubble itself. [s, mean per GPU and step]"""

    fraction: float | None  # bubble / (bubble + compute)
    overhead: float | None  # bubble / compute
    span_fraction: float | None  # (span - compute) / span, of the rank with the largest span
    idle_fraction: float | None  # (makespan - compute) / makespan
    by_phase: dict[str, float]
    by_cause: dict[str, float]


@dataclass(frozen=True, slots=True)
class TimeSummary(Record):
    """Where the time of a step goes. [s, mean per GPU and step]"""

    compute: float
    exposed_communication: float
    bubble: float


@dataclass(frozen=True, slots=True)
class RankTime(Record):
    """The exact account of one pipeline rank over the run, in the replica that ends last. [ps]"""

    pp_rank: int
    replica: int
    compute_ps: int
    exposed_communication_ps: int
    bubble_ps: int
    makespan_ps: int


@dataclass(frozen=True, slots=True)
class FlopRates(Record):
    """FLOP of a step and utilisations under one convention for attention."""

    model_flop: int  # of a step over all GPUs, without recomputation
    hardware_flop: int  # with recomputation
    model_flop_per_s_per_gpu: float
    hardware_flop_per_s_per_gpu: float
    mfu: float | None  # None: the peak of a device is not published
    hfu: float | None


@dataclass(frozen=True, slots=True)
class Throughput(Record):
    """Work per second; token and FLOP fields need a model, and count full attention where they name no convention."""

    samples_per_s: float | None
    tokens_per_s: float | None
    tokens_per_s_per_gpu: float | None
    model_flop_per_s_per_gpu: float | None
    mfu: float | None
    hfu: float | None
    peak_flop_per_s: float | None  # of a GPU, in the number format of the linear layers
    by_convention: dict[str, FlopRates]  # full (every token attends to every other), causal (to those before it)


@dataclass(frozen=True, slots=True)
class Spent(Record):
    """What so many tokens take. [s; GPU-hours; J; USD]"""

    tokens: int
    time_s: float
    gpu_hours: float
    energy_j: float | None  # None: the power is not known
    cost_usd: float | None  # None: a price is not known


@dataclass(frozen=True, slots=True)
class TokenCost(Record):
    """What training on tokens takes, at the pace of the run; energy is an upper estimate."""

    step_time_s: float  # whose pace it is: that of a steady step, where it is known
    tokens_per_step: int
    per_million_tokens: Spent
    budget_steps: int | None  # whole steps that cover the budget
    budget: Spent | None
    power_w: float | None  # of the whole job
    power_basis: str


@dataclass(frozen=True, slots=True)
class PowerSummary(Record):
    """What the job draws, by part. [W]"""

    device_w: float | None  # None: not known by itself, and part of the hosts'
    host_w: float
    network_w: float
    site_w: float  # cooling and losses: what the PUE adds
    total_w: float


@dataclass(frozen=True, slots=True)
class StepCost(Record):
    """What a step costs and takes, and what all GPUs of the job cost and draw as long as it runs."""

    step_time_s: float  # that of a steady step, where it is known
    gpu_hours: float
    cost_usd: float | None  # None: a price is not known
    energy_j: float | None  # None: the power is not known
    usd_per_h: float | None
    electricity_usd: float  # of the cost, where electricity is paid for itself
    power: PowerSummary | None
    price_basis: str
    price_source: str
    power_basis: str


@dataclass(frozen=True, slots=True)
class CostPart(Record):
    """A part of the busiest rank's time, by what it rests on. [s per step; share of its busy time]"""

    what: str
    of: str  # whose constant it is
    origin: str  # measured, derived, assumed, given
    time_s: float
    share: float


@dataclass(frozen=True, slots=True)
class OutOfRangeShape(Record):
    """A dimension of an operator outside what was measured on its device; no range: nothing of its kind was."""

    kind: str
    operator: str
    dimension: str
    value: int
    smallest: int | None
    largest: int | None
    device: str  # of the busiest rank


@dataclass(frozen=True, slots=True)
class CostOrigins(Record):
    """How much of a step's time rests on costs that were measured, derived, assumed or given."""

    convention: str
    rank: int  # the busiest, global number
    busy_s: float  # its compute and exposed communication, per step
    shares: dict[str, float]  # of it, by origin
    parts: tuple[CostPart, ...]  # the longest first
    out_of_range: tuple[OutOfRangeShape, ...]


@dataclass(frozen=True, slots=True)
class BatchChange(Record):
    """What a changed global batch asks of the learning rate: two rules, and where they come from."""

    global_batch_size: int
    reference_global_batch_size: int
    linear_factor: float
    square_root_factor: float
    note: str


@dataclass(frozen=True, slots=True)
class RankMemory(Record):
    """What a pipeline rank holds at its peak, the largest over its replicas. [bytes; micro-batches; ps]

    ``peak_bytes`` is the sum of weights, gradients, optimizer, activations, buffers, fragmentation and framework.
    """

    pp_rank: int
    peak_bytes: int
    weights_bytes: int
    gradients_bytes: int
    optimizer_bytes: int
    activations_peak_bytes: int  # logits included
    peak_live_microbatches: int
    logits_bytes: int  # of the activations, at the peak
    buffers_bytes: int  # to communicate with
    allocated_peak_bytes: int  # state, buffers and activations: what the framework's allocator has given out
    fragmentation_bytes: int  # that the allocator reserves beside
    framework_bytes: int  # of its process and communicators
    peak_ps: int  # when the peak is reached for the first time


@dataclass(frozen=True, slots=True)
class FitAdvice(Record):
    """A change that makes a job fit, found by simulating it; it may be one of several that are made together."""

    changes: dict[str, Any]  # by dotted key
    peak_bytes: int
    step_time_s: float
    slowdown: float  # step time over that of the job as it stands, less one


@dataclass(frozen=True, slots=True)
class MemorySummary(Record):
    """Whether the job fits. [bytes]"""

    peak_bytes: int
    capacity_bytes: int | None
    fits: bool | None
    ranks: tuple[RankMemory, ...]
    worst_rank: int  # pp_rank that is most over its capacity, or else has the largest peak
    over_bytes: int  # by how much that rank is over its capacity; 0 if it fits, or nobody knows
    advice: tuple[FitAdvice, ...] = ()  # what would make the job fit; asked for by `clustersim run`


@dataclass(frozen=True, slots=True)
class AxisSummary(Record):
    """Traffic of one parallelism axis: bytes of a step over all GPUs, times as mean per GPU and step. [bytes, s]"""

    bytes: int
    busy_s: float
    exposed_s: float
    slowed_s: float  # what its flows lost by sharing links, against an idle fabric


@dataclass(frozen=True, slots=True)
class CollisionSummary(Record):
    """What the flows of one axis lost to those of another on shared links. [s, mean per GPU and step]"""

    axis: str
    by: str
    lost_s: float
    link: str  # where most of it was lost


@dataclass(frozen=True, slots=True)
class LinkSummary(Record):
    """Use of one link over the run."""

    link: str
    utilization: float
    bytes: int
    queued_s: float  # time that messages waited for it, summed
    slowed_s: float  # time that flows lost by sharing while it was their bottleneck, summed


@dataclass(frozen=True, slots=True)
class CommunicationSummary(Record):
    """Traffic by axis, and the links that were used most."""

    by_axis: dict[str, AxisSummary]
    collisions: tuple[CollisionSummary, ...]
    busiest_links: tuple[LinkSummary, ...]
    contended_links: int


@dataclass(frozen=True, slots=True)
class BoundSummary(Record):
    """What no order of the same ops on the same ranks can beat, and how far above it this run is."""

    step_time_s: float
    gap: float | None  # step time over the bound, less one


@dataclass(frozen=True, slots=True)
class BlameSummary(Record):
    """What one part of the critical path is spent on, over the run; all parts add up to the makespan."""

    cause: str  # compute, message, collective, latency, contention or scheduler
    axis: str | None  # of messages and collectives
    resource: str | None  # phase of compute, role of the link
    time_ps: int
    share: float


@dataclass(frozen=True, slots=True)
class CriticalPathSummary(Record):
    """The chain of ops, messages and collectives that the run waited for, from its start to its end."""

    makespan_ps: int
    num_segments: int
    blame: tuple[BlameSummary, ...]  # the largest first
    resources_ps: dict[str, int]  # time that each of analysis.sensitivity's resources is responsible for


@dataclass(frozen=True, slots=True)
class WhatIfSummary(Record):
    """The step time if one resource were better: as the critical path promises it, and as a run with it gives it."""

    resource: str
    factor: float  # bandwidth or speed times this; latency over it
    promised_step_time_s: float  # no run is faster, unless flows share links
    step_time_s: float
    exact_to_factor: float  # up to which the promise was found to hold, to the picosecond a segment


@dataclass(frozen=True, slots=True)
class Result(Record):
    """What a run found; ``to_dict`` and ``to_json`` give the stable document, ``trace`` the columns behind it."""

    provenance: dict[str, Any]
    name: str
    schedule: str
    step_time_s: float
    steady_step_time_s: float | None
    makespan_s: float
    span_s: float
    bound: BoundSummary
    bubble: BubbleSummary
    time_s: TimeSummary
    ranks: tuple[RankTime, ...]
    throughput: Throughput
    memory: MemorySummary
    communication: CommunicationSummary
    critical_path: CriticalPathSummary
    token_cost: TokenCost | None
    step_cost: StepCost
    cost_origins: CostOrigins
    batch_change: BatchChange | None
    warnings: tuple[str, ...]
    scenario: Scenario
    trace: Trace
    what_if: tuple[WhatIfSummary, ...] = ()

    @property
    def schema(self) -> str:
        """Name and version of the document."""
        return RESULT_SCHEMA

    def to_dict(self) -> dict[str, Any]:
        """Return the document as plain values."""
        body = {name: plain_values(getattr(self, name)) for name in self.keys() if name not in ("scenario", "trace")}
        return {"schema": RESULT_SCHEMA, **body}

    def to_json(self) -> str:
        """Return the document as JSON text; the same run gives the same text, but for ``provenance.wall_time_s``."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def plain_values(value: Any) -> Any:
    """Return records as mappings, and tuples as lists, as documents have them."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain_values(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: plain_values(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(entry) for entry in value]
    return value
