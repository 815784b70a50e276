"""The critical path: what the run waited for, moment by moment, from its end back to its start.

An op waited for the op before it on its rank, or for what arrived last: a message, a collective, the last rank at a
barrier. A message waited for its producer, or for the message that held its link; a collective for the member that
called last, or for what its group did before. Following that backwards gives every moment of the makespan exactly one
cause. Of several that were there at one time the path takes the rank's own op first, then a message, then a collective,
and of equal ones the lowest rank: the same run has the same path.

Notes
-----
Where links are shared fairly a flow waits for no other one, but all slow one another down. Each stretch at one rate is
then told as the time that the flow would take alone, and the rest of it as contention. A message over several FIFO
links tells what it waited for at those after the first as one stretch, just before the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clustersim.analysis.path_stretch import Cause, Segment, Steps, segments_of
from clustersim.analysis.trace_index import TraceIndex
from clustersim.analysis.waits import Waits, find_waits
from clustersim.ops import Kind
from clustersim.trace import PS_PER_S, Ints, Trace

__all__ = ["Cause", "CriticalPath", "critical_path"]

_WORTH_ARRAYS = 10  # ops of a stretch, from which on a few array operations cost less


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """The segments of the path in order of time: each begins where the one before it ends.

    The first begins at 0, the last ends at the makespan. Where a column does not apply it has -1.
    """

    start_ps: Ints
    end_ps: Ints
    cause: Ints  # of Cause
    rank_index: Ints  # row of Ranks: whose op, who sends, or which member waited for the collective
    op: Ints  # row of Ops
    transfer: Ints  # row of Transfers
    collective: Ints  # row of Collectives
    link: Ints  # row of Links that the bytes went over, or that set their rate

    def __len__(self) -> int:
        return len(self.start_ps)

    @property
    def duration_ps(self) -> Ints:
        """How long each segment lasts; together they are the makespan. [ps]"""
        return self.end_ps - self.start_ps


class _Node(NamedTuple):
    """Where the walk stands: at the end of an op, a transfer or a collective, on behalf of a rank."""

    table: str
    row: int
    rank_index: int


def critical_path(trace: Trace, waits: Waits | None = None) -> CriticalPath:
    """Return the critical path of a run; `waits` are those of the trace, if they are known already.

    Examples
    --------
    Two ranks, one micro-batch, F = I = W = 1: the path goes down and up again, always computing.

    >>> import clustersim as cs
    >>> path = critical_path(cs.simulate("gpipe-4x16").trace)
    >>> set(path.cause.tolist()), int(path.duration_ps.sum()) == int(path.end_ps[-1])
    ({0}, True)
    """
    walk = _Walk(trace, find_waits(trace) if waits is None else waits)
    node = walk.last_op()
    for _ in range(len(trace.ops) + len(trace.transfers) + len(trace.collectives)):  # it passes nothing twice
        if node is None:
            break
        node = walk.before(node)
    return walk.path()


class _Walk:
    """The walk backwards through a trace, and the segments that it has passed so far, the last first."""

    def __init__(self, trace: Trace, waits: Waits) -> None:
        self.trace, self.waits, self.index = trace, waits, TraceIndex(trace)
        self.steps = Steps(trace, waits, self.index)
        self.segments: list[Segment] = []  # since the last of `passed`
        self.passed: list[Ints] = []  # a row for each segment
        self.num_ops_to_look_at = 0  # of a stretch that is too short for arrays

    def path(self) -> CriticalPath:
        """Return all that was passed so far."""
        self._keep_segments()
        columns = np.empty((len(Segment._fields), sum(map(len, self.passed))), dtype=np.int64)
        np.concatenate([rows.T[:, ::-1] for rows in reversed(self.passed)], axis=1, out=columns)
        return CriticalPath(*columns)

    def _keep_segments(self) -> None:
        self.passed.append(np.array(self.segments, dtype=np.int64).reshape(-1, len(Segment._fields)))
        self.segments = []

    def last_op(self) -> _Node | None:
        """Return the last op to end; of several that of the lowest rank, and on it the last."""
        ops = self.trace.ops
        end_ps = int(ops.end_ps.max(initial=0))
        if not end_ps:
            return None
        rows = np.flatnonzero(ops.end_ps == end_ps)
        rank_index = int(ops.rank_index[rows[0]])
        return _Node("ops", int(rows[ops.rank_index[rows] == rank_index][-1]), rank_index)

    def before(self, node: _Node) -> _Node | None:
        """Pass a node, and return what it waited for; None at the start of the run."""
        if node.table == "ops":
            return self._before_op(self._pass_stretch(node.row))
        if node.table == "transfers":
            return self._before_transfer(node.row)
        return self._before_collective(node)

    def _pass(self, segment: Segment) -> None:
        if segment.end_ps > segment.start_ps:
            self.segments.append(segment)

    def _pass_stretch(self, row: int) -> int:
        """Pass ops and messages from `row` back that need no second look; return the first op that does."""
        if self.num_ops_to_look_at:
            self.num_ops_to_look_at -= 1
            return row
        stretch = self.steps.from_op(row)
        if len(stretch.ops) < _WORTH_ARRAYS:
            self.num_ops_to_look_at = len(stretch.ops)
            return row
        self._keep_segments()
        self.passed.append(segments_of(stretch, self.trace, self.waits, self.index))
        return stretch.next_op

    def _before_op(self, row: int) -> _Node | None:
        ops = self.trace.ops
        start_ps, end_ps = ops.start_ps.item(row), ops.end_ps.item(row)
        if end_ps > start_ps:
            self.segments.append(Segment(start_ps, end_ps, Cause.COMPUTE, ops.rank_index.item(row), row))
        if ops.kind.item(row) == Kind.BARRIER:
            row = self._last_at_barrier(row)
        return self._latest(start_ps, ops.rank_index.item(row), self._inputs(row))

    def _inputs(self, row: int) -> list[tuple[int, _Node]]:
        """Return what an op waits for, with the time at which that was there, in the order of preference."""
        trace, rank_index = self.trace, self.trace.ops.rank_index.item(row)
        inputs = self._end_of_row_before(row)
        if (transfer := self.waits.transfer.item(row)) >= 0:
            inputs.append((trace.transfers.end_ps.item(transfer), _Node("transfers", transfer, rank_index)))
        if (collective := self.waits.collective.item(row)) >= 0:
            inputs.append((trace.collectives.end_ps.item(collective), _Node("collectives", collective, rank_index)))
        return inputs

    def _end_of_row_before(self, row: int) -> list[tuple[int, _Node]]:
        """Return the op before a row on its rank with its end, or nothing for the first."""
        rank_index = self.trace.ops.rank_index.item(row)
        if row == self.trace.ranks.first_op.item(rank_index):
            return []
        return [(self.trace.ops.end_ps.item(row - 1), _Node("ops", row - 1, rank_index))]

    def _latest(self, time_ps: int, rank_index: int, inputs: list[tuple[int, _Node]]) -> _Node | None:
        """Return which of `inputs` was there last, the first of equal ones; from then to `time_ps` the rank idled."""
        latest_ps, node = 0, None
        for ready_ps, candidate in inputs:
            if ready_ps > latest_ps:
                latest_ps, node = ready_ps, candidate
        if time_ps > latest_ps:
            self.segments.append(Segment(latest_ps, time_ps, Cause.SCHEDULER, rank_index))
        return node

    def _last_at_barrier(self, row: int) -> int:
        """Return the row with which the last rank came to the barrier of `row`, the lowest of several."""
        ops = self.trace.ops
        rows = self.index.barriers[int(ops.step[row])]
        arrived_ps = [max((time_ps for time_ps, _ in self._inputs(other)), default=0) for other in rows.tolist()]
        return int(rows[int(np.argmax(arrived_ps))])

    def _before_transfer(self, row: int) -> _Node | None:
        transfers = self.trace.transfers
        source, start_ps = transfers.source.item(row), transfers.start_ps.item(row)
        if self.index.drains(transfers.route.item(row)):
            queued_ps = transfers.queued_ps.item(row)
            whole = Segment(start_ps, int(transfers.end_ps[row]), Cause.MESSAGE, source, transfer=row)
            self._pass_draining(whole, flow=row)
            self._pass(whole._replace(start_ps=queued_ps, end_ps=start_ps, cause=Cause.LATENCY))
            return self._sender(row)
        self._pass_later_hops(row)
        cause, holder = Cause.MESSAGE, row
        while True:
            self._pass_first_hop(holder, cause, source)
            # Who was ahead is looked up only where a message waited: most runs have none that did.
            has_waited = transfers.start_ps.item(holder) > transfers.queued_ps.item(holder)
            ahead = self.index.ahead_on_link.item(holder) if has_waited else -1
            if ahead < 0:
                return self._sender(holder)
            cause, holder = Cause.CONTENTION, ahead

    def _pass_first_hop(self, row: int, cause: Cause, source: int) -> None:
        """Pass a message on the first link of its route: what it takes whatever its size, then its bytes."""
        transfers = self.trace.transfers
        start_ps, hold_ps = transfers.start_ps.item(row), transfers.first_hold_ps.item(row)
        if hold_ps <= 0:
            return
        (link, *_) = self.index.links_of(transfers.route.item(row))
        until_ps = start_ps + hold_ps
        bytes_from_ps = min(until_ps, start_ps + self.trace.links.overhead_ps.item(link))
        if until_ps > bytes_from_ps:
            self.segments.append(Segment(bytes_from_ps, until_ps, cause, source, -1, row, -1, link))
        if bytes_from_ps > start_ps:
            self.segments.append(Segment(start_ps, bytes_from_ps, Cause.LATENCY, source, -1, row))

    def _pass_later_hops(self, row: int) -> None:
        """Pass all of a message over FIFO links that comes after it has left the first: latencies and further links."""
        transfers, links = self.trace.transfers, self.trace.links
        route = self.index.links_of(transfers.route.item(row))
        time_ps = transfers.start_ps.item(row) + transfers.first_hold_ps.item(row)
        whole = Segment(time_ps, transfers.end_ps.item(row), Cause.LATENCY, transfers.source.item(row), -1, row)
        if len(route) < 2:
            self._pass(whole)
            return
        hops = [(int(links.latency_ps[route[0]]), Cause.LATENCY, -1)]
        for link in route[1:]:
            hold_ps = _transfer_ps(transfers.size_bytes[row], links.bytes_per_s[link])
            hops += [(int(links.overhead_ps[link]), Cause.LATENCY, -1), (hold_ps, Cause.MESSAGE, link)]
            hops.append((int(links.latency_ps[link]), Cause.LATENCY, -1))
        waited_ps = int(transfers.end_ps[row]) - time_ps - sum(lasts_ps for lasts_ps, _, _ in hops)
        if abs(waited_ps) <= _rounding_ps(sum(lasts_ps for lasts_ps, _, _ in hops), len(route)):
            longest = max(range(len(hops)), key=lambda hop: (hops[hop][1] is Cause.MESSAGE, hops[hop][0]))
            hops[longest] = (hops[longest][0] + waited_ps, *hops[longest][1:])
        elif waited_ps:
            hops.insert(-3, (waited_ps, Cause.CONTENTION, route[-1]))
        passed = []
        for lasts_ps, cause, link in hops:
            passed.append(whole._replace(start_ps=time_ps, end_ps=time_ps + lasts_ps, cause=cause, link=link))
            time_ps += lasts_ps
        for segment in reversed(passed):
            self._pass(segment)

    def _sender(self, row: int) -> _Node | None:
        """Return the op that let a message be queued: its producer, or which side of a rendezvous came last."""
        trace, transfers = self.trace, self.trace.transfers
        producer, queued_ps, source = (
            column.item(row) for column in (transfers.producer, transfers.queued_ps, transfers.source)
        )
        if trace.ops.kind.item(producer) != Kind.EXCHANGE:
            produced = (trace.ops.end_ps.item(producer), _Node("ops", producer, source))
            return self._latest(queued_ps, source, [produced])
        consumer = transfers.consumer.item(row)
        posted = [*self._end_of_row_before(producer), *self._end_of_row_before(consumer)]
        return self._latest(queued_ps, source, [entry for entry in posted if entry[0] <= queued_ps])

    def _before_collective(self, node: _Node) -> _Node | None:
        trace, index, row, rank_index = self.trace, self.index, node.row, node.rank_index
        collectives, phases = trace.collectives, trace.phases
        queued_ps, start_ps, until_ps = (
            column.item(row) for column in (collectives.queued_ps, collectives.start_ps, collectives.end_ps)
        )
        for place in range(index.first_phase.item(row + 1) - 1, index.first_phase.item(row) - 1, -1):
            phase = index.phases.item(place)
            begin_ps, end_ps = phases.start_ps.item(phase), phases.end_ps.item(phase)
            self._pass(Segment(end_ps, until_ps, Cause.LATENCY, rank_index, -1, -1, row))
            drained = Segment(begin_ps, end_ps, Cause.COLLECTIVE, rank_index, -1, -1, row)
            self._pass_draining(drained, len(trace.transfers) + phase)
            until_ps = begin_ps
        self._pass(Segment(start_ps, until_ps, Cause.LATENCY, rank_index, -1, -1, row))
        if start_ps > queued_ps:
            return _Node("collectives", index.ahead_in_group.item(row), rank_index)
        ops = trace.ops
        called = [
            (ops.end_ps.item(caller), _Node("ops", caller, ops.rank_index.item(caller)))
            for caller in index.callers_of(row)
        ]
        return self._latest(queued_ps, rank_index, called)

    def _pass_draining(self, whole: Segment, flow: int) -> None:
        """Pass a flow rate by rate: the time that it would take alone, then what sharing cost."""
        rates, index = self.trace.rates, self.index
        start_ps, until_ps, cause, rank_index, op, transfer, collective, _ = whole
        for place in range(index.first_rate.item(flow + 1) - 1, index.first_rate.item(flow) - 1, -1):
            rate = index.rates.item(place)
            begin_ps, link = rates.start_ps.item(rate), rates.bottleneck.item(rate)
            lasted_ps = until_ps - begin_ps
            alone_ps = min(lasted_ps, round(lasted_ps * (rates.bytes_per_s.item(rate) / index.alone.item(flow))))
            slowed_from_ps = begin_ps + alone_ps
            self._pass(Segment(slowed_from_ps, until_ps, Cause.CONTENTION, rank_index, op, transfer, collective, link))
            self._pass(Segment(begin_ps, slowed_from_ps, cause, rank_index, op, transfer, collective, link))
            until_ps = begin_ps
        self._pass(Segment(start_ps, until_ps, cause, rank_index, op, transfer, collective))


def _rounding_ps(time_ps: int, num_links: int) -> int:
    """Return how far the times of so many links may be off in all, as bandwidths are floats here. [ps]"""
    return num_links + round(time_ps * 2.0**-50)


def _transfer_ps(size_bytes: int, bytes_per_s: float) -> int:
    """Return how long a link takes for so many bytes, as the engine rounds it. [ps]"""
    if np.isinf(bytes_per_s):
        return 0
    numerator, denominator = float(bytes_per_s).as_integer_ratio()
    return -(-int(size_bytes) * PS_PER_S * denominator // numerator)
