"""Bubbles: where compute, exposed communication and bubble went, and the ratios that people quote.

References
----------
Two ratios are in use and often taken for one another: bubble over ideal compute (Narayanan et al., SC 2021, section
2.2.1: (p - 1)/m for 1F1B), here ``overhead``, and bubble over bubble plus compute, here ``fraction``. The zero-bubble
papers (Qi et al., ICLR 2024) measure the idle share of the largest span of a stage, here ``span_fraction``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.analysis.waits import CAUSES, PHASES, Waits, is_one_of
from clustersim.ops import COMPUTE
from clustersim.sums import total
from clustersim.trace import Ints, Trace


@dataclass(frozen=True, slots=True)
class RankTimes:
    """The account of each rank: ``compute + exposed + bubble == makespan``. [ps]"""

    compute_ps: Ints
    exposed_ps: Ints
    bubble_ps: Ints

    def of_all_ps(self, gpus_by_rank: Ints | None = None) -> tuple[int, int, int]:
        """Return compute, exposed communication and bubble of all GPUs; None: each rank is one. [ps]"""
        compute_ps, exposed_ps, bubble_ps = (
            total(column, gpus_by_rank) for column in (self.compute_ps, self.exposed_ps, self.bubble_ps)
        )
        return compute_ps, exposed_ps, bubble_ps


@dataclass(frozen=True, slots=True)
class Bubble:
    """Ratios of sums over ranks (None where nothing was computed), and the bubble by phase and cause. [ps]"""

    fraction: float | None  # bubble / (bubble + compute)
    overhead: float | None  # bubble / compute
    idle_fraction: float | None  # (makespan - compute) / makespan
    span_fraction: float | None  # (span - compute) / span of the rank and step with the largest span
    span_ps: int
    by_phase_ps: dict[str, int]
    by_cause_ps: dict[str, int]


def rank_times(trace: Trace, waits: Waits) -> RankTimes:
    """Return where the time of each rank went."""
    ops, first, num_rows = trace.ops, trace.ranks.first_op, len(trace.ops)
    exposed_ps, bubble_ps = (
        by_rank(np.add, column[:num_rows], first) + column[num_rows:] for column in (waits.exposed_ps, waits.bubble_ps)
    )
    return RankTimes(by_rank(np.add, ops.end_ps - ops.start_ps, first), exposed_ps, bubble_ps)


def by_rank(operation: np.ufunc, column: Ints, first: Ints) -> Ints:
    """Return what `operation` makes of the rows of each rank, which begin at `first`; 0 for a rank that has none.

    Examples
    --------
    >>> by_rank(np.add, np.array([1, 2, 3]), np.array([0, 2, 2, 3])).tolist()
    [3, 0, 3]
    """
    made = np.zeros(len(first) - 1, dtype=np.int64)
    filled = np.flatnonzero(np.diff(first))
    if len(filled):
        made[filled] = operation.reduceat(column, first[filled])
    return made


def measure_bubble(trace: Trace, waits: Waits, times: RankTimes) -> Bubble:
    """Return the bubble ratios of a run."""
    stand_for_more = trace.gpus_by_rank if trace.copies is not None else None
    span_ps, span_compute_ps = _largest_span(trace)
    return Bubble(
        *_ratios(trace, times),
        span_fraction=ratio(span_ps - span_compute_ps, span_ps),
        span_ps=span_ps,
        by_phase_ps=dict(zip(PHASES, waits.bubble_by(waits.phase, len(PHASES), stand_for_more), strict=True)),
        by_cause_ps=dict(zip(CAUSES, waits.bubble_by(waits.cause, len(CAUSES), stand_for_more), strict=True)),
    )


def sum_of_bubbles(trace: Trace, times: RankTimes, parts: Sequence[Bubble]) -> Bubble:
    """Return the bubble ratios of a run from those of its parts, and from the times of all its ranks."""
    largest = max(parts, key=lambda part: part.span_ps)  # the first of several, as within a part

    def added(of: Callable[[Bubble], dict[str, int]]) -> dict[str, int]:
        return {name: sum(of(part)[name] for part in parts) for name in of(parts[0])}

    return Bubble(
        *_ratios(trace, times),
        span_fraction=largest.span_fraction,
        span_ps=largest.span_ps,
        by_phase_ps=added(lambda part: part.by_phase_ps),
        by_cause_ps=added(lambda part: part.by_cause_ps),
    )


def _ratios(trace: Trace, times: RankTimes) -> tuple[float | None, float | None, float | None]:
    """Return bubble over bubble and compute, bubble over compute, and idle time over all time."""
    copies = trace.gpus_by_rank
    compute, _, bubble = times.of_all_ps(copies)
    whole = trace.makespan_ps * int(copies.sum())
    return ratio(bubble, bubble + compute), ratio(bubble, compute), ratio(whole - compute, whole)


def ratio(part: int, whole: int) -> float | None:
    """Return ``part / whole``, or None for nothing of nothing."""
    return part / whole if whole else None


def _largest_span(trace: Trace) -> tuple[int, int]:
    """Return the largest span of a rank in a step (last end less first start) and the rank's compute in it. [ps]

    Steps that are one stream overlap on a rank, so that what it computes in the span of one may belong to others.
    """
    ops = trace.ops
    num_groups = len(trace.ranks) * trace.num_steps
    rows = np.flatnonzero(is_one_of(ops.kind, COMPUTE))
    group = ops.rank_index[rows]
    if trace.num_steps > 1:
        group = group * trace.num_steps + ops.step[rows]
    first, last = np.full(num_groups, len(ops)), np.full(num_groups, -1)
    # Where the group changes; steps that are one stream overlap, so that a group may come again.
    changes = np.flatnonzero(group[1:] != group[:-1])
    begins, ends = np.append(0, changes + 1)[: len(rows)], np.append(changes, len(rows) - 1)[: len(rows)]
    np.minimum.at(first, group[begins], rows[begins])
    np.maximum.at(last, group[ends], rows[ends])
    first, last = first[last >= 0], last[last >= 0]
    if not len(first):
        return 0, 0
    span = ops.end_ps[last] - ops.start_ps[first]
    largest = int(np.argmax(span))
    within = slice(int(first[largest]), int(last[largest]) + 1)
    return int(span[largest]), int((ops.end_ps[within] - ops.start_ps[within]).sum())
