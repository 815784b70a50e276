"""Stores of sweeps: every way to run them gives the same one, and none mixes two sweeps."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from small_sweep import AXES, scenario

import clustersim as cs
from clustersim.errors import InputError
from clustersim.planning.merge import merged
from clustersim.planning.row import SweepRow
from clustersim.planning.store import SweepStore
from clustersim.planning.sweep import stored


def content(path: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found = connection.execute("SELECT * FROM points ORDER BY position").fetchall()
    connection.close()
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "whole.db"
    cs.sweep(scenario(), AXES, store=path)
    return path


def test_a_store_has_what_a_sweep_without_one_gives(whole: Path) -> None:
    plain = cs.sweep(scenario(), AXES)
    with SweepStore.open(whole) as store:
        assert stored(store).to_dict() == plain.to_dict()
        assert (store.name, store.num_points) == ("small", 24)
    assert [row.status for row in plain.rows].count("refused") == 6


def test_other_programs_find_a_column_for_each_axis_and_result(whole: Path) -> None:
    connection = sqlite3.connect(whole)
    query = """SELECT schedule, "batch.num_microbatches", status, step_time_s FROM results WHERE seed = 1"""
    rows = connection.execute(query).fetchall()
    connection.close()
    assert rows[:3] == [("gpipe", 0, "refused", None), ("gpipe", 1, "ok", 0.006), ("gpipe", 2, "ok", 0.009)]


@pytest.mark.parametrize(
    "how", [{"jobs": 2}, {"jobs": 3, "executor": ThreadPoolExecutor}], ids=["processes", "executor"]
)
def test_whatever_runs_it_the_store_is_the_same(how: dict[str, Any], whole: Path, tmp_path: Path) -> None:
    told: list[SweepRow] = []
    cs.sweep(scenario(), AXES, store=tmp_path / "other.db", on_row=told.append, **how)
    assert content(tmp_path / "other.db") == content(whole)
    assert len(told) == 24


def interrupted_after(number: int) -> Callable[[SweepRow], None]:
    """Return a function that interrupts at its `number`-th call, as a user does with ^C."""
    calls: list[SweepRow] = []

    def count(row: SweepRow) -> None:
        calls.append(row)
        if len(calls) == number:
            raise KeyboardInterrupt

    return count


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupted_sweep_goes_on_where_it_was(jobs: int, whole: Path, tmp_path: Path) -> None:
    path, seen, told = tmp_path / "a.db", list[int](), list[SweepRow]()
    with pytest.raises(KeyboardInterrupt):
        cs.sweep(scenario(), AXES, store=path, jobs=jobs, on_row=interrupted_after(9))
    num_done = len(content(path))
    assert num_done >= 9
    cs.sweep(scenario(), AXES, store=path, on_start=lambda *numbers: seen.extend(numbers), on_row=told.append)
    assert (seen, len(told)) == ([num_done, 24], 24 - num_done)
    assert content(path) == content(whole)


@pytest.mark.parametrize(
    ("change", "axes", "what"),
    [
        ({"stage_costs": {"forward": "2 ms", "backward": "2 ms"}}, AXES, 'stage_costs.forward is "1 ms" there, "2 ms"'),
        ({}, AXES | {"seed": [1, 2]}, "sweep.axes.seed is [1,2,3] there, [1,2] here"),
        ({"steps": 2}, AXES, "steps is 1 there, 2 here"),
    ],
)
def test_a_store_takes_no_other_sweep(change: dict[str, Any], axes: Any, what: str, whole: Path) -> None:
    before = content(whole)
    with pytest.raises(InputError) as caught:
        cs.sweep(scenario(**change), axes, store=whole)
    assert "the store of another sweep" in str(caught.value)
    assert what in str(caught.value)
    assert content(whole) == before


def test_a_file_that_a_scenario_names_is_part_of_the_sweep(tmp_path: Path) -> None:
    folder = tmp_path / "scenario"
    folder.mkdir()
    (folder / "order.csv").write_text("0F0,0B0\n1F0,1B0\n")
    (folder / "s.yaml").write_text(
        "version: 1\nstage_costs: {forward: 1 ms, backward: 1 ms}\nparallelism: {pp: 2}\nbatch: {num_microbatches: 1}\n"
        "cluster: {topology: {fabric: full-mesh, gpus: 2}}\nschedule: gpipe\n"
        "sweep: {axes: {schedule: [gpipe, {csv: order.csv}]}}\n"
    )
    assert {row.status for row in cs.sweep(folder / "s.yaml", store=tmp_path / "a.db").rows} == {"ok"}
    (folder / "order.csv").write_text("0F0, 0B0\n1F0,1B0\n")
    with pytest.raises(InputError, match=r"files\.order\.csv"):
        cs.sweep(folder / "s.yaml", store=tmp_path / "a.db")


def graph_files(folder: Path, bandwidth: str) -> None:
    """Write a graph, a topology that names it, and a sweep over topologies beside one that has it for its own."""
    folder.mkdir(exist_ok=True)
    nodes = [{"id": name, "kind": "gpu"} for name in ("a", "b")]
    links = [{"source": "a", "target": "b", "bandwidth": bandwidth, "latency": "1 us"}]
    (folder / "g.json").write_text(json.dumps({"nodes": nodes, "links": links}))
    (folder / "t.yaml").write_text("fabric: graph\nfile: g.json\n")
    (folder / "s.yaml").write_text(
        "version: 1\nstage_costs: {forward: 1 ms, backward: 1 ms, message: 1 MB}\nparallelism: {pp: 2}\n"
        "batch: {num_microbatches: 1}\ncluster: {topology: t.yaml}\nschedule: gpipe\n"
    )


def test_a_file_that_a_topology_names_is_part_of_the_sweep(tmp_path: Path) -> None:
    graph_files(tmp_path / "f", "1 GB/s")
    axes = {"cluster.topology": ["t.yaml", {"fabric": "full-mesh", "gpus": 2}]}
    base = cs.load_scenario(tmp_path / "f" / "s.yaml", ["cluster.topology={fabric: full-mesh, gpus: 4}"])
    cs.sweep(base, axes, store=tmp_path / "a.db")
    graph_files(tmp_path / "f", "2 GB/s")
    with pytest.raises(InputError, match=r"files\.g\.json"):
        cs.sweep(base, axes, store=tmp_path / "a.db")


def test_shards_of_copies_of_a_folder_are_of_one_sweep(tmp_path: Path) -> None:
    paths = []
    for number in (1, 2):
        folder = tmp_path / f"machine{number}"
        graph_files(folder, "1 GB/s")
        paths.append(tmp_path / f"{number}.db")
        cs.sweep(folder / "s.yaml", {"batch.num_microbatches": [1, 2, 4]}, store=paths[-1], shard=f"{number}/2")
    with merged(paths, tmp_path / "all.db") as store:
        assert len(store.positions()) == store.num_points == 3


@pytest.mark.parametrize("data", [b"not a database at all, but text" * 100, b"SQLite format 3\x00" + b"x" * 5000])
def test_a_file_that_is_no_store_stays_as_it_is(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    path.write_bytes(data)
    with pytest.raises(InputError, match="can't be used as a store"):
        cs.sweep(scenario(), AXES, store=path)
    assert path.read_bytes() == data


def test_another_program_s_database_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE points (position INTEGER PRIMARY KEY)")
    connection.close()
    with pytest.raises(InputError, match="no store of a sweep"):
        cs.sweep(scenario(), AXES, store=path)


@pytest.mark.parametrize("number", [1, 3, 30])
def test_shards_make_up_the_whole(number: int, whole: Path, tmp_path: Path) -> None:
    parts = [tmp_path / f"{index}.db" for index in range(1, number + 1)]
    for index, part in enumerate(parts, start=1):
        cs.sweep(scenario(), AXES, store=part, shard=f"{index}/{number}")
    sizes = [len(content(part)) for part in parts]
    assert (sum(sizes), max(sizes) - min(sizes) <= 1) == (24, True)
    with merged(parts, tmp_path / "all.db") as store:
        assert len(store.positions()) == 24
    assert content(tmp_path / "all.db") == content(whole)
    with merged([whole], tmp_path / "all.db"):
        assert content(tmp_path / "all.db") == content(whole)


def test_stores_that_disagree_or_are_of_two_sweeps_are_not_merged(whole: Path, tmp_path: Path) -> None:
    cs.sweep(scenario(), AXES, store=tmp_path / "a.db", shard="1/2")
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("UPDATE points SET measures = replace(measures, '0.006', '0.007') WHERE position = 4")
    connection.close()
    with pytest.raises(
        InputError, match=r"point 4 has another result than in .*whole\.db: step_time_s is 0\.006 and 0\.007"
    ):
        merged([whole, tmp_path / "a.db"], tmp_path / "all.db")
    cs.sweep(scenario(), {"seed": [1]}, store=tmp_path / "b.db")
    with pytest.raises(InputError, match=r"the store of another sweep than .*whole\.db: sweep\.axes"):
        merged([whole, tmp_path / "b.db"], tmp_path / "all.db")
    assert not (tmp_path / "all.db").exists()


def test_a_row_is_written_once_whoever_comes_second(whole: Path, tmp_path: Path) -> None:
    cs.sweep(scenario(), AXES, store=tmp_path / "a.db", shard="1/2")
    with SweepStore.open(whole) as store, SweepStore.open(tmp_path / "a.db") as other:
        rows = list(store.keyed_rows())
        other.add_keyed(rows)
        other.add_keyed((position, key, SweepRow(row.values, "failed", "late", {})) for position, key, row in rows)
    assert content(tmp_path / "a.db") == content(whole)


def test_failed_points_are_run_again_if_that_is_asked_for(whole: Path, tmp_path: Path) -> None:
    path, before = tmp_path / "a.db", list[int]()
    cs.sweep(scenario(), AXES, store=path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE points SET status = 'failed', reason = 'killed', measures = '{}' WHERE position = 4")
    connection.close()
    assert [row.status for row in cs.sweep(scenario(), AXES, store=path).rows].count("failed") == 1
    cs.sweep(scenario(), AXES, store=path, retry_failed=True, on_start=lambda done, _all: before.append(done))
    assert before == [23]
    assert content(path) == content(whole)


def test_a_shard_has_a_place_among_others() -> None:
    with pytest.raises(InputError, match="a shard is i/N"):
        cs.sweep(scenario(), AXES, shard="3/2")
