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
    transfers: list[int]  # that each op waited for; -1: it began when the one before it on its rank ended
    next_op: int


def stretch_from(row: int, trace: Trace, waits: Waits, index: TraceIndex) -> Stretch:
    """Return the ops from `row` back that each began at once: when the one before ended, or its message came.

    Such a message went over one FIFO link at most, and left when its producer ended.
    """
    ops, transfers, is_simple = trace.ops, trace.transfers, index.is_simple
    start, end, before, kind = ops.start_ps.item, ops.end_ps.item, waits.start_ps.item, ops.kind.item
    last_arrival, arrived, route = waits.transfer.item, transfers.end_ps.item, transfers.route.item
    queued, sent, producer = transfers.queued_ps.item, transfers.start_ps.item, transfers.producer.item
    passed, came = list[int](), list[int]()
    while kind(row) != Kind.BARRIER:
        begun_ps, message = start(row), -1
        if begun_ps == before(row):
            following = row - 1
            if not begun_ps:
                break
        else:
            message = last_arrival(row)
            if message < 0 or arrived(message) != begun_ps or not is_simple(route(message)):
                break
            following, left_ps = producer(message), sent(message)
            if queued(message) != left_ps or end(following) != left_ps or kind(following) == Kind.EXCHANGE:
                break
        passed.append(row)
        came.append(message)
        row = following
    return Stretch(passed, came, row)


def segments_of(stretch: Stretch, trace: Trace, index: TraceIndex) -> Ints:
    """Return the segments of a stretch, a row each, the last first: columns are those of :class:`Segment`.

    Before an op stands what its message took: the latency of the link, its bytes, and what the link takes beside them.
    """
    ops, transfers = trace.ops, trace.transfers
    passed, came = np.array(stretch.ops, dtype=np.int64), np.array(stretch.transfers, dtype=np.int64)
    rows = np.full((len(passed), 4, len(Segment._fields)), -1, dtype=np.int64)
    rows[:, :, :2] = 0
    rows[:, 0, 0], rows[:, 0, 1] = ops.start_ps[passed], ops.end_ps[passed]
    rows[:, 0, 2], rows[:, 0, 3], rows[:, 0, 4] = Cause.COMPUTE, ops.rank_index[passed], passed
    at = np.flatnonzero(came >= 0)
    sent = came[at]
    link = index.first_links(transfers.route[sent])
    start_ps = transfers.start_ps[sent]
    until_ps = start_ps + transfers.first_hold_ps[sent]
    bytes_from_ps = np.minimum(until_ps, start_ps + np.append(trace.links.overhead_ps, 0)[link])
    times = (until_ps, transfers.end_ps[sent]), (bytes_from_ps, until_ps), (start_ps, bytes_from_ps)
    for place, (from_ps, to_ps) in enumerate(times, 1):
        rows[at, place, 0], rows[at, place, 1] = from_ps, to_ps
        rows[at, place, 2], rows[at, place, 3], rows[at, place, 5] = Cause.LATENCY, transfers.source[sent], sent
    rows[at, 2, 2], rows[at, 2, 7] = Cause.MESSAGE, link
    flat = rows.reshape(-1, rows.shape[2])
    return flat[flat[:, 1] > flat[:, 0]]
