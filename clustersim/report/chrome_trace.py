"""A run in Chrome's JSON trace format, which Perfetto and chrome://tracing open.

Times are microseconds, as the format has them, with six decimals: exact to the picosecond.

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
from clustersim.report.timeline import ARROW_FROM, Counter, Part, Timeline

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
    yield b'{"displayTimeUnit":"ns","otherData":{"name":' + json_text(timeline.name) + b'},"traceEvents":[\n'
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
    phase = b'{"ph":"X","cat":%s,' % json_text(slices.kind)
    argument = b'"args":{%s:' % json_text(slices.number_name)
    for rows in chunks(len(slices)):
        where, start_ps = opening[slices.thread[rows] - part.first_thread], slices.start_ps[rows]
        starts = microseconds(start_ps)
        parts: list[bytes | Bytes] = [phase, where, *starts, b',"dur":']
        parts += [*microseconds(slices.end_ps[rows] - start_ps), b',"name":', names[slices.name[rows]]]
        parts += [argument, decimals(slices.number[rows]), b"}},\n"]
        yield side_by_side(parts, len(start_ps)).data
        if slices.arrow is not None:
            # An arrow begins in a slice and ends in one: both at the start of it.
            arrow = b'{"ph":"s",' if slices.arrow_end == ARROW_FROM else b'{"ph":"f","bp":"e",'
            parts = [arrow, where, *starts, b',"name":"message","cat":"message","id":', decimals(slices.arrow[rows])]
            yield side_by_side([*parts, b"},\n"], len(start_ps)).data


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
