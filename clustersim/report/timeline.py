"""A run as trace viewers show it: a process a GPU, a thread a stream, slices, arrows and counters.

The critical path has a process of its own; so has what is left out, if anything is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from clustersim.analysis.account import account_of
from clustersim.analysis.critical_path import Cause, critical_path
from clustersim.analysis.memory import activation_curve
from clustersim.ops import Kind
from clustersim.report.excerpt import WHOLE, Excerpt, Kept, computing_rows, keep, left_out, members_of
from clustersim.report.gantt import whole_op
from clustersim.report.threads import Threads, in_lanes
from clustersim.report.viewer import (
    ARROW_FROM,
    ARROW_TO,
    COLLECTIVES,
    COMPUTES,
    EXCERPT,
    MESSAGES,
    PATH,
    Counter,
    Part,
    Slices,
    Timeline,
)
from clustersim.trace import AXES, Ints, Trace


class _Sight(NamedTuple):
    """Some replicas, and what is shown of them."""

    trace: Trace
    kept: Kept
    process: Ints  # of each rank; -1 where it is left out
    first_message: int  # over all replicas that are shown

    def shown(self, rank_index: Ints, start_ps: Ints, end_ps: Ints) -> Ints:
        """Return which of some intervals of ranks are shown."""
        return np.flatnonzero((self.process[rank_index] >= 0) & self.kept.overlaps(start_ps, end_ps))


def timeline_of(trace: Trace, name: str = "", excerpt: Excerpt = WHOLE) -> Timeline:
    """Return the timeline of a run, or of a part of it; `name` is that of the job.

    Raises
    ------
    InputError
        There is no such part.
    """
    return timeline_of_kept(keep(trace, excerpt), name)


def timeline_of_kept(kept: Kept, name: str, has_path: bool = True) -> Timeline:
    """Return the timeline of what is kept of a run, with its critical path or without."""
    ranks = kept.trace.ranks
    rows = np.flatnonzero(kept.is_kept)
    columns = zip(*(c[rows].tolist() for c in (ranks.rank, ranks.replica, ranks.pp_rank, ranks.gpu)), strict=True)
    processes = [f"rank {rank} (replica {replica}, pp {pp}, GPU {gpu})" for rank, replica, pp, gpu in columns]
    processes.append(f"critical path of {name}" if name else "critical path")
    said = left_out(kept)
    return Timeline(name, tuple(processes), partial(_parts, kept, said, has_path), partial(_memory, kept), said)


def _parts(kept: Kept, said: str, has_path: bool) -> Iterator[Part]:
    threads = Threads()

    def added(make: Callable[[Threads], Slices]) -> Iterator[Part]:
        first_thread = len(threads.threads)
        slices = make(threads)
        if len(slices):
            yield Part(first_thread, tuple(threads.threads[first_thread:]), slices)

    if said:
        yield from added(partial(_excerpt, kept, said))
    for sight in _sights(kept):
        for slices_of in _MAKERS:
            yield from added(partial(slices_of, sight))
    if has_path:
        yield from added(partial(_path, kept))


def _sights(kept: Kept) -> Iterator[_Sight]:
    process = np.where(kept.is_kept, np.cumsum(kept.is_kept) - 1, -1)
    first_message = 0
    for part in kept.parts():
        yield _Sight(part.trace, kept, process[part.rows], first_message)
        first_message += len(part.trace.transfers)


def _memory(kept: Kept) -> Counter:
    """Return what kept ranks hold: in a window from what they held when it begins."""
    columns = [np.zeros((3, 0), dtype=np.int64)]
    begin_ps, _ = kept.span_ps
    for sight in _sights(kept):
        curve, ranks = activation_curve(sight.trace), sight.trace.ranks
        total_bytes = curve.value + ranks.allocated_bytes[curve.rank_index]
        # Of what came before the window the last value stays.
        is_past = (curve.time_ps <= begin_ps) & (begin_ps > 0)
        is_last = np.append((curve.rank_index[1:] != curve.rank_index[:-1]) | ~is_past[1:], True)[: len(is_past)]
        is_shown = (is_past & is_last) | (~is_past & kept.overlaps(curve.time_ps, curve.time_ps))
        rows = np.flatnonzero(is_shown & (sight.process[curve.rank_index] >= 0))
        times_ps = np.maximum(curve.time_ps[rows], begin_ps)
        columns.append(np.array([sight.process[curve.rank_index[rows]], times_ps, total_bytes[rows]]))
    return Counter("memory", *np.concatenate(columns, axis=1))


def op_names(trace: Trace, rows: Ints) -> tuple[Ints, tuple[str, ...]]:
    """Return the name of each of some rows of ops, as an index into names: F12, B12, F3+B1, OPTIMIZER."""
    ops = trace.ops
    kind, microbatch = ops.kind[whole_op(trace)[rows]], ops.microbatch[rows]
    most = int(ops.microbatch.max(initial=0)) + 2
    keys = (kind * most + microbatch + 1) * most
    keys += np.where(kind == Kind.FB, ops.backward_microbatch[rows] + 1, 0)
    found, index = np.unique(keys, return_inverse=True)
    names = []
    for key in found.tolist():
        rest, backward = divmod(key, most)
        of_kind, forward = divmod(rest, most)
        names.append(_op_name(Kind(of_kind), forward - 1, backward - 1))
    return index.astype(np.int64), tuple(names)


def _op_name(kind: Kind, microbatch: int, backward_microbatch: int) -> str:
    if kind is Kind.FB:
        return f"F{microbatch}+B{backward_microbatch}"
    return f"{kind.name}{microbatch}" if microbatch >= 0 else kind.name


def _ops(sight: _Sight, threads: Threads) -> Slices:
    ops = sight.trace.ops
    rows = computing_rows(sight.trace)
    rows = rows[sight.shown(ops.rank_index[rows], ops.start_ps[rows], ops.end_ps[rows])]
    name, names = op_names(sight.trace, rows)
    thread = threads.add(sight.process[ops.rank_index[rows]], np.zeros(len(rows), dtype=np.int64), "compute")
    times = sight.kept.clipped(ops.start_ps[rows], ops.end_ps[rows])
    return Slices(COMPUTES, thread, name, names, *times, "stage", np.maximum(ops.stage[rows], 0))


def _messages(sight: _Sight, threads: Threads, is_sent: bool, has_both: bool) -> Slices:
    """Return messages as their senders or their receivers have them, an arrow from the one to the other.

    Where only one of them is shown, there is none, and the message is on a thread of its own.
    """
    sent = sight.trace.transfers
    own, other, verb, to = (
        (sent.source, sent.destination, "send", "to") if is_sent else (sent.destination, sent.source, "receive", "from")
    )
    rows = sight.shown(own, sent.start_ps, sent.end_ps)
    rows = rows[(sight.process[other[rows]] >= 0) == has_both]
    times = sight.kept.clipped(sent.start_ps[rows], sent.end_ps[rows])
    name_of_thread = verb if has_both else f"{verb} ({to} ranks left out)"
    order, thread = in_lanes(sight.process[own[rows]], *times, threads, name_of_thread)
    rows = rows[order]
    num_names = int(sent.microbatch.max(initial=0)) + 1
    names = tuple(f"{verb} {kind}{microbatch}" for kind in "FB" for microbatch in range(num_names))
    name = np.where(sent.kind[rows] == Kind.F, 0, num_names) + sent.microbatch[rows]
    arrow = rows + sight.first_message if has_both else None
    start_ps, end_ps = (column[order] for column in times)
    end = ARROW_FROM if is_sent else ARROW_TO
    return Slices(MESSAGES, thread, name, names, start_ps, end_ps, "bytes", sent.size_bytes[rows], arrow, end)


def _collectives(sight: _Sight, threads: Threads, axis: int) -> Slices:
    """Return the collectives of an axis as each of their members has them."""
    collectives, kept = sight.trace.collectives, sight.kept
    row, rank_index = members_of(sight.trace, np.flatnonzero(collectives.axis == axis))
    shown = sight.shown(rank_index, collectives.start_ps[row], collectives.end_ps[row])
    row = row[shown]
    start_ps, end_ps = kept.clipped(collectives.start_ps[row], collectives.end_ps[row])
    process = sight.process[rank_index[shown]]
    order, thread = in_lanes(process, start_ps, end_ps, threads, f"{AXES[axis]} collectives")
    operation = collectives.operation
    kinds = sorted({operation.words[number] for number in np.unique(operation.number).tolist()})
    places = {word: number for number, word in enumerate(kinds)}
    kind_of_row = np.array([places.get(word, -1) for word in operation.words], dtype=np.int64)[operation.number]
    names = tuple(f"{AXES[axis]} {kind}" for kind in kinds)
    name, size_bytes = kind_of_row[row[order]], collectives.size_bytes[row[order]]
    return Slices(COLLECTIVES, thread, name, names, start_ps[order], end_ps[order], "bytes", size_bytes)


_MAKERS: tuple[Callable[[_Sight, Threads], Slices], ...] = (
    _ops,
    *(
        partial(_messages, is_sent=is_sent, has_both=has_both)
        for is_sent in (True, False)
        for has_both in (True, False)
    ),
    *(partial(_collectives, axis=axis) for axis in range(len(AXES))),
)


def _path(kept: Kept, threads: Threads) -> Slices:
    """Return the critical path of the run as a process of its own, after all ranks."""
    trace = kept.trace
    if trace.split is not None or trace.folded is not None:  # it stays within the replicas that it can pass
        trace = trace.of_replicas(account_of(trace).replicas_to_follow(trace))
    path = critical_path(trace)
    rows = np.flatnonzero(kept.overlaps(path.start_ps, path.end_ps))
    zeros = np.zeros(len(rows), dtype=np.int64)
    thread = threads.add(zeros + int(kept.is_kept.sum()), zeros, "what the run waits for")
    op, names = op_names(trace, np.maximum(path.op[rows], 0))
    causes = tuple(cause.name.lower() for cause in Cause)
    name = np.where(path.op[rows] >= 0, op + len(causes), path.cause[rows])
    ranks = trace.ranks.rank[path.rank_index[rows]]
    times = kept.clipped(path.start_ps[rows], path.end_ps[rows])
    return Slices(PATH, thread, name, (*causes, *names), *times, "rank", ranks)


def _excerpt(kept: Kept, said: str, threads: Threads) -> Slices:
    """Return a slice that says what of the run is shown, beside the critical path."""
    zero = np.zeros(1, dtype=np.int64)
    thread = threads.add(zero + int(kept.is_kept.sum()), zero, "what is shown")
    begin_ps, end_ps = (np.array([edge_ps]) for edge_ps in kept.span_ps)
    return Slices(EXCERPT, thread, zero, (said,), begin_ps, end_ps, "ranks", np.array([int(kept.is_kept.sum())]))
