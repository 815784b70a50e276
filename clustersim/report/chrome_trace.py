"""A run in Chrome's JSON trace format, which Perfetto and chrome://tracing open.

Times are microseconds, as the format has them, exact to the picosecond. Readers add `ts` and `dur` in floating point,
by which slices that touch could come to overlap; where they would, `dur` is some femtoseconds shorter, and still exact
once it is rounded to the picosecond.

References
----------
Google, "Trace Event Format": complete events (X), flows (s, f), counters (C), metadata (M).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from clustersim.report.byte_rows import Bytes, chunks, decimals, microseconds, side_by_side, texts
from clustersim.report.viewer import ARROW_FROM, Counter, Part, Slices, Timeline
from clustersim.trace import Ints

_MOST_LESS_FS = 499  # what rounding to the picosecond makes good
_LEVEL = 1  # of compression; higher ones take several times as long for a tenth less
_GZIP = 31  # zlib's window bits that ask for gzip's header; without name and time, so that equal runs give equal files


def write_chrome(timeline: Timeline, path: Path) -> None:
    """Write a timeline to `path`, compressed if its name ends in .gz."""
    with path.open("wb") as file:
        if path.suffix.lower() == ".gz":
            write_compressed(file, _document(timeline))
        else:
            file.writelines(_document(timeline))


def write_compressed(file: IO[bytes], parts: Iterator[bytes | memoryview]) -> None:
    """Write `parts` as one gzip member; the same parts give the same bytes."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    for part in parts:
        file.write(packer.compress(part))
        del part  # before the next is made
    file.write(packer.flush())


def json_text(text: str) -> bytes:
    """Return a text as JSON, in ASCII and harmless within HTML.

    Examples
    --------
    >>> json_text('</script> "ü"')
    b'"\\\\u003c/script> \\\\"\\\\u00fc\\\\""'
    """
    return json.dumps(text).replace("<", "\\u003c").encode()


def _document(timeline: Timeline) -> Iterator[bytes | memoryview]:
    said = b',"excerpt":' + json_text(timeline.excerpt) if timeline.excerpt else b""
    yield b'{"displayTimeUnit":"ns","otherData":{"name":' + json_text(timeline.name) + said + b'},"traceEvents":[\n'
    # Each event ends with a comma, so that what comes last must be one that is always there: the name of a process.
    first, *others = [_metadata("process_name", number, 0, name) for number, name in enumerate(timeline.processes)]
    for row in others:
        yield row + b",\n"
    for part in timeline.parts():
        for number, thread in enumerate(part.threads, part.first_thread + 1):
            yield _metadata("thread_name", thread.process, number, thread.name) + b",\n"
        yield from _slices(part)
    yield from _counter(timeline.counter())
    yield first + b"\n]}\n"


def _metadata(what: str, process: int, thread: int, name: str) -> bytes:
    """Return what a process or a thread is called; ids count from 1, as viewers take 0 for the idle process."""
    return b'{"ph":"M","name":"%s","pid":%d,"tid":%d,"args":{"name":%s}}' % (
        what.encode(),
        process + 1,
        thread,
        json_text(name),
    )


def _slices(part: Part) -> Iterator[memoryview]:
    slices = part.slices
    # How the events of each thread go on: where they are, up to when.
    places = (
        b'"pid":%d,"tid":%d,"ts":' % (thread.process + 1, number)
        for number, thread in enumerate(part.threads, part.first_thread + 1)
    )
    opening = texts(list(places))
    names = texts([json_text(name) + b"," for name in slices.names])
    for rows in chunks(len(slices)):
        where = opening[slices.thread[rows] - part.first_thread]
        yield side_by_side(_complete(slices, rows, where, names), len(where)).data
        if slices.arrow is not None:
            yield side_by_side(_arrow(slices, rows, where, slices.arrow[rows]), len(where)).data


def _complete(slices: Slices, rows: slice, where: Bytes, names: Bytes) -> list[bytes | Bytes]:
    """Return the complete events of some slices."""
    parts: list[bytes | Bytes] = [b'{"ph":"X","cat":%s,' % json_text(slices.kind), where]
    parts += [*microseconds(slices.start_ps[rows]), b',"dur":', *_durations(slices, rows)]
    parts += [b',"name":', names[slices.name[rows]], b'"args":{%s:' % json_text(slices.number_name)]
    return [*parts, decimals(slices.number[rows]), b"}},\n"]


def _arrow(slices: Slices, rows: slice, where: Bytes, arrow: Ints) -> list[bytes | Bytes]:
    """Return the ends of arrows: each begins in a slice and ends in one, both at the start of it."""
    end = b'{"ph":"s",' if slices.arrow_end == ARROW_FROM else b'{"ph":"f","bp":"e",'
    name = b',"name":"message","cat":"message","id":'
    return [end, where, *microseconds(slices.start_ps[rows]), name, decimals(arrow), b"},\n"]


def _durations(slices: Slices, rows: slice) -> list[bytes | Bytes]:
    """Return how long some slices last, in microseconds, so that no reader takes them to end after the next begins."""
    start_ps, end_ps = slices.start_ps[rows], slices.end_ps[rows]
    first_ps = slices.start_ps[np.searchsorted(slices.thread, slices.thread[rows])]  # of the thread of each
    return microseconds(end_ps - start_ps, _less_fs(start_ps, end_ps, first_ps))


def _less_fs(start_ps: Ints, end_ps: Ints, first_ps: Ints) -> Ints:
    """Return what is taken off durations; first is when the first slice on a slice's thread starts. [fs]

    Readers add floats, some once they have taken off the thread's first start. All that rounds at most seven times by
    half a unit in the last place, so that four units less are enough.

    Examples
    --------
    >>> 0.1 + 0.2 <= 0.3
    False
    >>> _less_fs(np.array([100_000, 500_000]), np.array([300_000, 750_000]), np.array([0, 0])).tolist()
    [1, 0]

    References
    ----------
    speedscope, ``src/import/trace-event.ts``, convertToEventQueues.
    """
    start, end, first = (column / 1e6 for column in (start_ps, end_ps, first_ps))
    lasts = (end_ps - start_ps) / 1e6
    is_late = (start + lasts > end) | ((start - first) + lasts > end - first)
    less_fs = np.minimum(np.ceil(4e9 * np.spacing(end)), _MOST_LESS_FS)
    return np.where(is_late, less_fs, 0).astype(np.int64)


def _counter(counter: Counter) -> Iterator[memoryview]:
    opening = texts([b'"pid":%d,"ts":' % (number + 1) for number in range(int(counter.process.max(initial=0)) + 1)])
    name = json_text(counter.name)
    for rows in chunks(len(counter.process)):
        parts: list[bytes | Bytes] = [b'{"ph":"C","name":%s,' % name, opening[counter.process[rows]]]
        parts += [
            *microseconds(counter.time_ps[rows]),
            b',"args":{"bytes":',
            decimals(np.maximum(counter.value[rows], 0)),
        ]
        yield side_by_side([*parts, b"}},\n"], rows.stop - rows.start).data
