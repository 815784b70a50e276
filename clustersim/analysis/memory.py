"""Memory: what each rank holds over time, and its peaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clustersim.analysis.waits import is_one_of
from clustersim.ops import FORWARDS, Kind
from clustersim.trace import Ints, Trace

_ENDS_LIFE = frozenset({Kind.B, Kind.W, Kind.FB})


@dataclass(frozen=True, slots=True)
class MemoryCurve:
    """Changes of one quantity, by rank and then by time; among equal times what is freed comes before what is taken."""

    rank_index: Ints
    time_ps: Ints
    value: Ints  # after the change; static memory not counted

    def peaks(self, num_ranks: int) -> Ints:
        """Return the largest value on each rank, 0 if it never changed."""
        peaks = np.zeros(num_ranks, dtype=np.int64)
        np.maximum.at(peaks, self.rank_index, self.value)
        return peaks


@dataclass(frozen=True, slots=True)
class Memory:
    """Peaks of each rank. [bytes, except where it counts micro-batches]"""

    static_bytes: Ints
    activations_peak_bytes: Ints
    peak_live_microbatches: Ints

    @property
    def peak_bytes(self) -> Ints:
        """Weights, gradients and optimizer state, and the largest sum of activations."""
        return self.static_bytes + self.activations_peak_bytes


def measure_memory(trace: Trace) -> Memory:
    """Return the memory peaks of each rank."""
    ranks = trace.ranks
    return Memory(
        ranks.weights_bytes + ranks.gradients_bytes + ranks.optimizer_bytes,
        _peaks(trace, "activations", _activation_changes),
        _peaks(trace, "live micro-batches", _live_microbatch_changes),
    )


def activation_curve(trace: Trace) -> MemoryCurve:
    """Return the bytes of activations alive on each rank over time."""
    return _curve(trace, *_activation_changes(trace))


def live_microbatch_curve(trace: Trace) -> MemoryCurve:
    """Return the stage-micro-batches alive on each rank: each from the start of its F to the end of its W or B."""
    return _curve(trace, *_live_microbatch_changes(trace))


def _activation_changes(trace: Trace) -> tuple[Ints, Ints]:
    """Return what each op takes at its start, and the change at its end. [bytes]"""
    return trace.ops.start_bytes, trace.ops.end_bytes


def _live_microbatch_changes(trace: Trace) -> tuple[Ints, Ints]:
    """Return how many stage-micro-batches come alive at the start of each op, and the change at its end."""
    kind = trace.ops.kind
    return is_one_of(kind, FORWARDS).astype(np.int64), -is_one_of(kind, _ENDS_LIFE).astype(np.int64)


def _peaks(trace: Trace, what: str, changes: Callable[[Trace], tuple[Ints, Ints]]) -> Ints:
    """Return the largest value on each rank.

    A rank does one thing after the other, so that as a rule the order of its program is that of its changes, whatever
    the times are. Where an op of no length takes something it is not: what it frees comes first.
    """

    def in_order(part: Trace) -> Ints:
        at_start, at_end = changes(part)
        is_instant = part.ops.end_ps == part.ops.start_ps
        if ((at_start < 0) | (at_end > 0) | (is_instant & (at_start > 0))).any():
            return np.empty(0, dtype=np.int64)
        change = np.stack([at_start, at_end], axis=1).reshape(-1)
        total, first = np.append(0, np.cumsum(change)), 2 * part.ranks.first_op
        is_empty = first[1:] == first[:-1]
        peaks = np.maximum.reduceat(total[:-1], np.minimum(first[:-1] + 1, len(total) - 2)) if len(change) else 0
        return np.where(is_empty, 0, peaks - total[first[:-1]])

    peaks = trace.once(f"peaks of {what}", in_order)
    return peaks if len(peaks) == len(trace.ranks) else _curve(trace, *changes(trace)).peaks(len(trace.ranks))


def _curve(trace: Trace, at_start: Ints, at_end: Ints) -> MemoryCurve:
    ops = trace.ops
    starts, ends = np.flatnonzero(at_start), np.flatnonzero(at_end)
    rank_index = np.concatenate([ops.rank_index[starts], ops.rank_index[ends]])
    time_ps = np.concatenate([ops.start_ps[starts], ops.end_ps[ends]])
    change = np.concatenate([at_start[starts], at_end[ends]])
    order = np.lexsort((change > 0, time_ps, rank_index))
    rank_index, change = rank_index[order], change[order]
    total = np.cumsum(change)
    # Every rank starts from nothing: take off what the ranks before it added up to.
    first = np.searchsorted(rank_index, np.arange(len(trace.ranks)))
    before = np.concatenate([[0], total])[first]
    return MemoryCurve(rank_index, time_ps[order], total - before[rank_index])
