"""Waits: every moment in which a GPU computes nothing, with the reason, so that nothing is left over.

A GPU's time is compute, exposed communication and bubble, and the three add up to the makespan exactly. *Exposed
communication* is the part of a wait in which the transfer or the collective that ends it was queued or under way;
*bubble* is the rest. A collective is queued when the last of its group has called for it: before that, the others wait
for a late member.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clustersim.columns import joined
from clustersim.later import Lazy, later
from clustersim.ops import BACKWARDS, COMPUTE, FORWARDS, Kind
from clustersim.sums import totals
from clustersim.trace import Ints, Trace

Marks = NDArray[np.int8]

PHASES = ("warmup", "steady", "cooldown")
CAUSES = ("dependency", "group", "barrier", "end_of_run")
_DEPENDENCY, _GROUP, _BARRIER, _END = range(len(CAUSES))
_WARMUP, _STEADY, _COOLDOWN = range(3)
_NEVER = np.iinfo(np.int64).max
_NOT_WAITED_FOR = np.int64(-1)
_OWN = COMPUTE - {Kind.RECOMPUTE, Kind.PART, Kind.OPTIMIZER}  # forwards, backwards and weight gradients


class WaitsOfOps(NamedTuple):
    """Columns of :class:`Waits`, of the waits before ops alone."""

    transfer: Ints
    collective: Ints
    phase: Marks


@dataclass(frozen=True, slots=True)
class Waits(Lazy):
    """The wait before each row of the trace's ops, then one for each rank: from its last row to the end of the run.

    ``start_ps + exposed_ps + bubble_ps`` is the wait's end. ``cause`` says why the bubble part is there: an upstream op
    (or the other side of a rendezvous) was not ready, a member of the group was late, the optimizer barrier, or the
    rank had nothing more to do.
    """

    rank_index: Ints
    start_ps: Ints
    exposed_ps: Ints
    bubble_ps: Ints
    transfer: Ints  # the transfer that the wait was for, the last to arrive, or -1
    collective: Ints  # the collective that the wait was for, if it ended after every transfer, or -1
    cause: Marks  # index into CAUSES
    phase: Marks  # index into PHASES
    step: Ints

    def of_ops(self, num_ops: int) -> WaitsOfOps:
        """Return what was found of the waits before ops, of which there are so many."""
        return WaitsOfOps(self.transfer[:num_ops], self.collective[:num_ops], self.phase[:num_ops])

    def bubble_by(self, column: Ints | Marks, num_values: int, gpus_by_rank: Ints | None = None) -> list[int]:
        """Return the bubble, summed over all GPUs, by the values of a column; None: each rank is one. [ps]"""
        rows = np.flatnonzero(self.bubble_ps != 0)  # flags are searched five times as fast as numbers
        gpus = None if gpus_by_rank is None else gpus_by_rank.take(self.rank_index.take(rows))
        return totals(column.take(rows), self.bubble_ps.take(rows), num_values, gpus)


def find_waits(trace: Trace, known: Sequence[WaitsOfOps] = ()) -> Waits:
    """Return every wait of a run; of a large one, what is not looked at is not made.

    `known` is what was found of its ranks a few at a time, of all or of none.
    """
    ops, ranks, num_rows = trace.ops, trace.ranks, len(trace.ops)
    last = ranks.first_op[1:] - 1
    transfer, collective, phase = _with_ends(known, len(ranks)) if known else _found(trace)

    @cache
    def start_ps() -> Ints:
        start = np.empty(num_rows + len(ranks), dtype=np.int64)
        start[1:num_rows] = ops.end_ps[:-1]
        start[ranks.first_op[:-1]] = 0
        start[num_rows:] = ops.end_ps[last]
        return start

    @cache
    def exposed_ps() -> Ints:
        exposed = np.zeros(num_rows + len(ranks), dtype=np.int64)
        of_ops = exposed[:num_rows]
        np.maximum(start_ps()[:num_rows], _queued_ps(trace, transfer, collective)[:num_rows], out=of_ops)
        np.subtract(ops.start_ps, of_ops, out=of_ops)
        np.maximum(of_ops, 0, out=of_ops)
        return exposed

    def bubble_ps() -> Ints:
        bubble = np.empty(num_rows + len(ranks), dtype=np.int64)
        of_ops = bubble[:num_rows]
        np.subtract(ops.start_ps, start_ps()[:num_rows], out=of_ops)
        of_ops -= exposed_ps()[:num_rows]
        bubble[num_rows:] = trace.makespan_ps - ops.end_ps[last]
        return bubble

    def cause() -> Marks:
        cause = np.full(num_rows + len(ranks), _DEPENDENCY, dtype=np.int8)
        cause[_rows_that_wait(collective)] = _GROUP
        cause[trace.once("barriers", barriers)] = _BARRIER
        cause[num_rows:] = _END
        return cause

    return Waits(
        rank_index=later(lambda: np.concatenate([ops.rank_index, np.arange(len(ranks))])),
        start_ps=later(start_ps),
        exposed_ps=later(exposed_ps),
        bubble_ps=later(bubble_ps),
        transfer=transfer,
        collective=collective,
        cause=later(cause),
        phase=phase,
        step=later(lambda: np.append(ops.step, np.full(len(ranks), trace.num_steps - 1))),
    )


def _found(trace: Trace) -> tuple[Ints, Ints, Marks]:
    transfer, collective = _last_arrivals(trace)
    return transfer, collective, later(lambda: trace.once("phases", _phases))


def _with_ends(known: Sequence[WaitsOfOps], num_ranks: int) -> tuple[Ints, Ints, Marks]:
    """Return these columns one after the other, and then what holds for ranks at their end: they wait for nothing."""
    transfer, collective, phase = zip(*known, strict=True)
    nothing, cooldown = np.broadcast_to(_NOT_WAITED_FOR, num_ranks), np.full(num_ranks, _COOLDOWN, dtype=np.int8)
    return joined([*transfer, nothing]), joined([*collective, nothing]), np.concatenate([*phase, cooldown])


def barriers(trace: Trace) -> Ints:
    """Return the rows of ops at which ranks met."""
    return np.flatnonzero(trace.ops.kind == Kind.BARRIER)


def _last_arrivals(trace: Trace) -> tuple[Ints, Ints]:
    """Return, for each wait, the transfer or the collective that was there last; -1: none."""
    transfers, collectives = trace.transfers, trace.collectives
    transfer = _last_of(trace, "needs", transfers.end_ps)
    collective = _last_of(trace, "awaits", collectives.end_ps)
    rows = _rows_that_wait(collective)
    both = rows[transfer.take(rows) >= 0]
    if len(both):
        is_earlier = transfers.end_ps[transfer[both]] < collectives.end_ps[collective[both]]
        transfer, collective = transfer.copy(), collective.copy()
        transfer[both[is_earlier]] = -1
        collective[both[~is_earlier]] = -1
    return transfer, collective


def _rows_that_wait(collective: Ints) -> Ints:
    """Return the waits that are for a collective; as a rule there are none at all."""
    if collective.strides == (0,):
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(collective >= 0)


def _queued_ps(trace: Trace, transfer: Ints, collective: Ints) -> Ints:
    """Return when that for which each wait was had been queued; where there is none, later than anything."""
    queued_ps = values_at(trace.transfers.queued_ps, transfer, _NEVER)
    rows = _rows_that_wait(collective)
    queued_ps[rows] = trace.collectives.queued_ps.take(collective.take(rows))
    return queued_ps


def values_at(column: Ints, rows: Ints, otherwise: int) -> Ints:
    """Return the values of a column at some rows, and another one where a row is -1.

    Examples
    --------
    >>> values_at(np.array([5, 7]), np.array([1, -1]), 0).tolist()
    [7, 0]
    """
    if not len(column):
        return np.full(len(rows), otherwise, dtype=np.int64)
    values = column.take(rows)  # of -1 the last, for now
    values[rows < 0] = otherwise
    return values


def _last_of(trace: Trace, column: str, end_ps: Ints) -> Ints:
    """Return, for each wait, which of the transfers or collectives that it is for ended last; -1 where it is for none.

    `column` of ops has what they wait for, and `end_ps` when those ended.
    """
    last = trace.once(f"first of {column}", lambda part: _first_of(*_waited_for(part, column), len(part.ranks)))
    several = trace.once(f"rows of several {column}", lambda part: _rows_of_several(*_waited_for(part, column)))
    if len(several):
        first, waited_for = _waited_for(trace, column)
        count = first[several + 1] - first[several]
        waiting = np.repeat(several, count)
        within = np.arange(len(waiting)) - np.repeat(np.cumsum(count) - count, count)
        needs = waited_for[first[waiting] + within]
        # Sorted by arrival within a row, so that the last of each row is the one written last.
        order = np.lexsort((end_ps[needs], waiting))
        is_last = np.append(waiting[order][1:] != waiting[order][:-1], True)
        last = last.copy()
        last[waiting[order][is_last]] = needs[order][is_last]
    return last


def _waited_for(trace: Trace, column: str) -> tuple[Ints, Ints]:
    ops = trace.ops
    return (ops.first_need, ops.needs) if column == "needs" else (ops.first_await, ops.awaits)


def _first_of(first: Ints, needs: Ints, num_more: int) -> Ints:
    """Return the first of ``needs[first[row]:first[row + 1]]`` for each row, and of `num_more`; -1: there is none."""
    num_waits = len(first) - 1 + num_more
    if not len(needs):
        return np.broadcast_to(_NOT_WAITED_FOR, num_waits)
    found = np.full(num_waits, _NOT_WAITED_FOR)
    rows = np.flatnonzero(first[1:] != first[:-1])
    found[rows] = needs if len(needs) == len(rows) else needs.take(first.take(rows))
    return found


def _rows_of_several(first: Ints, needs: Ints) -> Ints:
    return np.flatnonzero(first[1:] > first[:-1] + 1) if len(needs) else np.empty(0, dtype=np.int64)


def is_one_of(kind: Ints, kinds: frozenset[Kind]) -> NDArray[np.bool_]:
    """Return where `kind` is one of `kinds`."""
    is_meant = np.zeros(len(Kind), dtype=np.bool_)
    is_meant[list(kinds)] = True
    return np.take(is_meant, kind)


def _phases(trace: Trace) -> Marks:
    """Return the phase of each wait: warm-up before the first backward of a step, cool-down after its last forward.

    An exchange, a collective, a recomputation or a part of a backward belongs to the op that follows it.
    """
    ops, num_rows, num_groups = trace.ops, len(trace.ops), len(trace.ranks) * trace.num_steps
    group = ops.rank_index * trace.num_steps + ops.step if trace.num_steps > 1 else ops.rank_index
    first_backward = np.full(num_groups, num_rows, dtype=np.int64)
    last_forward = np.full(num_groups, -1, dtype=np.int64)
    # Of equal places the last one is written: from the last backward on, the first is left.
    backward, forward = _rows_of(ops.kind, BACKWARDS)[::-1], _rows_of(ops.kind, FORWARDS)
    first_backward[group[backward]], last_forward[group[forward]] = backward, forward
    belongs_to = _op_that_each_belongs_to(ops.kind, group)
    phase = np.full(num_rows + len(trace.ranks), _STEADY, dtype=np.int8)
    phase[np.flatnonzero(belongs_to > last_forward.take(group))] = _COOLDOWN
    phase[np.flatnonzero(belongs_to < first_backward.take(group))] = _WARMUP
    phase[num_rows:] = _COOLDOWN
    return phase


def _op_that_each_belongs_to(kind: Ints, group: Ints) -> Ints:
    """Return the row of the op that each row belongs to: itself, or the next of its group where it is no such op."""
    is_own = np.append(is_one_of(kind, _OWN), True)  # the row after the last is of no group
    own, belongs_to, others = np.flatnonzero(is_own), np.arange(len(kind)), np.flatnonzero(~is_own)
    following = own.take(others - np.arange(len(others)))  # so many of `own` come before
    belongs = np.flatnonzero((following < len(kind)) & (group.take(following, mode="clip") == group.take(others)))
    belongs_to[others.take(belongs)] = following.take(belongs)
    return belongs_to


def _rows_of(kind: Ints, kinds: frozenset[Kind]) -> Ints:
    return np.flatnonzero(is_one_of(kind, kinds))
