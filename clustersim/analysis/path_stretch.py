"""The stretches of a critical path that need no second look: ops, and messages that nothing held up.

Most of a path is made of these. To follow them takes a few look-ups each, and their segments are made all at once.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from clustersim.analysis.trace_index import TraceIndex
from clustersim.analysis.waits import Waits
from clustersim.ops import Kind
from clustersim.trace import Ints, Trace

_OPS_AT_ONCE = 2**13  # whose steps are found together
_MOST_OPS_OF_A_STRETCH = 2**13  # whose segments are made together
_NOT_YET_KNOWN, _NONE = -2, -1


class Cause(IntEnum):
    """What a moment of the critical path is spent on."""

    COMPUTE = 0
    MESSAGE = 1  # its bytes go over a link
    COLLECTIVE = 2  # its streams drain
    LATENCY = 3  # of a message or a collective
    CONTENTION = 4  # behind another message on a FIFO link, or slowed by others on a fair one
    SCHEDULER = 5  # all inputs were there, and the rank did nothing: its policy or its host let it wait


class Segment(NamedTuple):
    """A part of the path, as a row of its columns."""

    start_ps: int
    end_ps: int
    cause: Cause
    rank_index: int
    op: int = -1
    transfer: int = -1
    collective: int = -1
    link: int = -1


class Stretch(NamedTuple):
    """Ops that the path passed one after the other, the last first, and where it goes on."""

    ops: list[int]
    next_op: int


class Steps:
    """From each op that began at once to the one that it waited for: the one before, or that which sent its message.

    Such a message went over one FIFO link at most, and left when its producer ended. Steps are found for some thousand
    ops at a time, and only where a path comes by.
    """

    def __init__(self, trace: Trace, waits: Waits, index: TraceIndex) -> None:
        self._trace, self._waits, self._index = trace, waits, index
        self._before = np.full(len(trace.ops), _NOT_YET_KNOWN, dtype=np.int64)

    def from_op(self, row: int) -> Stretch:
        """Return the ops from `row` back that each began at once, but no more of them than one looks at together."""
        before, passed = self._before.item, list[int]()
        for _ in range(_MOST_OPS_OF_A_STRETCH):
            following = before(row)
            if following < 0:
                if following == _NOT_YET_KNOWN:
                    self._find(row)
                    following = before(row)
                if following == _NONE:
                    break
            passed.append(row)
            row = following
        return Stretch(passed, row)

    def _find(self, row: int) -> None:
        """Find the steps from the ops around a row."""
        trace, waits = self._trace, self._waits
        ops, transfers = trace.ops, trace.transfers
        first = row - row % _OPS_AT_ONCE
        found = self._before[first : first + _OPS_AT_ONCE]
        rows = slice(first, first + len(found))
        start_ps, kind = ops.start_ps[rows], ops.kind[rows]
        found[:] = np.arange(first - 1, first - 1 + len(found))  # the row before, if it ended just then
        is_late = start_ps != waits.start_ps[rows]
        found[is_late | (start_ps == 0) | (kind == Kind.BARRIER)] = _NONE
        late = np.flatnonzero(is_late & (waits.transfer[rows] >= 0) & (kind != Kind.BARRIER))
        message = waits.transfer[rows].take(late)
        producer, left_ps = transfers.producer.take(message), transfers.start_ps.take(message)
        is_at_once = transfers.end_ps.take(message) == start_ps.take(late)
        is_at_once &= transfers.queued_ps.take(message) == left_ps
        is_at_once &= ops.end_ps.take(producer) == left_ps
        is_at_once &= ops.kind.take(producer) != Kind.EXCHANGE
        if not self._index.all_are_simple:
            is_at_once &= self._index.are_simple(transfers.route.take(message))
        found[late[is_at_once]] = producer[is_at_once]


def segments_of(stretch: Stretch, trace: Trace, waits: Waits, index: TraceIndex) -> Ints:
    """Return the segments of a stretch, a row each, the last first: columns are those of :class:`Segment`.

    Before an op stands what its message took: the latency of the link, its bytes, and what the link takes beside them.
    """
    ops, transfers = trace.ops, trace.transfers
    passed = np.array(stretch.ops, dtype=np.int64)
    start_ps, end_ps = ops.start_ps.take(passed), ops.end_ps.take(passed)
    rows = np.full((len(passed), 4, len(Segment._fields)), -1, dtype=np.int64)
    rows[:, :, :2] = 0
    rows[:, 0, 0], rows[:, 0, 1] = start_ps, end_ps
    rows[:, 0, 2], rows[:, 0, 3], rows[:, 0, 4] = Cause.COMPUTE, ops.rank_index[passed], passed
    at = np.flatnonzero(start_ps != waits.start_ps.take(passed))
    sent = waits.transfer.take(passed.take(at))
    link = index.first_links(transfers.route[sent])
    left_ps = transfers.start_ps[sent]
    until_ps = left_ps + transfers.first_hold_ps[sent]
    bytes_from_ps = np.minimum(until_ps, left_ps + np.append(trace.links.overhead_ps, 0)[link])
    times = (until_ps, transfers.end_ps[sent]), (bytes_from_ps, until_ps), (left_ps, bytes_from_ps)
    for place, (from_ps, to_ps) in enumerate(times, 1):
        rows[at, place, 0], rows[at, place, 1] = from_ps, to_ps
        rows[at, place, 2], rows[at, place, 3], rows[at, place, 5] = Cause.LATENCY, transfers.source[sent], sent
    rows[at, 2, 2], rows[at, 2, 7] = Cause.MESSAGE, link
    flat = rows.reshape(-1, rows.shape[2])
    return flat[flat[:, 1] > flat[:, 0]]
