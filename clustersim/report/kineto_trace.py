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
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from clustersim.report.byte_rows import Bytes, chunks, decimals, microseconds, side_by_side, texts
from clustersim.report.chrome_trace import json_text, write_compressed
from clustersim.report.timeline import COLLECTIVES, COMPUTES, MESSAGES, Slices, Timeline
from clustersim.trace import Ints, Trace

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


def write_kineto(trace: Trace, timeline: Timeline, folder: Path) -> list[Path]:
    """Return the files written to `folder`, one a rank."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [part for part in timeline.parts() if part.slices.kind in (COMPUTES, MESSAGES, COLLECTIVES)]
    threads = [thread for part in parts for thread in part.threads]
    process_of_thread = np.array([thread.process for thread in threads], dtype=np.int64)
    paths = []
    for index, rank in enumerate(trace.ranks.rank.tolist()):
        path = folder / f"rank{rank}.json.gz"
        mine = np.flatnonzero(process_of_thread == index).tolist()
        stream_by_thread = {thread: _FIRST_STREAM + number for number, thread in enumerate(mine)}
        own = [_of_process(part.slices, process_of_thread, index) for part in parts]
        with path.open("wb") as file:
            write_compressed(file, _document(trace, timeline.name, index, own, stream_by_thread))
        paths.append(path)
    return paths


def _of_process(slices: Slices, process_of_thread: Ints, process: int) -> Slices:
    """Return the slices of one process; those of a process stand together."""
    first, last = np.searchsorted(process_of_thread[slices.thread], [process, process + 1])
    columns = {name: getattr(slices, name)[first:last] for name in ("thread", "name", "start_ps", "end_ps", "number")}
    return replace(slices, **columns, arrow=None)


def _document(
    trace: Trace, name: str, index: int, own: list[Slices], stream_by_thread: dict[int, int]
) -> Iterator[bytes | memoryview]:
    world = {"backend": "nccl", "rank": int(trace.ranks.rank[index]), "world_size": len(trace.ranks)}
    header = {"schemaVersion": 1, "distributedInfo": world, "deviceProperties": [{"id": 0, "name": "simulated"}]}
    yield json.dumps(header)[:-1].encode() + b',"traceName":' + json_text(name) + b',"traceEvents":[\n'
    numbers, edges_ps = _steps_of(trace, index)
    yield from _steps(numbers, edges_ps)
    correlation = _FIRST_CORRELATION + 2 * len(numbers)
    for slices in own:
        yield from _kernels(slices, correlation, stream_by_thread)
        correlation += len(slices)
    yield b'{"ph":"M","name":"process_name","pid":%d,"tid":0,"args":{"name":"host"}}\n]}\n' % _HOST


def _steps_of(trace: Trace, index: int) -> tuple[Ints, Ints]:
    """Return the steps of a rank, when each begins, and the end of the run: each lasts until the next begins."""
    first, last = trace.ranks.first_op[index : index + 2]
    numbers, rows = np.unique(trace.ops.step[first:last], return_index=True)
    edges_ps = np.append(trace.ops.start_ps[first:last][rows], trace.makespan_ps)
    edges_ps[0] = 0
    return numbers, edges_ps


def _steps(numbers: Ints, edges_ps: Ints) -> Iterator[bytes | memoryview]:
    """Yield the steps of a rank, and the kernels at either end of each, launched when it begins."""
    begins_ps, ends_ps = edges_ps[:-1], edges_ps[1:]
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
