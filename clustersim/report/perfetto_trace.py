"""A run in Perfetto's own trace format, TrackEvent protobuf: smaller, and quicker to write and to open than JSON.

Times are nanoseconds, as the format has them, rounded down; the JSON form is exact. Packets of one kind have one
length: their numbers are varints filled up to the longest, which every reader takes.

References
----------
Perfetto, "Writing TrackEvent Protos Synthetically"; the messages Trace, TracePacket, TrackDescriptor, TrackEvent,
InternedData and EventName of perfetto/protos.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from clustersim.report.byte_rows import Bytes, chunks, side_by_side, varints
from clustersim.report.viewer import ARROW_FROM, Counter, Slices, Thread, Timeline
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
    num_processes = len(timeline.processes)
    names: dict[str, int] = {}
    arguments: dict[str, int] = {}
    yield _packet(_number(13, _STATE_CLEARED))
    for pid, name in enumerate(timeline.processes, 1):
        yield _process(pid, name)
    for part in timeline.parts():
        slices = part.slices
        yield _interned(_numbered(slices.names, names), _numbered([slices.number_name], arguments))
        # Tracks are numbered: processes, then the counter of each, then threads.
        first_thread = 2 * num_processes + 1
        for number, thread in enumerate(part.threads, part.first_thread):
            yield _thread(first_thread + number, thread, number)
        name_iids = np.array([names[name] for name in slices.names], dtype=np.int64)
        yield from _slices(slices, first_thread, name_iids, arguments[slices.number_name])
    yield from _counter(timeline.counter(), num_processes + 1)


def _numbered(names: Sequence[str], iid_by_name: dict[str, int]) -> dict[str, int]:
    """Return the names that have no number yet, each with the next one, which `iid_by_name` then has too."""
    new = [name for name in dict.fromkeys(names) if name not in iid_by_name]
    numbered = {name: iid for iid, name in enumerate(new, len(iid_by_name) + 1)}
    iid_by_name |= numbered
    return numbered


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


def _interned(names: dict[str, int], arguments: dict[str, int]) -> bytes:
    """Return the packet that gives names numbers: those of slices, and of what they tell."""
    body = b"".join(
        _message(field, _number(1, iid) + _message(2, name.encode()))
        for field, iid_by_name in ((2, names), (3, arguments))
        for name, iid in iid_by_name.items()
    )
    return _packet(_number(13, _NEEDS_STATE) + _message(12, body))


def _process(pid: int, name: str) -> bytes:
    """Return the packet that describes a process, whose track has its id for uuid."""
    process = _number(1, pid) + _message(6, name.encode())
    return _packet(_message(60, _number(1, pid) + _message(3, process) + _number(11, _IN_ORDER_GIVEN)))


def _thread(uuid: int, thread: Thread, place: int) -> bytes:
    """Return the packet that describes a thread, which stands below those of lower places."""
    pid = thread.process + 1
    body = _number(1, pid) + _number(2, uuid) + _message(5, thread.name.encode())
    return _packet(_message(60, _number(1, uuid) + _number(5, pid) + _message(4, body) + _number(12, place)))


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


def _counter(counter: Counter, first_track: int) -> Iterator[bytes | memoryview]:
    for process in np.unique(counter.process).tolist():
        track = _number(1, first_track + process) + _number(5, process + 1)
        track += _message(2, counter.name.encode()) + _message(8, _number(3, _UNIT_SIZE_BYTES))
        yield _packet(_message(60, track))
    for rows in chunks(len(counter.process)):
        parts: list[bytes | Bytes] = [_field(11, _VARINT), varints(counter.process[rows] + first_track)]
        parts += [_field(30, _VARINT), varints(np.maximum(counter.value[rows], 0))]
        yield side_by_side(_event(counter.time_ps[rows], _COUNTER, parts), rows.stop - rows.start).data
