"""What the Gantt of a page is drawn from: every rank's time as slices, without a gap from the start to the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.analysis.communication import axis_of_wait
from clustersim.analysis.waits import Waits
from clustersim.ops import Kind
from clustersim.report.gantt import whole_op
from clustersim.trace import Ints, Trace

CATEGORIES = ("F", "B", "I", "W", "FB", "RECOMPUTE", "OPTIMIZER", "exposed", "bubble")
"""What a slice is: an op's kind, or one of the two parts of a wait."""
_EXPOSED, _BUBBLE = CATEGORIES.index("exposed"), CATEGORIES.index("bubble")
_CATEGORY_BY_KIND = {Kind[name]: index for index, name in enumerate(CATEGORIES) if name in Kind.__members__}

MAX_SLICES = 600_000
"""Most slices on a page, so that it stays within 5 MB and opens within 3 s."""


@dataclass(frozen=True, slots=True)
class Slices:
    """Parts of time, by row of the Gantt, then by time: a row's first begins at 0, its last ends with the run.

    What a wait is for stands in the columns of the op that it holds up: its stage, its micro-batch. Ops without length
    are left out, but for those that change the memory.
    """

    first: Ints  # index of the first slice of each row; one more entry than rows
    duration_ps: Ints
    category: Ints  # index into CATEGORIES
    stage: Ints  # -1: of no stage
    microbatch: Ints
    backward_stage: Ints  # of an overlapped slot, else -1
    backward_microbatch: Ints
    step: Ints
    phase: Ints  # index into PHASES
    cause: Ints  # of a bubble: index into CAUSES
    axis: Ints  # of what a wait was for: index into AXES, -1 for nothing that was sent
    peer: Ints  # pp_rank of the GPU whose message a wait was for, -1 where it was for none
    start_bytes: Ints
    end_bytes: Ints

    def __len__(self) -> int:
        return len(self.duration_ps)


def shown_ranks(trace: Trace, waits: Waits, replica: int) -> list[int]:
    """Return the rows of Ranks that a page shows: all, or, of a very long run, as many replicas as there is room for.

    `replica` is always among them.
    """
    counts = np.bincount(waits.rank_index, (waits.exposed_ps > 0).astype(np.int64) + (waits.bubble_ps > 0))
    counts += np.bincount(trace.ops.rank_index, trace.ops.end_ps > trace.ops.start_ps)
    by_replica = np.bincount(trace.ranks.replica, counts)
    others = [number for number in range(len(by_replica)) if number != replica]
    total = np.cumsum(by_replica[[replica, *others]])
    shown = [replica, *others][: max(1, int(np.searchsorted(total, MAX_SLICES, side="right")))]
    return [int(row) for row in np.flatnonzero(np.isin(trace.ranks.replica, shown))]


def slices_of(trace: Trace, waits: Waits, rank_rows: Sequence[int]) -> Slices:
    """Return the slices of some ranks, a row of the Gantt each."""
    op, part = _parts(trace, waits)
    columns = _Parts(trace, waits, op, part)
    is_shown = np.isin(columns.rank_index, rank_rows)
    is_kept = is_shown & ((columns.duration_ps > 0) | (columns.start_bytes != 0) | (columns.end_bytes != 0))
    return columns.slices(np.flatnonzero(is_kept), rank_rows)


def _parts(trace: Trace, waits: Waits) -> tuple[Ints, Ints]:
    """Return (row of waits, part) in order of time: of each op its bubble, what is exposed, itself; at last the tail.

    Parts are numbered 0 to 2. The rows of waits are those of ops, then one a rank, whose bubble is the tail.
    """
    num_ops, num_ranks = len(trace.ops), len(trace.ranks)
    op = np.concatenate([np.repeat(np.arange(num_ops), 3), num_ops + np.arange(num_ranks)])
    part = np.concatenate([np.tile([0, 1, 2], num_ops), np.zeros(num_ranks, dtype=np.int64)])
    order = np.argsort(waits.rank_index[op], kind="stable")
    return op[order], part[order]


class _Parts:
    """Columns of all parts; parts without length included."""

    def __init__(self, trace: Trace, waits: Waits, row: Ints, part: Ints) -> None:
        ops, num_ops = trace.ops, len(trace.ops)
        is_op = part == 2
        # A tail is described by the last op of its rank, which it follows.
        last = trace.ranks.first_op[1:] - 1
        op = np.concatenate([np.arange(num_ops), last])[row]
        whole = np.where(is_op, whole_op(trace)[op], op)
        self.trace, self.waits, self.row, self.is_op, self.whole = trace, waits, row, is_op, whole
        self.rank_index = waits.rank_index[row]
        lasted_ps = (ops.end_ps - ops.start_ps)[op]
        self.duration_ps = np.where(is_op, lasted_ps, np.where(part == 1, waits.exposed_ps[row], waits.bubble_ps[row]))
        self.start_bytes = np.where(is_op, ops.start_bytes[op], 0)
        self.end_bytes = np.where(is_op, ops.end_bytes[op], 0)
        by_kind = np.array([_CATEGORY_BY_KIND.get(kind, _BUBBLE) for kind in Kind], dtype=np.int64)
        self.category = np.where(is_op, by_kind[ops.kind[whole]], np.where(part == 1, _EXPOSED, _BUBBLE))

    def slices(self, kept: Ints, rank_rows: Sequence[int]) -> Slices:
        """Return the slices made of the kept parts; the parts of one backward that nothing parts are one slice."""
        begins = self._begins(kept)
        head, tail = kept[begins], kept[np.append(begins[1:], len(kept))[: len(begins)] - 1]
        ops, waits, row, whole = self.trace.ops, self.waits, self.row[head], self.whole[head]
        is_wait = ~self.is_op[head]
        sent = np.where(is_wait, waits.transfer[row], -1)
        # One more source at the end, so that -1 finds something.
        pp_rank_of_source = np.append(self.trace.ranks.pp_rank[self.trace.transfers.source], -1)
        return Slices(
            first=np.searchsorted(self.rank_index[head], [*rank_rows, len(self.trace.ranks)]),
            duration_ps=np.add.reduceat(self.duration_ps[kept], begins),
            category=self.category[head],
            stage=ops.stage[whole],
            microbatch=ops.microbatch[whole],
            backward_stage=ops.backward_stage[whole],
            backward_microbatch=ops.backward_microbatch[whole],
            step=ops.step[whole],
            phase=waits.phase[row].astype(np.int64),
            cause=np.where(is_wait, waits.cause[row], 0).astype(np.int64),
            axis=np.where(is_wait, axis_of_wait(self.trace, waits)[row], -1),
            peer=pp_rank_of_source[sent],
            start_bytes=self.start_bytes[head],
            end_bytes=self.end_bytes[tail],
        )

    def _begins(self, kept: Ints) -> Ints:
        """Return where slices begin among the kept parts."""
        before, after = kept[:-1], kept[1:]
        goes_on = self.is_op[before] & self.is_op[after] & (self.whole[before] == self.whole[after])
        goes_on &= (self.end_bytes[before] == 0) & (self.start_bytes[after] == 0)
        return np.flatnonzero(np.append(True, ~goes_on)[: len(kept)])


def gantt_columns(slices: Slices) -> dict[str, Ints]:
    """Return slices as columns that deflate well: counters as steps since the last slice of the same category."""
    row = np.repeat(np.arange(len(slices.first) - 1), np.diff(slices.first))
    key = row * len(CATEGORIES) + slices.category
    pairs = np.stack([slices.start_bytes, slices.end_bytes], axis=1)
    changes, change = np.unique(pairs, axis=0, return_inverse=True)
    return {
        "first": slices.first,
        "duration": slices.duration_ps,
        "category": slices.category,
        "stage": slices.stage + 1,
        "microbatch": _steps(slices.microbatch + 1, key),
        "backward_stage": slices.backward_stage + 1,
        "backward_microbatch": _steps(slices.backward_microbatch + 1, key),
        "step": slices.step,
        "phase": slices.phase,
        "cause": slices.cause,
        "axis": slices.axis + 1,
        "peer": slices.peer + 1,
        "change": change.reshape(-1),
        "start_bytes": changes[:, 0],
        "end_bytes": changes[:, 1],
    }


def _steps(values: Ints, key: Ints) -> Ints:
    """Return each value less the one before it of the same key, the first of each as it is."""
    order = np.argsort(key, kind="stable")
    ordered, keys = values[order], key[order]
    steps = np.diff(ordered, prepend=0)
    is_first = np.append(True, keys[1:] != keys[:-1])[: len(keys)]
    steps[is_first] = ordered[is_first]
    result = np.empty_like(values)
    result[order] = steps
    return result
