"""sweep into a store, merge, export and report, from the command line."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clustersim.cli.sweeps import _Teller

Run = Callable[..., tuple[int, str, str]]

AXES = ("--axis", "schedule=gpipe,zb-h1", "--axis", "batch.num_microbatches={range: {start: 4, stop: 16, factor: 2}}")
THREADS = ("--jobs", "2", "--executor", "concurrent.futures:ThreadPoolExecutor")


def test_a_sweep_into_a_store_is_resumed_exported_and_shown(run: Run, scenario: str, tmp_path: Path) -> None:
    store, page, lines = (str(tmp_path / name) for name in ("results.db", "page.html", "rows.jsonl"))
    assert run("sweep", scenario, *AXES, *THREADS, "-o", store, "--shard", "1/2") == (
        0,
        "",
        f"{store}: 3 of 3 points are done\n",
    )
    code, out, err = run("report", store)
    assert (code, "missing: 1, 3, 5" in err) == (0, True)
    code, out, err = run("sweep", scenario, *AXES, "--jobs", "1", "-o", store, "--json")
    assert (code, err) == (0, f"{store}: 6 of 6 points are done, 3 of them before\n")
    document = json.loads(out)
    assert json.loads(run("sweep", scenario, *AXES, "--jobs", "1", "--json")[1]) == document
    assert json.loads(run("report", store, "--json")[1]) == document
    assert "Step time: schedule down, batch.num_microbatches across" in run("report", store)[1]
    assert run("report", store, "-o", page)[:2] == (0, "")
    assert "sweep</title>" in Path(page).read_text(encoding="utf-8")
    assert run("-q", "export", store, "-o", lines) == (0, "", "")
    assert [json.loads(line) for line in Path(lines).read_text(encoding="utf-8").splitlines()] == document["rows"]
    rows = list(csv.DictReader(io.StringIO(run("export", store)[1])))
    assert [row["batch.num_microbatches"] for row in rows] == ["4", "8", "16"] * 2
    assert [float(row["step_time_s"]) for row in rows] == [row["step_time_s"] for row in document["rows"]]


def test_shards_are_merged(run: Run, scenario: str, tmp_path: Path) -> None:
    parts = [str(tmp_path / f"{number}.db") for number in (1, 2, 3)]
    for number, part in enumerate(parts, start=1):
        assert run("-q", "sweep", scenario, *AXES, "--jobs", "1", "-o", part, "--shard", f"{number}/3") == (0, "", "")
    whole = str(tmp_path / "whole.db")
    code, out, err = run("merge", *parts[:2], "-o", whole)
    assert (code, out) == (0, "")
    assert f"{whole}: 4 of 6 points are done; missing: 2, 5" in err
    code, out, err = run("merge", *parts, "-o", f"{whole}.csv")
    assert (code, out) == (2, "")
    assert "a store is named .db, .sqlite, .sqlite3" in err
    assert run("merge", *parts, "-o", whole) == (0, "", f"{whole}: 6 of 6 points are done\n")
    assert len(json.loads(run("report", whole, "--json")[1])["rows"]) == 6


def test_parquet(run: Run, scenario: str, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    store, table = str(tmp_path / "results.db"), str(tmp_path / "rows.parquet")
    axes = ("--axis", "schedule=1f1b,{name: zb-h1}", "--axis", "batch.num_microbatches=0,8", "--jobs", "1")
    run("sweep", scenario, *axes, "-o", store)
    assert run("export", store, "-o", table) == (0, "", "")
    rows = parquet.read_table(table).to_pylist()
    expected = json.loads(run("report", store, "--json")[1])["rows"]
    assert [row["step_time_s"] for row in rows] == [row["step_time_s"] for row in expected]
    assert [row["schedule"] for row in rows] == ["1f1b", "1f1b", '{"name": "zb-h1"}', '{"name": "zb-h1"}']
    assert isinstance(rows[1]["peak_bytes"], int)


@pytest.mark.parametrize(
    ("args", "code", "what"),
    [
        (("--axis", "seed={uniform: [1, 9]}"), 2, "nothing says how many"),
        (("--axis", "seed=1,2", "--where", "seed > 'x'"), 2, "1 can't be compared with 'x'"),
        (("--axis", "seed=1,2", "--where", "seed >"), 2, "column 7"),
        (("--axis", "seed=1,2", "--linked", "seed,steps"), 2, "'steps' is no axis of the sweep"),
        (("--axis", "seed=1,2", "--samples", "random"), 2, "--samples random=100"),
        (("--axis", "seed=1,2", "--samples", "sobol=4"), 2, "samples are written"),
        (("--axis", "seed=1,2", "--shard", "3/2"), 2, "a shard is i/N"),
        (("--axis", "seed=1,2", "--executor", "nowhere"), 2, "--executor module:factory"),
        (("--axis", "seed=1,2", "--executor", "nowhere:made"), 2, "there is no module 'nowhere'"),
        (("--axis", "seed=1,2", "--executor", "concurrent.futures:Thread"), 2, "did you mean"),
        (("--axis", "seed=1,2", "-o", "nowhere/results.db"), 2, "can't be used as a store"),
    ],
)
def test_mistakes(run: Run, scenario: str, args: tuple[str, ...], code: int, what: str) -> None:
    found, out, err = run("sweep", scenario, *args)
    assert (found, out) == (code, "")
    assert what in err
    assert "Traceback" not in err


@pytest.mark.parametrize("args", [("export",), ("report",), ("merge", "-o", "merged.db")])
def test_verbs_over_stores_want_a_store(run: Run, args: tuple[str, ...], scenario: str) -> None:
    verb, *rest = args
    assert "no such file" in run(verb, "nowhere.db", *rest)[2]
    code, out, err = run(verb, scenario, *rest)
    assert (code, out) == (2, "")
    assert "can't be used as a store" in err


def test_samples_and_links_from_the_command_line(run: Run, scenario: str) -> None:
    axes = ("--axis", "seed={uniform: [1, 1000]}", "--axis", "steps=1,2", "--axis", "name=a,b")
    _, out, _ = run(
        "sweep", scenario, *axes, "--linked", "steps,name", "--samples", "random=5", "--jobs", "1", "--json"
    )
    rows = json.loads(out)["rows"]
    assert len(rows) == 5
    assert {(row["steps"], row["name"]) for row in rows} <= {(1, "a"), (2, "b")}


def test_a_sweep_that_is_interrupted_says_how_to_go_on(
    run: Run, scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(teller: Any, _row: Any) -> None:
        teller.num_done += 1
        if teller.num_done == 3:
            raise KeyboardInterrupt

    store = str(tmp_path / "results.db")
    with monkeypatch.context() as patched:
        patched.setattr(_Teller, "count", interrupt)
        code, out, err = run("sweep", scenario, *AXES, "--jobs", "1", "-o", store)
    assert (code, out) == (130, "")
    assert f"what is done is in {store}; the same command goes on from there" in err
    assert run("sweep", scenario, *AXES, "--jobs", "1", "-o", store)[2].endswith("done, 3 of them before\n")


def test_progress_says_how_long_it_may_take() -> None:
    said: list[str] = []
    teller = _Teller("sweeping x", said.append)
    teller.start(10, 30)
    teller.started_s -= 60
    teller.count(None)  # type: ignore[arg-type]
    assert re.fullmatch(r"sweeping x: 11 of 30 points, about 19 min \d s left", said[0])


def test_a_user_s_own_executor_is_found_in_the_current_folder(
    run: Run, scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_pool.py").write_text("from concurrent.futures import ThreadPoolExecutor as made\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert run("sweep", scenario, "--axis", "seed=1,2", "--executor", "my_pool:made", "-o", "rows.csv") == (0, "", "")
    assert (tmp_path / "rows.csv").read_text().count("\n") == 3
