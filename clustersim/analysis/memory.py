"""Memory: what each rank holds over time, and its peaks."""

from __future__ import annotations

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
        activation_curve(trace).peaks(len(ranks)),
        live_microbatch_curve(trace).peaks(len(ranks)),
    )


def activation_curve(trace: Trace) -> MemoryCurve:
    """Return the bytes of activations alive on each rank over time."""
    return _curve(trace, trace.ops.start_bytes, trace.ops.end_bytes)


def live_microbatch_curve(trace: Trace) -> MemoryCurve:
    """Return the stage-micro-batches alive on each rank: each from the start of its F to the end of its W or B."""
    kind = trace.ops.kind
    return _curve(trace, is_one_of(kind, FORWARDS).astype(np.int64), -is_one_of(kind, _ENDS_LIFE).astype(np.int64))


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
