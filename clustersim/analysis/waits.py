"""Waits: every moment in which a GPU computes nothing, with the reason, so that nothing is left over.

A GPU's time is compute, exposed communication and bubble, and the three add up to the makespan exactly. *Exposed
communication* is the part of a wait in which the transfer that ends it was queued or under way; *bubble* is the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustersim.ops import BACKWARDS, COMPUTE, FORWARDS, Kind
from clustersim.trace import Ints, Trace

PHASES = ("warmup", "steady", "cooldown")
CAUSES = ("dependency", "group", "barrier", "end_of_run")
_DEPENDENCY, _BARRIER, _END = (CAUSES.index(cause) for cause in ("dependency", "barrier", "end_of_run"))
_WARMUP, _STEADY, _COOLDOWN = range(3)


@dataclass(frozen=True, slots=True)
class Waits:
    """The wait before each row of the trace's ops, then one for each rank: from its last row to the end of the run.

    ``start_ps + exposed_ps + bubble_ps`` is the wait's end. ``cause`` says why the bubble part is there: an upstream op
    (or the other side of a rendezvous) was not ready, the optimizer barrier, or the rank had nothing more to do.
    """

    rank_index: Ints
    start_ps: Ints
    exposed_ps: Ints
    bubble_ps: Ints
    transfer: Ints  # the last-arriving transfer that the wait was for, or -1
    cause: Ints  # index into CAUSES
    phase: Ints  # index into PHASES
    step: Ints

    def bubble_by(self, column: Ints, num_values: int) -> list[int]:
        """Return the bubble summed by the values of a column. [ps]"""
        return [int(self.bubble_ps[column == value].sum()) for value in range(num_values)]


def find_waits(trace: Trace) -> Waits:
    """Return every wait of a run."""
    ops, ranks = trace.ops, trace.ranks
    first, last = ranks.first_op[:-1], ranks.first_op[1:] - 1
    before_ps = np.empty(len(ops), dtype=np.int64)
    before_ps[1:] = ops.end_ps[:-1]
    before_ps[first] = 0
    transfer, queued_ps = _last_arrivals(trace)
    wait_ps = ops.start_ps - before_ps
    exposed_ps = np.where(transfer >= 0, np.clip(ops.start_ps - np.maximum(before_ps, queued_ps), 0, wait_ps), 0)
    cause = np.where(ops.kind == Kind.BARRIER, _BARRIER, _DEPENDENCY)
    tail_ps = trace.makespan_ps - ops.end_ps[last]
    no_tail = np.zeros(len(ranks), dtype=np.int64)
    return Waits(
        rank_index=np.concatenate([ops.rank_index, np.arange(len(ranks))]),
        start_ps=np.concatenate([before_ps, ops.end_ps[last]]),
        exposed_ps=np.concatenate([exposed_ps, no_tail]),
        bubble_ps=np.concatenate([wait_ps - exposed_ps, tail_ps]),
        transfer=np.concatenate([transfer, no_tail - 1]),
        cause=np.concatenate([cause, no_tail + _END]),
        phase=np.concatenate([_phases(trace), no_tail + _COOLDOWN]),
        step=np.concatenate([ops.step, no_tail + trace.num_steps - 1]),
    )


def _last_arrivals(trace: Trace) -> tuple[Ints, Ints]:
    """Return, for each op, the last-arriving transfer that it waited for (-1: none), and when that was queued."""
    ops, transfers = trace.ops, trace.transfers
    transfer = np.full(len(ops), -1, dtype=np.int64)
    queued_ps = np.zeros(len(ops), dtype=np.int64)
    if len(ops.needs):
        waiting = np.repeat(np.arange(len(ops)), np.diff(ops.first_need))
        # Sorted by arrival within an op, so that the last of each op is the one written last.
        order = np.lexsort((transfers.end_ps[ops.needs], waiting))
        is_last = np.append(waiting[order][1:] != waiting[order][:-1], True)
        transfer[waiting[order][is_last]] = ops.needs[order][is_last]
        queued_ps = np.where(transfer >= 0, transfers.queued_ps[transfer], 0)
    return transfer, queued_ps


def is_one_of(kind: Ints, kinds: frozenset[Kind]) -> NDArray[np.bool_]:
    """Return where `kind` is one of `kinds`."""
    return np.isin(kind, [int(value) for value in sorted(kinds)])


def _phases(trace: Trace) -> Ints:
    """Return the phase of each op: warm-up before the first backward of a step, cool-down after its last forward.

    An exchange or a recomputation belongs to the op that follows it.
    """
    ops = trace.ops
    group = ops.rank_index * trace.num_steps + ops.step
    num_groups, rows = len(trace.ranks) * trace.num_steps, np.arange(len(ops))
    op_after = _next_own_op(trace, group)
    kind = ops.kind[op_after]
    first_backward = np.full(num_groups, len(ops), dtype=np.int64)
    last_forward = np.full(num_groups, -1, dtype=np.int64)
    backward, forward = is_one_of(kind, BACKWARDS), is_one_of(kind, FORWARDS)
    np.minimum.at(first_backward, group[backward], op_after[backward])
    np.maximum.at(last_forward, group[forward], rows[forward])
    phase = np.full(len(ops), _STEADY, dtype=np.int64)
    phase[op_after > last_forward[group]] = _COOLDOWN
    phase[op_after < first_backward[group]] = _WARMUP
    return phase


def _next_own_op(trace: Trace, group: Ints) -> Ints:
    """Return for each row the next forward, backward or weight gradient of its rank and step, itself included."""
    ops = trace.ops
    own = is_one_of(ops.kind, COMPUTE - {Kind.RECOMPUTE, Kind.OPTIMIZER})
    candidates = np.where(own, np.arange(len(ops)), len(ops))
    following = np.minimum.accumulate(candidates[::-1])[::-1]
    rows = np.arange(len(ops))
    found = np.minimum(following, len(ops) - 1)
    return np.where((following < len(ops)) & (group[found] == group), found, rows)
