"""The CSV files of a run: they read back as the trace, and what they hold adds up."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from drawing import result_of

import clustersim as cs
from clustersim.analysis.memory import activation_curve
from clustersim.errors import InputError
from clustersim.report.tables import csv_text, write_tables

NAMES = ("ops", "transfers", "collectives", "links", "link_load", "memory", "ranks", "critical_path")


def read(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def test_every_file_reads_back(tmp_path: Path) -> None:
    trace = result_of().trace
    assert write_tables(trace, tmp_path / "new" / "folder") == [tmp_path / "new" / "folder" / f"{n}.csv" for n in NAMES]
    ops, transfers, _, links, _, memory, ranks, path = (read(tmp_path / "new" / "folder", name) for name in NAMES)
    assert [int(row["start_ps"]) for row in ops] == trace.ops.start_ps.tolist()
    assert [int(row["end_ps"]) for row in transfers] == trace.transfers.end_ps.tolist()
    assert tuple(row["link"] for row in links) == trace.links.name
    assert [int(row["activations_bytes"]) for row in memory] == activation_curve(trace).value.tolist()
    assert [int(row["rank"]) for row in ranks] == trace.ranks.rank.tolist()
    assert [int(row["start_ps"]) for row in path] == [0, *(int(row["end_ps"]) for row in path[:-1])]
    assert Counter(row["kind"] for row in ops) == {"F": 32, "B": 32, "BARRIER": 4, "OPTIMIZER": 4}
    assert {row["route"] for row in transfers} == {
        f"gpu{a}->gpu{b}" for a in range(4) for b in range(4) if abs(a - b) == 1
    }


@pytest.mark.parametrize("sections", [{}, {"schedule": "zb-h1"}, {"steps": 2}, {"batch": {"num_microbatches": 1}}])
def test_nothing_is_lost_between_the_files(tmp_path: Path, sections: dict[str, object]) -> None:
    result = result_of(**sections)
    write_tables(result.trace, tmp_path)
    ops, transfers, _, links, _, memory, ranks, path = (read(tmp_path, name) for name in NAMES)
    for row in ranks:
        mine = [op for op in ops if op["rank"] == row["rank"]]
        assert sum(int(op["end_ps"]) - int(op["start_ps"]) for op in mine) == int(row["compute_ps"])
        parts = ("compute_ps", "exposed_communication_ps", "bubble_ps")
        assert sum(int(row[part]) for part in parts) == int(row["makespan_ps"]) == result.trace.makespan_ps
        curve = [int(change["total_bytes"]) for change in memory if change["rank"] == row["rank"]]
        assert max(curve) == int(row["peak_bytes"])
    assert sum(int(row["end_ps"]) - int(row["start_ps"]) for row in path) == result.trace.makespan_ps
    carried = Counter[str]()
    for transfer in transfers:
        for link in transfer["route"].split():
            carried[link] += int(transfer["size_bytes"])
    assert carried == {row["link"]: int(row["size_bytes"]) for row in links}


def test_no_text_is_taken_for_a_formula(tmp_path: Path) -> None:
    trace = result_of().trace
    names = ("=1+1", "+1", "-1", "@SUM(A1)", 'a "quoted", name', "gpu2->gpu3")
    routes = tuple((names[number],) for number in range(len(trace.routes)))
    write_tables(replace(trace, links=replace(trace.links, name=names), routes=routes), tmp_path)
    assert [row["link"] for row in read(tmp_path, "links")] == [*("'" + name for name in names[:4]), *names[4:]]
    assert b"\r" not in (tmp_path / "links.csv").read_bytes()


def test_tables_are_written_to_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="not a folder"):
            write_tables(result_of().trace, folder)
    assert (tmp_path / "file").read_text() == "kept"


def test_collectives_and_the_load_of_links_over_time(tmp_path: Path) -> None:
    trace = cs.simulate("collision-scattered").trace
    write_tables(trace, tmp_path)
    collectives, load = read(tmp_path, "collectives"), read(tmp_path, "link_load")
    assert [int(row["end_ps"]) for row in collectives] == trace.collectives.end_ps.tolist()
    # Four stages in two steps: weights gathered, and 6 GiB of gradients in buckets of at most 160 MB.
    assert Counter(row["operation"] for row in collectives) == {"all-gather": 8, "reduce-scatter": 8 * 41}
    assert {len(row["ranks"].split()) for row in collectives} == {16}
    most = dict(zip(trace.links.name, trace.links.bytes_per_s.tolist(), strict=True))
    assert all(int(row["bytes_per_s"]) <= most[row["link"]] * (1 + 1e-9) for row in load)
    last = {row["link"]: int(row["bytes_per_s"]) for row in load}
    assert set(last.values()) == {0}


def test_small_tables() -> None:
    text = csv_text(["axis", "reason"], [["=x", 'say "no", please'], [-1, None]])
    assert list(csv.reader(text.splitlines(), strict=True)) == [
        ["axis", "reason"],
        ["'=x", 'say "no", please'],
        ["-1", ""],
    ]
