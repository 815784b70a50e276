"""A run in Perfetto's own trace format, TrackEvent protobuf: smaller, and quicker to write and to open than JSON.

Times are nanoseconds, as the format has them, rounded down; the JSON form is exact. Packets of one kind have one
length: their numbers are varints filled up to the longest, which every reader takes.

References
----------
Perfetto, "Writing TrackEvent Protos Synthetically"; the messages Trace, TracePacket, TrackDescriptor, TrackEvent,
InternedData and EventName of perfetto/protos.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from clustersim.report.byte_rows import Bytes, chunks, side_by_side, varints
from clustersim.report.timeline import ARROW_FROM, Counter, Slices, Timeline, names_used
from clustersim.trace import Ints

_PS_PER_NS = 1000
_VARINT, _FIXED64, _BYTES = 0, 1, 2  # protobuf wire types
_BEGIN, _END, _COUNTER = 1, 2, 4  # TrackEvent.Type
_STATE_CLEARED, _NEEDS_STATE = 1, 2  # TracePacket.SequenceFlags
_SEQUENCE = 1
_UNIT_SIZE_BYTES = 3  # CounterDescriptor.Unit
_IN_ORDER_GIVEN = 3  # TrackDescriptor.ChildTracksOrdering: EXPLICIT, by sibling_order_rank


def write_perfetto(timeline: Timeline, path: Path) -> None:
    """Write a timeline to `path`."""
    with path.open("wb") as file:
        file.writelines(_document(timeline))


def _document(timeline: Timeline) -> Iterator[bytes | memoryview]:
    names = {name: iid for iid, name in enumerate(names_used(timeline.slices), 1)}
    arguments = tuple(dict.fromkeys(slices.number_name for slices in timeline.slices))
    yield _interned(tuple(names), arguments)
    yield from _descriptors(timeline)
    first_thread = len(timeline.processes) + 1
    for slices in timeline.slices:
        name_iids = np.array([names[name] for name in slices.names], dtype=np.int64)
        yield from _slices(slices, first_thread, name_iids, arguments.index(slices.number_name) + 1)
    yield from _counter(timeline.counter, first_thread + len(timeline.threads))


def _field(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def _number(field: int, value: int) -> bytes:
    return _field(field, _VARINT) + _varint(value)


def _message(field: int, body: bytes) -> bytes:
    return _field(field, _BYTES) + _varint(len(body)) + body


def _packet(body: bytes) -> bytes:
    """Return a TracePacket as a field of Trace."""
    return _message(1, _number(10, _SEQUENCE) + body)


def _interned(names: tuple[str, ...], arguments: tuple[str, ...]) -> bytes:
    """Return the packet that gives names numbers: those of slices, and of what they tell."""
    body = b"".join(
        _message(field, _number(1, iid) + _message(2, name.encode()))
        for field, texts in ((2, names), (3, arguments))
        for iid, name in enumerate(texts, 1)
    )
    return _packet(_number(13, _STATE_CLEARED) + _message(12, body))


def _descriptors(timeline: Timeline) -> Iterator[bytes]:
    """Yield the packets that describe tracks: processes, then threads, then the counter of each process.

    Tracks have these numbers, counted from 1, for uuids; a process has its number for pid, a thread for tid.
    """
    for pid, name in enumerate(timeline.processes, 1):
        process = _number(1, pid) + _message(6, name.encode())
        yield _packet(_message(60, _number(1, pid) + _message(3, process) + _number(11, _IN_ORDER_GIVEN)))
    first_thread = len(timeline.processes) + 1
    for number, thread in enumerate(timeline.threads):
        uuid, pid = first_thread + number, thread.process + 1
        body = _number(1, pid) + _number(2, uuid) + _message(5, thread.name.encode())
        yield _packet(_message(60, _number(1, uuid) + _number(5, pid) + _message(4, body) + _number(12, number)))
    first_counter = first_thread + len(timeline.threads)
    for process in np.unique(timeline.counter.process).tolist():
        body = _number(1, first_counter + process) + _number(5, process + 1)
        body += _message(2, timeline.counter.name.encode()) + _message(8, _number(3, _UNIT_SIZE_BYTES))
        yield _packet(_message(60, body))


def _event(time_ps: Ints, kind: int, parts: list[bytes | Bytes]) -> list[bytes | Bytes]:
    """Return the packets of track events of one kind, each a field of Trace, given what is in them beside that."""
    event: list[bytes | Bytes] = [_number(9, kind), *parts]
    packet: list[bytes | Bytes] = [
        _field(8, _VARINT),
        varints(time_ps // _PS_PER_NS),
        _number(10, _SEQUENCE),
        _number(13, _NEEDS_STATE),
    ]
    packet += [_field(11, _BYTES) + _varint(_width(event)), *event]
    return [_field(1, _BYTES) + _varint(_width(packet)), *packet]


def _width(parts: list[bytes | Bytes]) -> int:
    """Return how many bytes a row of `parts` has."""
    return sum(len(part) if isinstance(part, bytes) else part.shape[1] for part in parts)


def _slices(slices: Slices, first_thread: int, name_iids: Ints, argument_iid: int) -> Iterator[memoryview]:
    flow_field = 47 if slices.arrow_end == ARROW_FROM else 48  # flow_ids, terminating_flow_ids
    for rows in chunks(len(slices)):
        track: list[bytes | Bytes] = [_field(11, _VARINT), varints(slices.thread[rows] + first_thread)]
        value = varints(slices.number[rows])
        argument = _number(1, argument_iid) + _field(3, _VARINT)  # DebugAnnotation: name_iid, uint_value
        parts = [*track, _field(10, _VARINT), varints(name_iids[slices.name[rows]])]
        parts += [_field(4, _BYTES) + _varint(len(argument) + value.shape[1]) + argument, value]
        if slices.arrow is not None:
            ids = (slices.arrow[rows] + 1).astype("<u8").view(np.uint8).reshape(-1, 8)
            parts += [_field(flow_field, _FIXED64), ids]
        # Each end right after its begin: of events at one time on one track the first in the file counts as the first.
        both = [*_event(slices.start_ps[rows], _BEGIN, parts), *_event(slices.end_ps[rows], _END, track)]
        yield side_by_side(both, rows.stop - rows.start).data


def _counter(counter: Counter, first_track: int) -> Iterator[memoryview]:
    for rows in chunks(len(counter.process)):
        parts: list[bytes | Bytes] = [_field(11, _VARINT), varints(counter.process[rows] + first_track)]
        parts += [_field(30, _VARINT), varints(np.maximum(counter.value[rows], 0))]
        yield side_by_side(_event(counter.time_ps[rows], _COUNTER, parts), rows.stop - rows.start).data
