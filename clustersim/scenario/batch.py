"""The batch of a training step, and how its samples are dealt to data-parallel replicas and micro-batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clustersim.errors import Fault, ScenarioError
from clustersim.scenario.findings import Finding, raise_if_any
from clustersim.scenario.node import dotted

MAX_MICROBATCHES = 1_000_000
MAX_BATCH_SIZE = 10**9


class Batch(BaseModel):
    """Samples of one training step.

    Examples
    --------
    >>> Batch(num_microbatches=8).micro_batch_size
    1
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    global_batch_size: int | None = Field(
        None, ge=1, le=MAX_BATCH_SIZE, description="Samples of a step over all replicas; or give num_microbatches."
    )
    micro_batch_size: int = Field(1, ge=1, le=MAX_BATCH_SIZE, description="Samples of a micro-batch.")
    num_microbatches: int | None = Field(
        None, ge=1, le=MAX_MICROBATCHES, description="Micro-batches per replica and step; or give global_batch_size."
    )
    remainder: Literal["short"] | None = Field(
        None, description="short: the last micro-batch of a replica may be smaller; absent: samples must divide evenly."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.global_batch_size is None and self.num_microbatches is None:
            raise_if_any(
                [Finding(("global_batch_size",), "missing key", "give `global_batch_size` or `num_microbatches`")]
            )
        return self


@dataclass(frozen=True, slots=True)
class ReplicaBatch:
    """One replica's share of a step."""

    num_samples: int
    num_microbatches: int
    last_fraction: Fraction  # size of the last micro-batch over micro_batch_size


def deal_samples(batch: Batch, dp: int) -> tuple[ReplicaBatch, ...]:
    """Return each replica's share of `batch`: as even as can be, the first replicas taking one sample more.

    Raises
    ------
    ScenarioError
        Samples that do not divide evenly, without ``remainder: short``; or fewer samples than replicas.

    Examples
    --------
    >>> [share.num_samples for share in deal_samples(Batch(global_batch_size=10, remainder="short"), dp=4)]
    [3, 3, 2, 2]
    """
    findings = list(batch_findings(batch, dp))
    if findings:
        raise ScenarioError(Fault(dotted(finding.path), finding.what, hint=finding.hint) for finding in findings)
    if batch.global_batch_size is None:
        return (_share((batch.num_microbatches or 0) * batch.micro_batch_size, batch.micro_batch_size),) * dp
    num_each, num_more = divmod(batch.global_batch_size, dp)
    larger = (_share(num_each + 1, batch.micro_batch_size),) * num_more
    return larger + (_share(num_each, batch.micro_batch_size),) * (dp - num_more)


def _share(num_samples: int, micro_batch_size: int) -> ReplicaBatch:
    num_microbatches = -(-num_samples // micro_batch_size)
    num_last = num_samples - (num_microbatches - 1) * micro_batch_size
    return ReplicaBatch(num_samples, num_microbatches, Fraction(num_last, micro_batch_size))


def largest_num_microbatches(batch: Batch, dp: int) -> int:
    """Return the number of micro-batches of the first replica, which has the most."""
    if batch.global_batch_size is None:
        return batch.num_microbatches or 0
    return -(-batch.global_batch_size // (dp * batch.micro_batch_size))


def batch_findings(batch: Batch, dp: int) -> Iterator[Finding]:
    """Yield what keeps `batch` from being dealt to `dp` replicas."""
    size = batch.global_batch_size
    if size is None:
        return
    even = dp * batch.micro_batch_size
    if batch.remainder is None and size % even:
        valid = [str(near) for near in (size // even * even, (size // even + 1) * even) if near]
        what = f"{size} samples do not divide evenly into dp * micro_batch_size = {dp} * {batch.micro_batch_size}"
        hint = f"nearest that do: {' and '.join(valid)}; or `remainder: short` for smaller last micro-batches"
        yield Finding(("batch", "global_batch_size"), what, hint)
        return
    if size < dp:
        what = f"{size} samples for {dp} data-parallel replicas; each needs one at least"
        yield Finding(("batch", "global_batch_size"), what, "lower dp or raise the batch size")
        return
    num_microbatches = largest_num_microbatches(batch, dp)
    if num_microbatches > MAX_MICROBATCHES:
        what = f"makes {num_microbatches} micro-batches per replica; at most {MAX_MICROBATCHES} are simulated"
        yield Finding(("batch", "global_batch_size"), what)
    if batch.num_microbatches not in (None, num_microbatches):
        what = f"{batch.num_microbatches}, but global_batch_size {size} makes {num_microbatches} per replica"
        yield Finding(("batch", "num_microbatches"), what, "give one of the two, or make them agree")
