"""The Gantt of the ranks: which kind of time fills each column of a chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustersim.analysis.waits import Waits
from clustersim.ops import Kind
from clustersim.trace import Ints, Trace

COMMUNICATION = "~"
WAITING = "."
LETTERS: dict[Kind, str] = {
    Kind.F: "F",
    Kind.B: "B",
    Kind.I: "I",
    Kind.W: "W",
    Kind.FB: "X",
    Kind.RECOMPUTE: "R",
    Kind.OPTIMIZER: "O",
}
MEANINGS: dict[str, str] = {
    "F": "forward",
    "B": "backward",
    "I": "input gradient",
    "W": "weight gradient",
    "X": "overlapped forward and backward",
    "R": "recomputation",
    "O": "optimizer step",
    COMMUNICATION: "exposed communication",
    WAITING: "bubble",
}

_LABELLED_FROM = 3  # columns of a typical op from which its micro-batch is written into it


@dataclass(frozen=True, slots=True)
class GanttRow:
    """One rank: what each column shows, and of which kind it is (a letter of `MEANINGS`)."""

    pp_rank: int
    cells: str
    kinds: str


def gantt_rows(trace: Trace, waits: Waits, rank_indices: Sequence[int], num_columns: int, fill: str) -> list[GanttRow]:
    """Return a row for each of the ranks, `num_columns` wide.

    A column shows the kind that fills most of it; where ops are narrower than columns, kinds take turns by their share.
    Where ops are several columns wide, each begins with its letter and the number of its micro-batch, and goes on with
    `fill`.
    """
    edges = _edges(trace.makespan_ps, num_columns)
    typical = _typical_columns(trace, num_columns)
    labelled = typical >= _LABELLED_FROM
    rows = []
    for index in rank_indices:
        kinds = _kinds(trace, waits, index, edges, by_share=typical < 1)
        cells = _labelled(trace, index, edges, kinds, fill) if labelled else kinds
        rows.append(GanttRow(int(trace.ranks.pp_rank[index]), cells, kinds))
    return rows


def _edges(makespan_ps: int, num_columns: int) -> Ints:
    # Python's integers: the product may be beyond an int64
    return np.array([makespan_ps * column // num_columns for column in range(num_columns + 1)], dtype=np.int64)


def _typical_columns(trace: Trace, num_columns: int) -> float:
    duration_ps = trace.ops.end_ps - trace.ops.start_ps
    computing = duration_ps[duration_ps > 0]
    return float(np.median(computing)) / trace.makespan_ps * num_columns if len(computing) else 0.0


def _kinds(trace: Trace, waits: Waits, rank_index: int, edges: Ints, by_share: bool) -> str:
    first, last = trace.ranks.first_op[rank_index : rank_index + 2]
    ops = trace.ops
    start_ps, end_ps = ops.start_ps[first:last], ops.end_ps[first:last]
    kind = ops.kind[whole_op(trace)][first:last]
    covered = {
        letter: _covered(start_ps[kind == value], end_ps[kind == value], edges) for value, letter in LETTERS.items()
    }
    exposed_ps = waits.exposed_ps[first:last]
    covered[COMMUNICATION] = _covered(start_ps - exposed_ps, start_ps, edges)
    width_ps = np.diff(edges)
    covered[WAITING] = width_ps - np.sum(list(covered.values()), axis=0)
    letters, filled = list(covered), np.array(list(covered.values()), dtype=np.float64)
    if by_share:
        return _by_share(letters, filled)
    return "".join(letters[most] for most in np.argmax(filled, axis=0))


def whole_op(trace: Trace) -> Ints:
    """Return for each row the one that it is shown as: for a part of a backward the backward, for others itself."""
    rows = np.arange(len(trace.ops))
    whole = np.where(trace.ops.kind == Kind.PART, len(rows), rows)
    return np.minimum.accumulate(whole[::-1])[::-1]


def _by_share(letters: Sequence[str], covered: NDArray[np.float64]) -> str:
    """Return a letter for each column so that, over neighbouring columns, each kind is shown in its share of the time.

    A column shows the kind with the most time in it and in what columns before it left unshown; a kind that is not in a
    column is never shown there. So a steady state of narrow ops does not look as if only the longest were done.
    """
    unshown = np.zeros(len(letters))
    shown = []
    for column in covered.T:
        unshown = np.where(column > 0, unshown + column, 0)
        most = int(np.argmax(unshown))
        unshown[most] -= column.sum()
        shown.append(letters[most])
    return "".join(shown)


def _covered(start_ps: Ints, end_ps: Ints, edges: Ints) -> Ints:
    """Return how much of each column lies in the intervals, which follow one another. [ps]"""
    if not len(start_ps):
        return np.zeros(len(edges) - 1, dtype=np.int64)
    before_ps = np.concatenate([[0], np.cumsum(end_ps - start_ps)])
    started = np.searchsorted(start_ps, edges, side="right")
    beyond_ps = np.where(started > 0, np.maximum(end_ps[started - 1] - edges, 0), 0)
    return np.diff(before_ps[started] - beyond_ps)


def _labelled(trace: Trace, rank_index: int, edges: Ints, kinds: str, fill: str) -> str:
    first, last = trace.ranks.first_op[rank_index : rank_index + 2]
    middle = (edges[:-1] + edges[1:]) // 2
    at_middle = whole_op(trace)[first + np.searchsorted(trace.ops.start_ps[first:last], middle, side="right") - 1]
    cells = list(kinds)
    column = 0
    while column < len(cells):
        op, kind, begin = at_middle[column], kinds[column], column
        while column < len(cells) and at_middle[column] == op and kinds[column] == kind:
            column += 1
        if kind not in (COMMUNICATION, WAITING):
            is_its_op = LETTERS.get(Kind(trace.ops.kind[op])) == kind  # not so where two short ops share the column
            microbatch = int(trace.ops.microbatch[op]) if is_its_op else -1
            cells[begin:column] = _label(kind, microbatch, column - begin, fill)
    return "".join(cells)


def _label(letter: str, microbatch: int, width: int, fill: str) -> str:
    label = f"{letter}{microbatch}" if microbatch >= 0 else letter
    # a number that is cut off would be another number
    return (label if len(label) <= width else letter).ljust(width, fill)
