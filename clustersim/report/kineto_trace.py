"""A run as PyTorch's profiler would have recorded it, a file a rank, which Holistic Trace Analysis opens.

Ops are kernels on one stream, messages and collectives NCCL kernels on others. Each kernel has a launch at the time at
which it starts, on a host thread on which each training step is a ProfilerStep. A rank's shares are those of the time
from its first kernel to its last: a kernel without length stands at either end of each step, so that time spent waiting
for the first message, or for the last rank, counts.

References
----------
PyTorch, Kineto: ``libkineto/src/output_json.cpp``. Meta, Holistic Trace Analysis: ``hta/common/trace_file.py`` (which
finds the rank by ``"rank": N``, a blank before the number), ``trace_parser.py`` and ``types.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from clustersim.report.byte_rows import Bytes, chunks, decimals, microseconds, side_by_side, texts
from clustersim.report.chrome_trace import json_text, write_compressed
from clustersim.report.excerpt import Kept
from clustersim.report.timeline import timeline_of_kept
from clustersim.report.viewer import COLLECTIVES, COMPUTES, MESSAGES, Part, Slices, Timeline
from clustersim.trace import Ints

_KERNELS = {
    "all-reduce": "ncclDevKernel_AllReduce",
    "all-gather": "ncclDevKernel_AllGather",
    "reduce-scatter": "ncclDevKernel_ReduceScatter",
    "broadcast": "ncclDevKernel_Broadcast",
}
_SEND_RECEIVE = "ncclDevKernel_SendRecv"  # also what an all-to-all is made of
_FIRST_STREAM = 7  # as PyTorch numbers its first; HTA takes those above 0 for streams
_FIRST_CORRELATION = 1 << 24  # HTA keeps numbers of rows in the narrowest integers that hold these
_HOST = 1000  # process and thread that launch; any number that is no device's


class _Rank(NamedTuple):
    """What is written of a rank: its steps and when each begins and ends, its slices, and the stream of each thread."""

    steps: Ints
    begins_ps: Ints
    ends_ps: Ints
    slices: list[Slices]
    stream_by_thread: dict[int, int]


def write_kineto(kept: Kept, name: str, folder: Path) -> list[Path]:
    """Return the files written to `folder`, one for each rank that is kept; `name` is that of the job."""
    folder.mkdir(parents=True, exist_ok=True)
    timeline = timeline_of_kept(kept, name, has_path=False)
    ranks = [_Rank(*steps, [], {}) for steps in _steps_of_ranks(kept)]
    for part in timeline.parts():
        if part.slices.kind in (COMPUTES, MESSAGES, COLLECTIVES):
            _deal(part, ranks)
    paths = []
    for number, own in zip(kept.trace.ranks.rank[kept.is_kept].tolist(), ranks, strict=True):
        path = folder / f"rank{number}.json.gz"
        with path.open("wb") as file:
            world = {"backend": "nccl", "rank": number, "world_size": len(kept.trace.ranks)}
            write_compressed(file, _document(world, timeline, own))
        paths.append(path)
    return paths


def _deal(part: Part, ranks: Sequence[_Rank]) -> None:
    """Give each rank its slices of a part; those of a process stand together."""
    processes = np.array([thread.process for thread in part.threads], dtype=np.int64)
    for process in np.unique(processes).tolist():
        own, stream_by_thread = ranks[process].slices, ranks[process].stream_by_thread
        first, last = (part.first_thread + np.searchsorted(processes, [process, process + 1])).tolist()
        for thread in range(first, last):
            stream_by_thread[thread] = _FIRST_STREAM + len(stream_by_thread)
        rows = slice(*np.searchsorted(part.slices.thread, [first, last]).tolist())
        names = ("thread", "name", "start_ps", "end_ps", "number")
        own.append(replace(part.slices, **{name: getattr(part.slices, name)[rows] for name in names}, arrow=None))


def _document(world: dict[str, Any], timeline: Timeline, own: _Rank) -> Iterator[bytes | memoryview]:
    header = {"schemaVersion": 1, "distributedInfo": world, "deviceProperties": [{"id": 0, "name": "simulated"}]}
    said = b',"excerpt":' + json_text(timeline.excerpt) if timeline.excerpt else b""
    yield json.dumps(header)[:-1].encode() + said
    yield b',"traceName":' + json_text(timeline.name) + b',"traceEvents":[\n'
    yield from _steps(own.steps, own.begins_ps, own.ends_ps)
    correlation = _FIRST_CORRELATION + 2 * len(own.steps)
    for slices in own.slices:
        yield from _kernels(slices, correlation, own.stream_by_thread)
        correlation += len(slices)
    yield b'{"ph":"M","name":"process_name","pid":%d,"tid":0,"args":{"name":"host"}}\n]}\n' % _HOST


def _steps_of_ranks(kept: Kept) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Yield the steps of each kept rank, and when they begin and end: each lasts until the next begins.

    The first begins and the last ends with the run; what lies outside of a window is cut off.
    """
    for part in kept.parts():
        ops, first_op = part.trace.ops, part.trace.ranks.first_op
        for index in np.flatnonzero(kept.is_kept[part.rows]).tolist():
            own = slice(first_op[index], first_op[index + 1])
            numbers, rows = np.unique(ops.step[own], return_index=True)
            begins_ps = np.append(0, ops.start_ps[own][rows[1:]])
            ends_ps = np.append(begins_ps[1:], kept.trace.makespan_ps)
            shown = kept.overlaps(begins_ps, ends_ps)
            yield numbers[shown], *kept.clipped(begins_ps[shown], ends_ps[shown])


def _steps(numbers: Ints, begins_ps: Ints, ends_ps: Ints) -> Iterator[bytes | memoryview]:
    """Yield the steps of a rank, and the kernels at either end of each, launched when it begins."""
    names = texts([b'"ProfilerStep#%d",' % number for number in numbers.tolist()])
    step: list[bytes | Bytes] = [b'{"ph":"X","cat":"user_annotation","pid":%d,"tid":%d,"name":' % (_HOST, _HOST), names]
    yield side_by_side([*step, *_ts_dur(begins_ps, ends_ps), b"},\n"], len(numbers)).data
    stream = np.full(len(numbers), _FIRST_STREAM)
    for which, (name, at_ps) in enumerate(((b'"step begins",', begins_ps), (b'"step ends",', ends_ps))):
        correlation = _FIRST_CORRELATION + 2 * np.arange(len(numbers)) + which
        yield side_by_side(_launched(name, stream, (at_ps, at_ps), begins_ps, correlation), len(numbers)).data


def _ts_dur(start_ps: Ints, end_ps: Ints) -> list[bytes | Bytes]:
    return [b'"ts":', *microseconds(start_ps), b',"dur":', *microseconds(end_ps - start_ps)]


def _kernels(slices: Slices, first_correlation: int, stream_by_thread: dict[int, int]) -> Iterator[memoryview]:
    """Yield the kernels of slices on their streams, each with its launch before it."""
    names = texts([json_text(_kernel_name(slices.kind, name)) + b"," for name in slices.names])
    threads, place = np.unique(slices.thread, return_inverse=True)
    streams = np.array([stream_by_thread[thread] for thread in threads.tolist()], dtype=np.int64)[place]
    for rows in chunks(len(slices)):
        times = start_ps, _ = slices.start_ps[rows], slices.end_ps[rows]
        correlation = np.arange(rows.start, rows.stop) + first_correlation
        parts = _launched(names[slices.name[rows]], streams[rows], times, start_ps, correlation)
        yield side_by_side(parts, len(start_ps)).data


def _launched(
    name: bytes | Bytes, stream: Ints, times_ps: tuple[Ints, Ints], launch_ps: Ints, correlation: Ints
) -> list[bytes | Bytes]:
    """Return kernels from the first to the second of `times_ps`, each after its launch."""
    number, digits = decimals(stream), decimals(correlation)
    launch = b'{"ph":"X","cat":"cuda_runtime","name":"cudaLaunchKernel","pid":%d,"tid":%d,' % (_HOST, _HOST)
    parts: list[bytes | Bytes] = [launch, *_ts_dur(launch_ps, launch_ps), b',"args":{"correlation":', digits]
    parts += [b'}},\n{"ph":"X","cat":"kernel","name":', name, b'"pid":0,"tid":', number]
    parts += [b",", *_ts_dur(*times_ps), b',"args":{"device":0,"stream":', number, b',"correlation":', digits]
    return [*parts, b"}},\n"]


def _kernel_name(kind: str, name: str) -> str:
    if kind == COMPUTES:
        return name
    return _KERNELS.get(name.split(" ", 1)[1], _SEND_RECEIVE) if kind == COLLECTIVES else _SEND_RECEIVE
