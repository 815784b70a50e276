"""Parts of a run in traces, profiles and tables: what the whole has of them, cut at the window's edges, and no more."""

from __future__ import annotations

import csv
import gzip
import json
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import result_of

import clustersim as cs
from clustersim.errors import InputError
from clustersim.report.excerpt import WHOLE, Excerpt, keep, left_out
from clustersim.report.excerpt_tables import tables_of
from clustersim.report.frames import table
from clustersim.report.tables import TABLES, write_columns
from clustersim.report.timeline import timeline_of
from clustersim.report.trace_files import write_kineto_folder, write_trace
from clustersim.report.viewer import ARROW_FROM, EXCERPT, PATH, Timeline

FAIR = {"fabric": "single-node", "gpus": 8, "scaleup": {"bandwidth": "5 GB/s", "latency": "1 ms", "sharing": "fair"}}
APART = {"fabric": "full-mesh", "gpus": 8, "link": {"bandwidth": "5 GB/s", "latency": "1 ms"}}
REPLICAS = {"parallelism": {"pp": 2, "dp": 4}, "batch": {"num_microbatches": 4}}
EXCHANGE = {"axis": "tp", "op": "forward", "collective": "all-reduce", "size": "10 MB"}
COSTS = {"forward": "10 ms", "backward": "20 ms", "activation": "1 GiB", "message": "10 MB"}
JOBS: dict[str, dict[str, Any]] = {
    "apart": {"cluster": {"topology": APART}, "stage_costs": COSTS, **REPLICAS},
    "joined by links": {"cluster": {"topology": FAIR}, **REPLICAS},
    "joined by collectives": {
        "cluster": {"topology": FAIR},
        "parallelism": {"tp": 2, "pp": 2, "dp": 2},
        "stage_costs": COSTS | {"exchanges": [EXCHANGE], "gradients": "1 GB"},
        "steps": 2,
    },
}
EXCERPTS = {
    "window": Excerpt(window_ps=(31 * 10**9, 75_500_000_001)),
    "ranks": Excerpt(ranks=(0, 3, 7)),
    "ranks and window": Excerpt(window_ps=(0, 60 * 10**9), ranks=(1, 2, 4)),
    "every second": Excerpt(every=2),
    "few slices": Excerpt(max_slices=60),
    "very few slices": Excerpt(max_slices=7, window_ps=(20 * 10**9, 10**12)),
}
every_case = pytest.mark.parametrize(("job", "name"), [(job, name) for job in JOBS for name in EXCERPTS])


def slices_of(timeline: Timeline) -> Counter[tuple[Any, ...]]:
    """Return (process, kind, name, start, end, number) of all slices, but of that which says what is left out."""
    found: Counter[tuple[Any, ...]] = Counter()
    for part in timeline.parts():
        own = part.slices
        is_next = own.thread[1:] == own.thread[:-1]
        assert (own.end_ps[:-1][is_next] <= own.start_ps[1:][is_next]).all()
        if own.kind != EXCERPT:
            processes = [timeline.processes[part.threads[t - part.first_thread].process] for t in own.thread.tolist()]
            names = [own.names[name] for name in own.name.tolist()]
            times = own.start_ps.tolist(), own.end_ps.tolist()
            found.update(zip(processes, [own.kind] * len(own), names, *times, own.number.tolist(), strict=True))
    return found


@every_case
def test_slices_are_those_of_the_whole_within_the_window(job: str, name: str) -> None:
    trace, excerpt = result_of(**JOBS[job]).trace, EXCERPTS[name]
    kept, shown, whole = keep(trace, excerpt), timeline_of(trace, "", excerpt), timeline_of(trace)
    begin_ps, end_ps = kept.window_ps or (0, trace.makespan_ps + 1)
    expected: Counter[tuple[Any, ...]] = Counter()
    for (process, kind, what, start_ps, until_ps, number), times in slices_of(whole).items():
        is_inside = start_ps < end_ps and (until_ps > begin_ps or start_ps >= begin_ps)
        if is_inside and process in shown.processes:
            expected[process, kind, what, max(start_ps, begin_ps), min(until_ps, end_ps), number] += times
    found = slices_of(shown)
    assert found == expected
    num_slices = sum(times for (_, kind, *_), times in found.items() if kind != PATH)
    num_of_run = sum(times for (_, kind, *_), times in slices_of(whole).items() if kind != PATH)
    assert left_out(kept).startswith(f"{num_slices:,} of {num_of_run:,} slices")
    assert num_slices <= (excerpt.max_slices or num_of_run)
    assert shown.excerpt == left_out(kept) != ""


@every_case
def test_arrows_join_ranks_that_are_both_there(job: str, name: str) -> None:
    trace, excerpt = result_of(**JOBS[job]).trace, EXCERPTS[name]
    kept, sent = keep(trace, excerpt), trace.transfers
    arrows: dict[str, dict[int, int]] = {"from": {}, "to": {}}
    for part in timeline_of(trace, "", excerpt).parts():
        own = part.slices
        for thread in part.threads:
            assert ("left out" in thread.name) <= (own.arrow is None)
        if own.arrow is not None:
            assert not arrows[own.arrow_end].keys() & {*own.arrow.tolist()}
            arrows[own.arrow_end] |= dict(zip(own.arrow.tolist(), own.start_ps.tolist(), strict=True))
    assert arrows[ARROW_FROM] == arrows["to"]
    is_whole = kept.is_kept[sent.source] & kept.is_kept[sent.destination] & kept.overlaps(sent.start_ps, sent.end_ps)
    assert len(arrows["to"]) == int(is_whole.sum())


@every_case
def test_memory_is_what_the_whole_says_from_the_window_s_first_moment(job: str, name: str) -> None:
    trace, excerpt = result_of(**JOBS[job]).trace, EXCERPTS[name]
    kept, timeline = keep(trace, excerpt), timeline_of(trace, "", excerpt)
    whole, shown = timeline_of(trace).counter(), timeline.counter()
    begin_ps, end_ps = kept.span_ps
    assert (np.diff(shown.process) >= 0).all()
    for process, row in enumerate(np.flatnonzero(kept.is_kept).tolist()):
        own, all_of_it = shown.process == process, whole.process == row
        for time_ps in np.linspace(begin_ps, end_ps - 1, 23).astype(np.int64).tolist():
            values = [
                each.value[mine & (each.time_ps <= time_ps)][-1:] for each, mine in ((shown, own), (whole, all_of_it))
            ]
            assert values[0].tolist() == values[1].tolist()
        assert ((shown.time_ps[own] >= begin_ps) & (shown.time_ps[own] <= end_ps)).all()


def rows(columns: dict[str, Any], folder: Path) -> list[dict[str, str]]:
    (path,) = write_columns([("table", columns)], folder)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@every_case
def test_tables_have_the_rows_of_the_whole(tmp_path: Path, job: str, name: str) -> None:
    trace = result_of(**JOBS[job]).trace
    kept = keep(trace, EXCERPTS[name])
    begin_ps, end_ps = kept.window_ps or (0, trace.makespan_ps + 1)
    ranks = {str(rank) for rank in trace.ranks.rank[kept.is_kept].tolist()}
    for table_name, columns in tables_of(kept):
        if table_name in ("excerpt", "links"):
            continue
        expected = []
        for row in rows(TABLES[table_name](trace), tmp_path):
            own = {row[key] for key in ("rank", "source_rank", "destination_rank") if key in row}
            own |= {*row.get("ranks", "").split()}
            times = [int(row[key]) for key in ("start_ps", "end_ps", "time_ps") if key in row]
            is_inside = not times or (times[0] < end_ps and (times[-1] > begin_ps or times[0] >= begin_ps))
            if is_inside and (not own or own & ranks or table_name == "critical_path"):
                expected.append(row)
        assert rows(columns, tmp_path) == expected, table_name


def test_files_say_what_they_leave_out(tmp_path: Path) -> None:
    trace, excerpt = result_of(**JOBS["apart"]).trace, EXCERPTS["ranks and window"]
    said = left_out(keep(trace, excerpt))
    for name in ("t.json", "t.pftrace"):
        write_trace(trace, tmp_path / name, "job", excerpt)
        assert said.encode() in (tmp_path / name).read_bytes()
    paths = write_kineto_folder(trace, tmp_path / "profile", "job", excerpt)
    assert sorted(path.name for path in paths) == ["rank1.json.gz", "rank2.json.gz", "rank4.json.gz"]
    for path in paths:
        document = json.loads(gzip.decompress(path.read_bytes()))
        assert document["excerpt"] == said
        assert document["distributedInfo"]["world_size"] == 8
        ends_us = [event["ts"] + event["dur"] for event in document["traceEvents"] if "ts" in event]
        assert max(ends_us) == pytest.approx(60_000)
    (told,) = (columns for key, columns in tables_of(keep(trace, excerpt)) if key == "excerpt")
    assert told["ranks"] == [3]
    write_trace(trace, tmp_path / "whole.json")
    assert b"excerpt" not in (tmp_path / "whole.json").read_bytes()


def test_a_table_of_a_part_in_python() -> None:
    result = result_of(**JOBS["apart"])
    ops = table(result, "ops", cs.Excerpt(ranks=(2,)))
    assert set(ops.columns["rank"].tolist()) == {2}
    assert result.trace.ops.start_ps[ops.columns["op"]].tolist() == ops.columns["start_ps"].tolist()
    assert len(table(result, "ops", WHOLE)) == len(result.trace.ops)


@pytest.mark.parametrize(
    ("excerpt", "what"),
    [
        (Excerpt(ranks=(0, 8)), "there is no rank 8; the run has 8, 0 to 7"),
        (Excerpt(ranks=(1, 5), every=2), "none of these ranks"),  # both of replica 1
        (Excerpt(window_ps=(10**15, 10**16)), "nothing of the run lies from"),
        (Excerpt(window_ps=(5, 5)), "nothing of the run lies from"),
        (Excerpt(every=0), "every: got 0; at least 1"),
        (Excerpt(max_slices=-1), "max_slices: got -1; at least 1"),
    ],
)
def test_what_is_not_there_is_refused(excerpt: Excerpt, what: str) -> None:
    with pytest.raises(InputError, match=what):
        keep(result_of(**JOBS["apart"]).trace, excerpt)


def test_replicas_come_apart_where_nothing_joins_them() -> None:
    traces = {name: result_of(**job).trace for name, job in JOBS.items()}
    assert [name for name, trace in traces.items() if trace.of_replicas([0]) is not trace] == ["apart"]
    parts = list(keep(traces["apart"], Excerpt(every=2)).parts())
    assert [part.trace.ranks.rank.tolist() for part in parts] == [[0, 4], [2, 6]]
    assert [traces["apart"].ranks.rank[part.rows].tolist() for part in parts] == [[0, 4], [2, 6]]


def test_memory_does_not_grow_with_what_is_left_out(tmp_path: Path) -> None:
    peaks = []
    for num_replicas in (24, 60):  # some twenty are looked at together
        sizes = {"parallelism": {"pp": 2, "dp": num_replicas}, "batch": {"num_microbatches": 400}}
        fabric = {**APART, "gpus": 2 * num_replicas}
        # A folded trace copies columns of all GPUs; one of a run of all records what was noted, which is done here.
        trace = result_of(fold=False, cluster={"topology": fabric}, stage_costs=COSTS, **sizes).trace
        assert trace.folded is not None
        trace.folded.whole()
        tracemalloc.start()
        write_trace(trace, tmp_path / "t.pftrace", "", Excerpt(ranks=(0, 1), window_ps=(0, 10**12)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.25 * peaks[0]
