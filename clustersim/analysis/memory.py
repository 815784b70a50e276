"""Memory: what each rank holds over time, its peaks, and what it holds at its peak."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from clustersim.analysis.bubble import by_rank
from clustersim.analysis.waits import is_one_of
from clustersim.ops import BACKWARDS, FORWARDS, Kind
from clustersim.trace import Flags, Ints, Ops, Trace

Numbers = NDArray[np.signedinteger]

_NO_PEAK = np.iinfo(np.int64).min
_OWN_COLUMNS = (
    "rank_index",
    "kind",
    "stage",
    "microbatch",
    "backward_stage",
    "backward_microbatch",
    "step",
    "start_ps",
    "end_ps",
    "start_bytes",
    "end_bytes",
)
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

    def peak_rows(self, num_ranks: int) -> Ints:
        """Return the first row with the largest value on each rank; -1 if it never rises above 0."""
        peaks, rows = self.peaks(num_ranks), np.full(num_ranks, -1, dtype=np.int64)
        at_peak = np.flatnonzero((self.value == peaks[self.rank_index]) & (self.value > 0))
        ranks, first = np.unique(self.rank_index[at_peak], return_index=True)
        rows[ranks] = at_peak[first]
        return rows


@dataclass(frozen=True, slots=True)
class Memory:
    """What each rank holds at its peak. [bytes, except where it counts micro-batches or says when]"""

    static_bytes: Ints  # weights, gradients and optimizer state
    activations_peak_bytes: Ints  # logits included
    peak_live_microbatches: Ints
    logits_bytes: Ints
    buffers_bytes: Ints
    fragmentation_bytes: Ints
    framework_bytes: Ints
    peak_ps: Ints  # when the peak is reached for the first time; 0 on a rank without activations

    @property
    def allocated_peak_bytes(self) -> Ints:
        """What the framework's allocator has given out: state, buffers, and the largest sum of activations."""
        return self.static_bytes + self.buffers_bytes + self.activations_peak_bytes

    @property
    def peak_bytes(self) -> Ints:
        """All that is taken of the GPU's memory: what is allocated, fragmentation, and what the framework takes."""
        return self.allocated_peak_bytes + self.fragmentation_bytes + self.framework_bytes


def measure_memory(trace: Trace) -> Memory:
    """Return the memory peaks of each rank."""
    ranks = trace.ranks
    activations, logits, peak_ps = _activation_peaks(trace)
    return Memory(
        ranks.weights_bytes + ranks.gradients_bytes + ranks.optimizer_bytes,
        activations,
        _peaks(trace, "live micro-batches", _live_microbatch_changes)[0],
        logits,
        ranks.buffers_bytes,
        _shares(ranks.allocated_bytes + activations, trace.fragmentation),
        ranks.framework_bytes,
        peak_ps,
    )


def _activation_peaks(trace: Trace) -> tuple[Ints, Ints, Ints]:
    """Return the peak of activations on each rank, the logits in it, and when it is reached. [bytes, bytes, ps]"""
    num_ranks = len(trace.ranks)
    peaks, peak_ps = _peaks(trace, "activations", _activation_changes)
    if not any(trace.logits_shares):
        return peaks, np.zeros(num_ranks, dtype=np.int64), peak_ps
    shares, has_logits = trace.logits_shares, np.zeros(num_ranks, dtype=np.bool_)
    for stage in (trace.ops.stage, trace.ops.backward_stage):
        has_logits[trace.ops.rank_index.take(np.flatnonzero(_are_with_logits(shares, stage)))] = True
    # A few ranks, whose curves alone are looked at.
    ops = _at_rows(trace.ops, np.flatnonzero(has_logits.take(trace.ops.rank_index)))
    rows = _curve(ops, num_ranks, *_activation_changes(ops)).peak_rows(num_ranks)
    logits = _curve(ops, num_ranks, *_activation_changes(ops), _logits_changes(ops, shares))
    return peaks, _at(logits.value, rows), peak_ps


def _at_rows(ops: Ops, rows: Ints) -> Ops:
    """Return some rows of ops, without what they exchange."""

    def taken(name: str) -> Callable[[], Ints]:
        return lambda: getattr(ops, name).take(rows)

    return Ops.made_by(**{name: taken(name) for name in _OWN_COLUMNS})


def _at(column: Ints, rows: Ints) -> Ints:
    """Return the values of `column` at `rows`, 0 where a row is -1."""
    return np.concatenate([column, [0]])[rows]


def _shares(sizes: Ints, share: Fraction) -> Ints:
    """Return a share of each size, rounded up; whole numbers throughout. [bytes]"""
    return np.array([-(-size * share.numerator // share.denominator) for size in sizes.tolist()], dtype=np.int64)


def activation_curve(trace: Trace) -> MemoryCurve:
    """Return the bytes of activations alive on each rank over time."""
    return _curve(trace.ops, len(trace.ranks), *_activation_changes(trace.ops))


def logits_curve(trace: Trace) -> MemoryCurve:
    """Return the bytes of logits alive on each rank over time: from the start of an F to the end of its I or B.

    Its rows are those of the curve of activations, of which logits are a part.
    """
    ops = trace.ops
    return _curve(ops, len(trace.ranks), *_activation_changes(ops), _logits_changes(ops, trace.logits_shares))


def _are_with_logits(shares: Sequence[Fraction], stage: Ints) -> Flags:
    """Return where a column of stages has such as make logits, which have `shares` of their activations."""
    has_logits = np.zeros(max(len(shares), int(stage.max(initial=0)) + 1) + 1, dtype=np.bool_)  # the last is for -1
    has_logits[: len(shares)] = [share > 0 for share in shares]
    return has_logits[stage]


def _logits_changes(ops: Ops, shares: Sequence[Fraction]) -> tuple[Ints, Ints]:
    """Return the logits that each op makes at its start, and the change at its end. [bytes]"""
    taken, freed = np.zeros(len(ops), dtype=np.int64), np.zeros(len(ops), dtype=np.int64)
    forward = np.flatnonzero(_are_with_logits(shares, ops.stage))
    forward = forward[is_one_of(ops.kind[forward], FORWARDS)]
    is_overlapped = ops.kind == Kind.FB
    back_stage = np.where(is_overlapped, ops.backward_stage, ops.stage)
    back_microbatch = np.where(is_overlapped, ops.backward_microbatch, ops.microbatch)
    backward = np.flatnonzero(_are_with_logits(shares, back_stage))
    backward = backward[is_one_of(ops.kind[backward], BACKWARDS)]
    made = np.stack([ops.stage[forward], ops.start_bytes[forward]], axis=1)
    kinds, kind = np.unique(made, axis=0, return_inverse=True)
    sizes = [-(-size * shares[stage].numerator // shares[stage].denominator) for stage, size in kinds.tolist()]
    taken[forward] = np.array(sizes, dtype=np.int64)[kind.reshape(-1)]
    # What an F makes, the backward of the same micro-batch on the same rank frees.
    _, number = np.unique(
        np.concatenate(
            [
                _micro_batches(ops, forward, ops.stage, ops.microbatch),
                _micro_batches(ops, backward, back_stage, back_microbatch),
            ]
        ),
        axis=0,
        return_inverse=True,
    )
    number = number.reshape(-1)
    of_micro_batch = np.zeros(int(number.max(initial=-1)) + 1, dtype=np.int64)
    of_micro_batch[number[: len(forward)]] = taken[forward]
    freed[backward] = -of_micro_batch[number[len(forward) :]]
    return taken, freed


def _micro_batches(ops: Ops, rows: Ints, stage: Ints, microbatch: Ints) -> Ints:
    """Return what tells the micro-batch of each op from all others: its rank, step, stage and number."""
    return np.stack([ops.rank_index[rows], ops.step[rows], stage[rows], microbatch[rows]], axis=1)


def live_microbatch_curve(trace: Trace) -> MemoryCurve:
    """Return the stage-micro-batches alive on each rank: each from the start of its F to the end of its W or B."""
    return _curve(trace.ops, len(trace.ranks), *_live_microbatch_changes(trace.ops))


def _activation_changes(ops: Ops) -> tuple[Ints, Ints]:
    """Return what each op takes at its start, and the change at its end. [bytes]"""
    return ops.start_bytes, ops.end_bytes


def _live_microbatch_changes(ops: Ops) -> tuple[Numbers, Numbers]:
    """Return how many stage-micro-batches come alive at the start of each op, and the change at its end."""
    begins, ends = np.zeros((2, len(Kind)), dtype=np.int8)
    begins[list(FORWARDS)], ends[list(_ENDS_LIFE)] = 1, -1
    return begins.take(ops.kind), ends.take(ops.kind)


def _peaks(trace: Trace, what: str, changes: Callable[[Ops], tuple[Numbers, Numbers]]) -> tuple[Ints, Ints]:
    """Return the largest value on each rank, and when it is first reached. [ps]

    A rank does one thing after the other, so that as a rule the order of its program is that of its changes, whatever
    the times are. Where an op of no length takes something it is not: what it frees comes first.
    """
    num_ranks = len(trace.ranks)
    found = trace.once(f"peaks of {what}", lambda part: _peaks_in_order(part, changes))
    if found.shape[1] < num_ranks:
        curve = _curve(trace.ops, num_ranks, *changes(trace.ops))
        return curve.peaks(num_ranks), _at(curve.time_ps, curve.peak_rows(num_ranks))
    peaks, rows = found
    return peaks, _at(trace.ops.start_ps, rows)


def _peaks_in_order(trace: Trace, changes: Callable[[Ops], tuple[Numbers, Numbers]]) -> Ints:
    """Return each rank's peak and the op with which it is first reached, -1 for none; no columns if times matter."""
    at_start, at_end = changes(trace.ops)
    takes = np.flatnonzero(at_start != 0)
    is_instant = trace.ops.end_ps.take(takes) == trace.ops.start_ps.take(takes)
    if at_start.min(initial=0) < 0 or at_end.max(initial=0) > 0 or is_instant.any():
        return np.empty((2, 0), dtype=np.int64)
    first, peaks = trace.ranks.first_op, np.zeros(len(trace.ranks), dtype=np.int64)
    rows = np.full(len(peaks), -1, dtype=np.int64)
    if not len(takes):
        return np.stack([peaks, rows])
    total = np.cumsum(at_start + at_end, dtype=np.int64)  # over all ranks so far
    before = np.where(first[:-1] > 0, total.take(first[:-1] - 1), 0)
    # Only where something is taken can there be a peak: those rows, and where those of each rank begin.
    value = total.take(takes) - at_end.take(takes)
    bounds = np.searchsorted(takes, first)
    peaks = np.maximum(by_rank(np.maximum, value, bounds) - before, 0) * (np.diff(bounds) > 0)
    rank = np.repeat(np.arange(len(peaks)), np.diff(bounds))
    at_peak = np.flatnonzero(value == np.repeat(np.where(peaks > 0, peaks + before, _NO_PEAK), np.diff(bounds)))
    rows[rank[at_peak[::-1]]] = takes[at_peak[::-1]]  # of equal ranks the last one is written
    return np.stack([peaks, rows])


def _curve(
    ops: Ops, num_ranks: int, at_start: Numbers, at_end: Numbers, counted: tuple[Ints, Ints] | None = None
) -> MemoryCurve:
    """Return the curve of what ops take `at_start` and change `at_end`; or, at its rows, of what is `counted`."""
    starts, ends = np.flatnonzero(at_start != 0), np.flatnonzero(at_end != 0)
    counted_start, counted_end = counted or (at_start, at_end)
    rank_index = np.concatenate([ops.rank_index[starts], ops.rank_index[ends]])
    time_ps = np.concatenate([ops.start_ps[starts], ops.end_ps[ends]])
    change = np.concatenate([at_start[starts], at_end[ends]])
    order = np.lexsort((change > 0, time_ps, rank_index))
    rank_index = rank_index[order]
    total = np.cumsum(np.concatenate([counted_start[starts], counted_end[ends]])[order])
    # Every rank starts from nothing: take off what the ranks before it added up to.
    first = np.searchsorted(rank_index, np.arange(num_ranks))
    before = np.concatenate([[0], total])[first]
    return MemoryCurve(rank_index, time_ps[order], total - before[rank_index])
