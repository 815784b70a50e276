"""A run as trace viewers show it: a process a GPU, a thread a stream, slices, arrows and counters.

What overlaps on one stream, such as messages under way at one time, is spread over lanes, so that the slices of a
thread follow one another. The critical path has a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from clustersim.analysis.critical_path import Cause, critical_path
from clustersim.analysis.memory import activation_curve
from clustersim.analysis.waits import is_one_of
from clustersim.ops import COMPUTE, Kind
from clustersim.report.gantt import whole_op
from clustersim.trace import AXES, Ints, Trace

ARROW_FROM, ARROW_TO = "from", "to"
COMPUTES, MESSAGES, COLLECTIVES, PATH = "compute", "message", "collective", "critical path"


@dataclass(frozen=True, slots=True)
class Thread:
    """A row of slices in a viewer."""

    process: int
    name: str


@dataclass(frozen=True, slots=True)
class Slices:
    """What happened on some threads, one row each; on one thread they follow one another, in order."""

    kind: str  # COMPUTES, MESSAGES, COLLECTIVES or PATH
    thread: Ints  # number over all parts, in rising order, and so by process
    name: Ints  # index into names
    names: tuple[str, ...]
    start_ps: Ints
    end_ps: Ints
    number_name: str  # what `number` is
    number: Ints  # something to tell of each slice, at least 0
    arrow: Ints | None = None  # number of the arrow that begins or ends at each
    arrow_end: str = ARROW_FROM

    def __len__(self) -> int:
        return len(self.thread)


@dataclass(frozen=True, slots=True)
class Counter:
    """The values of one counter of each process over time, by process, then by time."""

    name: str
    process: Ints
    time_ps: Ints
    value: Ints


@dataclass(frozen=True, slots=True)
class Part:
    """Some slices, and the threads that they are on, which no other part has."""

    first_thread: int  # over all parts, from 0
    threads: tuple[Thread, ...]
    slices: Slices


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that a viewer shows, in parts that are made when asked for, so that no two are in memory at one time."""

    name: str
    processes: tuple[str, ...]
    parts: Callable[[], Iterator[Part]]
    counter: Callable[[], Counter]


class _Threads:
    """The threads so far."""

    def __init__(self) -> None:
        self.threads: list[Thread] = []

    def add(self, processes: Ints, lanes: Ints, name: str) -> Ints:
        """Return the thread of each row, given its process and its lane there; what has no row has no thread."""
        num_lanes = int(lanes.max(initial=0)) + 1
        keys = processes * num_lanes + lanes
        is_used = np.bincount(keys) > 0
        thread_by_key = np.cumsum(is_used) - 1 + len(self.threads)
        for key in np.flatnonzero(is_used).tolist():
            process, lane = divmod(key, num_lanes)
            self.threads.append(Thread(process, f"{name} {lane + 1}" if lane else name))
        return np.asarray(thread_by_key[keys], dtype=np.int64)


def timeline_of(trace: Trace, name: str = "") -> Timeline:
    """Return the timeline of a run; `name` is that of the job."""
    ranks = trace.ranks
    columns = zip(*(c.tolist() for c in (ranks.rank, ranks.replica, ranks.pp_rank, ranks.gpu)), strict=True)
    processes = [f"rank {rank} (replica {replica}, pp {pp}, GPU {gpu})" for rank, replica, pp, gpu in columns]
    processes.append(f"critical path of {name}" if name else "critical path")
    return Timeline(name, tuple(processes), partial(_parts, trace), partial(_memory, trace))


def _parts(trace: Trace) -> Iterator[Part]:
    threads = _Threads()
    messages = [partial(_messages, is_sent=is_sent) for is_sent in (True, False)]
    collectives = [partial(_collectives, axis=axis) for axis in range(len(AXES))]
    makers: list[Callable[[Trace, _Threads], Slices]] = [_ops, *messages, *collectives, _path]
    for slices_of in makers:
        first_thread = len(threads.threads)
        slices = slices_of(trace, threads)
        if len(slices):
            yield Part(first_thread, tuple(threads.threads[first_thread:]), slices)


def _memory(trace: Trace) -> Counter:
    curve, ranks = activation_curve(trace), trace.ranks
    total_bytes = curve.value + ranks.allocated_bytes[curve.rank_index]
    return Counter("memory", curve.rank_index, curve.time_ps, total_bytes)


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


def _ops(trace: Trace, threads: _Threads) -> Slices:
    ops = trace.ops
    rows = np.flatnonzero(is_one_of(ops.kind, COMPUTE) & (ops.end_ps > ops.start_ps))
    name, names = op_names(trace, rows)
    thread = threads.add(ops.rank_index[rows], np.zeros(len(rows), dtype=np.int64), "compute")
    stage = np.maximum(ops.stage[rows], 0)
    return Slices(COMPUTES, thread, name, names, ops.start_ps[rows], ops.end_ps[rows], "stage", stage)


def _messages(trace: Trace, threads: _Threads, is_sent: bool) -> Slices:
    """Return the messages as their senders or their receivers have them, an arrow from the one to the other."""
    sent = trace.transfers
    own, verb = (sent.source, "send") if is_sent else (sent.destination, "receive")
    order, thread = _in_lanes(own, sent.start_ps, sent.end_ps, threads, verb)
    num_names = int(sent.microbatch.max(initial=0)) + 1
    names = tuple(f"{verb} {kind}{microbatch}" for kind in "FB" for microbatch in range(num_names))
    name = np.where(sent.kind[order] == Kind.F, 0, num_names) + sent.microbatch[order]
    end = ARROW_FROM if is_sent else ARROW_TO
    times = sent.start_ps[order], sent.end_ps[order]
    return Slices(MESSAGES, thread, name, names, *times, "bytes", sent.size_bytes[order], order, end)


def _in_lanes(process: Ints, start_ps: Ints, end_ps: Ints, threads: _Threads, name: str) -> tuple[Ints, Ints]:
    """Return the order in which intervals stand thread by thread, and the thread of each in that order."""
    order = np.lexsort((end_ps, start_ps, process))
    thread = threads.add(process[order], lanes(process[order], start_ps[order], end_ps[order]), name)
    by_thread = np.argsort(thread, kind="stable")
    return order[by_thread].astype(np.int64), thread[by_thread]


def lanes(group: Ints, start_ps: Ints, end_ps: Ints) -> Ints:
    """Return a lane for each interval, so that those of a group in one lane do not overlap.

    Intervals stand by group, then by start. Each is taken to last until all before it have ended; if no more than n are
    then under way at one time, the n lanes can take turns.

    Examples
    --------
    >>> lanes(np.zeros(3, dtype=np.int64), np.array([0, 5, 10]), np.array([6, 11, 12])).tolist()
    [0, 1, 0]
    """
    if not len(group):
        return group
    times_ps = np.sort(np.concatenate([start_ps, end_ps]))
    span = len(times_ps) + 1
    start, end = (group * span + np.searchsorted(times_ps, column) for column in (start_ps, end_ps))
    until = np.maximum.accumulate(end)
    first = np.searchsorted(group, group)
    place = np.arange(len(group)) - first
    num_ended = np.maximum(np.searchsorted(until, start, side="right") - first, 0)
    # Of intervals that take no time, those that start together have all ended by then.
    under_way = np.maximum(place - num_ended, 0) + 1
    most = np.zeros(int(group[-1]) + 1, dtype=np.int64)
    np.maximum.at(most, group, under_way)
    return place % most[group]


def _collectives(trace: Trace, threads: _Threads, axis: int) -> Slices:
    """Return the collectives of an axis as each of their members has them."""
    collectives = trace.collectives
    members = [np.array(group, dtype=np.int64) for group in trace.groups]
    rows = np.flatnonzero(collectives.axis == axis)
    groups = collectives.group[rows].tolist()
    row = np.repeat(rows, [len(members[group]) for group in groups])
    rank_index = np.concatenate([np.zeros(0, dtype=np.int64), *(members[group] for group in groups)])
    times = collectives.start_ps[row], collectives.end_ps[row]
    order, thread = _in_lanes(rank_index, *times, threads, f"{AXES[axis]} collectives")
    row = row[order]
    kinds = sorted({*collectives.operation})
    kind_of_row = np.array([kinds.index(operation) for operation in collectives.operation], dtype=np.int64)
    names = tuple(f"{AXES[axis]} {kind}" for kind in kinds)
    times = collectives.start_ps[row], collectives.end_ps[row]
    return Slices(COLLECTIVES, thread, kind_of_row[row], names, *times, "bytes", collectives.size_bytes[row])


def _path(trace: Trace, threads: _Threads) -> Slices:
    """Return the critical path as a process of its own, after all ranks."""
    path = critical_path(trace)
    zeros = np.zeros(len(path), dtype=np.int64)
    thread = threads.add(zeros + len(trace.ranks), zeros, "what the run waits for")
    op, names = op_names(trace, np.maximum(path.op, 0))
    causes = tuple(cause.name.lower() for cause in Cause)
    name = np.where(path.op >= 0, op + len(causes), path.cause)
    ranks = trace.ranks.rank[path.rank_index]
    return Slices(PATH, thread, name, (*causes, *names), path.start_ps, path.end_ps, "rank", ranks)
