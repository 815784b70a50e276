"""Traces for viewers: they parse, nest strictly, hold what the run left, and no name does any harm."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import result_of

import clustersim as cs
from clustersim.analysis.bubble import rank_times
from clustersim.analysis.critical_path import critical_path
from clustersim.analysis.memory import activation_curve
from clustersim.analysis.waits import find_waits
from clustersim.errors import InputError
from clustersim.report.chrome_trace import write_chrome
from clustersim.report.timeline import timeline_of
from clustersim.report.trace_files import check_trace_name, write_kineto_folder, write_trace
from clustersim.report.viewer import COMPUTES, Counter, Part, Slices, Thread, Timeline

HOSTILE = 'a "name", </script><b> \u202emirrored\u202c 🚀 \\ \n \x00 end'
SHARED = {"fabric": "single-node", "gpus": 4, "scaleup": {"bandwidth": "5 GB/s", "latency": "1 ms", "sharing": "fair"}}
JOBS: dict[str, dict[str, Any]] = {
    "1f1b": {},
    "gpipe on shared links": {"cluster": {"topology": SHARED}, "schedule": "gpipe"},
    "zero bubble, two steps": {"schedule": "zb-h1", "steps": 2},
    "overlapped pairs": {"schedule": "dualpipev", "batch": {"num_microbatches": 8}},
    "replicas": {"cluster": {"topology": SHARED}, "parallelism": {"pp": 2, "dp": 2}, "batch": {"num_microbatches": 4}},
}


def chrome(trace: cs.Trace, folder: Path, name: str = "job") -> dict[str, Any]:
    path = folder / "trace.json.gz"
    write_trace(trace, path, name)
    document: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()), parse_float=Fraction)
    return document


def slices_by_thread(events: list[dict[str, Any]]) -> dict[tuple[int, int], list[tuple[int, int, str]]]:
    """Return (start, end, name) of the slices of each thread, in the order of the file. [ps]"""
    found = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            start, duration = Fraction(event["ts"]) * 10**6, Fraction(event["dur"]) * 10**6
            assert start.denominator == 1
            found[event["pid"], event["tid"]].append((int(start), int(start) + round(duration), event["name"]))
    return found


def nests_strictly(slices: list[tuple[int, int, str]]) -> bool:
    """Return whether each slice lies within those that it begins in."""
    open_until: list[int] = []
    for start, end, _ in sorted(slices, key=lambda entry: (entry[0], -entry[1])):
        while open_until and open_until[-1] <= start:
            open_until.pop()
        if open_until and end > open_until[-1]:
            return False
        open_until.append(end)
    return True


def test_the_check_of_nesting_can_fail() -> None:
    assert nests_strictly([(0, 5, ""), (1, 2, ""), (5, 6, "")])
    assert not nests_strictly([(0, 5, ""), (1, 6, "")])


@pytest.mark.parametrize("job", JOBS)
def test_json_holds_every_op_and_nests(tmp_path: Path, job: str) -> None:
    trace = result_of(**JOBS[job]).trace
    events = chrome(trace, tmp_path)["traceEvents"]
    threads = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    slices = slices_by_thread(events)
    assert all(map(nests_strictly, slices.values()))
    assert set(slices) == set(threads)
    ops = trace.ops
    computes = ops.end_ps > ops.start_ps
    for place, own in slices.items():
        if threads[place] == "compute":
            mine = computes & (ops.rank_index == place[0] - 1)
            expected = list(zip(ops.start_ps[mine].tolist(), ops.end_ps[mine].tolist(), strict=True))
            assert [(start, end) for start, end, _ in own] == expected
    (path,) = [own for place, own in slices.items() if threads[place] == "what the run waits for"]
    assert [(start, end) for start, end, _ in path] == list(
        zip(*(column.tolist() for column in (critical_path(trace).start_ps, critical_path(trace).end_ps)), strict=True)
    )


@pytest.mark.parametrize("offset_ps", [0, 7_000_003, 900 * 10**12])
def test_slices_that_touch_do_not_overlap_for_readers_that_add_floats(tmp_path: Path, offset_ps: int) -> None:
    random = np.random.default_rng(0)
    edges_ps = offset_ps + np.cumsum(random.integers(1, [10**4, 10**12, 3 * 10**10], (2000, 3)).ravel())
    zeros = np.zeros(len(edges_ps) - 1, dtype=np.int64)
    slices = Slices(COMPUTES, zeros, zeros, ("F0",), edges_ps[:-1], edges_ps[1:], "stage", zeros)
    nothing = np.zeros(0, dtype=np.int64)
    counter = Counter("memory", nothing, nothing, nothing)
    parts = [Part(0, (Thread(0, "compute"),), slices)]
    write_chrome(Timeline("", ("rank 0",), lambda: iter(parts), lambda: counter), tmp_path / "t.json")
    events = [event for event in json.loads((tmp_path / "t.json").read_text())["traceEvents"] if event["ph"] == "X"]
    assert [round(event["dur"] * 10**6) for event in events] == np.diff(edges_ps).tolist()
    first = events[0]["ts"]
    for one, other in pairwise(events):
        assert one["ts"] + one["dur"] <= other["ts"]
        assert (one["ts"] - first) + one["dur"] <= other["ts"] - first  # as speedscope reads them


def test_messages_are_arrows_from_sender_to_receiver(tmp_path: Path) -> None:
    trace = result_of(**JOBS["gpipe on shared links"]).trace
    events = chrome(trace, tmp_path)["traceEvents"]
    begins = {event["id"]: event for event in events if event["ph"] == "s"}
    ends = {event["id"]: event for event in events if event["ph"] == "f"}
    assert sorted(begins) == sorted(ends) == list(range(len(trace.transfers)))
    for number in begins:
        places = begins[number]["pid"] - 1, ends[number]["pid"] - 1
        assert places == (trace.transfers.source[number], trace.transfers.destination[number])
        assert Fraction(begins[number]["ts"]) * 10**6 == int(trace.transfers.start_ps[number])
    assert all(event["bp"] == "e" for event in ends.values())


def test_overlapped_ops_are_named_for_both(tmp_path: Path) -> None:
    events = chrome(result_of(**JOBS["overlapped pairs"]).trace, tmp_path)["traceEvents"]
    assert any(event["name"].startswith("F") and "+B" in event["name"] for event in events if event["ph"] == "X")


def test_memory_is_a_counter(tmp_path: Path) -> None:
    trace = result_of().trace
    events = [event for event in chrome(trace, tmp_path)["traceEvents"] if event["ph"] == "C"]
    curve, ranks = activation_curve(trace), trace.ranks
    total = curve.value + ranks.allocated_bytes[curve.rank_index]
    assert [event["args"]["bytes"] for event in events] == total.tolist()
    assert [Fraction(event["ts"]) * 10**6 for event in events] == curve.time_ps.tolist()


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz", "trace.pftrace", "TRACE.PFTRACE"])
def test_names_do_no_harm_and_the_same_run_gives_the_same_bytes(tmp_path: Path, name: str) -> None:
    trace = result_of().trace
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_trace(trace, tmp_path / folder / name, HOSTILE)
    written = (tmp_path / "one" / name).read_bytes()
    assert written == (tmp_path / "two" / name).read_bytes()
    if name == "trace.json":
        assert b"</script>" not in written
        assert written.isascii()
        assert json.loads(written)["otherData"]["name"] == HOSTILE


def test_a_name_that_asks_for_no_format_is_refused(tmp_path: Path) -> None:
    for name in ("trace.txt", "trace", "trace.gz"):
        with pytest.raises(InputError, match=r"\.json\.gz, \.json, \.pftrace"):
            check_trace_name(name)
    (tmp_path / "file").write_text("kept")
    with pytest.raises(InputError, match="not a folder"):
        write_kineto_folder(result_of().trace, tmp_path / "file")


def fields(message: bytes) -> list[tuple[int, Any]]:
    """Return the fields of a protobuf message, read as its encoding says; bytes are left for a further look."""
    found: list[tuple[int, Any]] = []
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(message):
        number, wire_type = divmod(varint(), 8)
        if wire_type == 0:
            found.append((number, varint()))
        elif wire_type == 1:
            found.append((number, int.from_bytes(message[position : position + 8], "little")))
            position += 8
        else:
            assert wire_type == 2
            length = varint()
            found.append((number, message[position : position + length]))
            position += length
    return found


@pytest.mark.parametrize("job", JOBS)
def test_protobuf_holds_what_the_timeline_has(tmp_path: Path, job: str) -> None:
    trace = result_of(**JOBS[job]).trace
    write_trace(trace, tmp_path / "trace.pftrace")
    parts = [part.slices for part in timeline_of(trace).parts()]
    packets = [dict(fields(body)) for _, body in fields((tmp_path / "trace.pftrace").read_bytes())]
    events = [(packet[8], dict(fields(packet[11]))) for packet in packets if 11 in packet]
    num_slices = sum(map(len, parts))
    begins = [(time, event) for time, event in events if event[9] == 1]
    assert [event[9] for _, event in events].count(2) == len(begins) == num_slices
    starts = np.concatenate([part.start_ps for part in parts]) // 1000
    assert [time for time, _ in begins] == starts.tolist()
    interned = [field for packet in packets if 12 in packet for field in fields(packet[12])]
    names = {dict(fields(body))[1]: dict(fields(body))[2].decode() for number, body in interned if number == 2}
    expected = [part.names[name] for part in parts for name in part.name.tolist()]
    assert [names[event[10]] for _, event in begins] == expected
    told = {dict(fields(body))[1]: dict(fields(body))[2].decode() for number, body in interned if number == 3}
    assert len(set(told.values())) == len(told)  # no number is given twice
    assert len(set(names.values())) == len(names)
    numbers = [dict(fields(event[4])) for _, event in begins]
    assert [(told[number[1]], number[3]) for number in numbers] == [
        (part.number_name, number) for part in parts for number in part.number.tolist()
    ]
    # On each track what has begun ends before the next begins.
    open_on: dict[int, int] = {}
    for time, event in events:
        if event[9] == 1:
            assert event[11] not in open_on
            open_on[event[11]] = time
        elif event[9] == 2:
            assert open_on.pop(event[11]) <= time
    assert open_on == {}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_perfetto_s_own_classes_read_it(tmp_path: Path) -> None:
    messages = pytest.importorskip(
        "perfetto.protos.perfetto.trace.perfetto_trace_pb2", reason="perfetto is not installed; with it, it reads ours"
    )
    trace = result_of(**JOBS["gpipe on shared links"]).trace
    write_trace(trace, tmp_path / "trace.pftrace", HOSTILE)
    read = messages.Trace()
    read.ParseFromString((tmp_path / "trace.pftrace").read_bytes())
    tracks = [packet.track_descriptor for packet in read.packet if packet.HasField("track_descriptor")]
    processes = [track.process.process_name for track in tracks if track.HasField("process")]
    assert len(processes) == len(trace.ranks) + 1
    assert processes[-1].endswith(HOSTILE)
    parents = {track.uuid for track in tracks if track.HasField("process")}
    assert all(track.parent_uuid in parents for track in tracks if not track.HasField("process"))
    events = [packet.track_event for packet in read.packet if packet.HasField("track_event")]
    assert {event.track_uuid for event in events} <= {track.uuid for track in tracks}
    begun = {flow for event in events for flow in event.flow_ids}
    ended = {flow for event in events for flow in event.terminating_flow_ids}
    assert begun == ended == set(range(1, len(trace.transfers) + 1))


def test_a_profile_has_a_file_for_each_rank(tmp_path: Path) -> None:
    trace = result_of(**JOBS["zero bubble, two steps"]).trace
    paths = write_kineto_folder(trace, tmp_path / "new" / "profile", HOSTILE)
    assert [path.name for path in paths] == [f"rank{rank}.json.gz" for rank in range(4)]
    for index, path in enumerate(paths):
        document = json.loads(gzip.decompress(path.read_bytes()))
        assert document["distributedInfo"] == {"backend": "nccl", "rank": index, "world_size": 4}
        events = document["traceEvents"]
        assert [event["name"] for event in events if event.get("cat") == "user_annotation"] == [
            "ProfilerStep#0",
            "ProfilerStep#1",
        ]
        kernels = [event for event in events if event.get("cat") == "kernel"]
        launches = [event["args"]["correlation"] for event in events if event.get("cat") == "cuda_runtime"]
        assert sorted(launches) == sorted(event["args"]["correlation"] for event in kernels)
        assert len(set(launches)) == len(launches)
        computing = sum(event["dur"] for event in kernels if not event["name"].startswith("nccl"))
        own = trace.ops.rank_index == index
        assert round(computing * 10**6) == (trace.ops.end_ps - trace.ops.start_ps)[own].sum()
        assert all(map(nests_strictly, slices_by_thread([e | {"pid": 0} for e in kernels_exactly(path)]).values()))


def kernels_exactly(path: Path) -> list[dict[str, Any]]:
    """Return the kernels of a profile with times as exact fractions."""
    document = json.loads(gzip.decompress(path.read_bytes()), parse_float=Fraction)
    return [event for event in document["traceEvents"] if event.get("cat") == "kernel"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("job", ["1f1b", "zero bubble, two steps", "replicas"])
def test_holistic_trace_analysis_finds_the_same_shares(tmp_path: Path, job: str) -> None:
    analysis = pytest.importorskip("hta.trace_analysis", reason="Holistic Trace Analysis is not installed")
    trace = result_of(**JOBS[job] | {"batch": {"num_microbatches": 24}}).trace
    write_kineto_folder(trace, tmp_path)
    read = analysis.TraceAnalysis(trace_dir=str(tmp_path), include_last_profiler_step=True)
    breakdown = read.get_temporal_breakdown(visualize=False)
    compute_ps = rank_times(trace, find_waits(trace)).compute_ps.tolist()
    assert len(breakdown) == len(compute_ps)
    for rank, percentage in zip(breakdown["rank"], breakdown["compute_time_pctg"], strict=True):
        assert float(percentage) == pytest.approx(100 * compute_ps[rank] / trace.makespan_ps, abs=0.1)
