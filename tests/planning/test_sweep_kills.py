"""Sweeps whose processes die: nothing is lost, nothing is there twice, and who kills its worker is found."""

from __future__ import annotations

import multiprocessing
import random
import time
from concurrent.futures import BrokenExecutor, Executor, Future
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from small_sweep import AXES, DEADLY_SEED, deadly_task, scenario, sweep_and_tell
from test_sweep_store import content

import clustersim as cs
from clustersim.planning import dispatch, work
from clustersim.planning.dispatch import ExecutorError
from clustersim.planning.pool import num_processors, processes

NUM_KILLS = 8


def test_a_sweep_that_is_killed_again_and_again_loses_nothing(tmp_path: Path) -> None:
    """Its process is killed (SIGKILL) at random numbers of rows told, and at random moments after them."""
    rng, store = random.Random(0), tmp_path / "killed.db"
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["clustersim.planning.work"])
    before: dict[int, Any] = {}
    for _ in range(NUM_KILLS):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=sweep_and_tell, args=(str(store), sender))
        process.start()
        sender.close()
        wait_for(receiver, rng.randrange(4))
        time.sleep(rng.choice([0, 0, 0.001, 0.01, 0.1]))
        process.kill()
        process.join()
        receiver.close()
        after = {row[0]: row for row in content(store)} if store.exists() and store.stat().st_size else {}
        assert before.items() <= after.items()
        before = after
    started: list[int] = []
    cs.sweep(scenario(), AXES, store=store, on_start=lambda *numbers: started.extend(numbers))
    assert started == [len(before), 24]
    cs.sweep(scenario(), AXES, store=tmp_path / "whole.db")
    assert content(store) == content(tmp_path / "whole.db")


def wait_for(receiver: Connection, number: int) -> None:
    """Wait until so many rows were told, or the other side is gone."""
    try:
        for _ in range(number):
            receiver.recv_bytes()
    except EOFError:
        return


def test_a_point_that_ends_its_worker_twice_is_a_failed_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    monkeypatch.setattr(dispatch, "run_task", deadly_task)
    seeds = list(range(1, 31))
    rows = cs.sweep(scenario(name=str(notes)), {"seed": seeds}, store=tmp_path / "a.db", jobs=2).rows
    assert [row.values["seed"] for row in rows] == seeds
    failed = [row for row in rows if row.status != "ok"]
    assert [(row.values["seed"], row.status) for row in failed] == [(DEADLY_SEED, "failed")]
    assert "it ended its worker twice" in failed[0].reason
    assert notes.read_text().splitlines()[1:] == ["1 points"]


def test_an_unexpected_error_is_a_failed_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def unlucky(*args: Any) -> Any:
        if args[1]["seed"] == 2:
            raise ZeroDivisionError("a defect\nof ours")
        return run_variant(*args)

    run_variant = work.run_variant
    monkeypatch.setattr(work, "run_variant", unlucky)
    rows = cs.sweep(scenario(), {"seed": [1, 2, 3]}).rows
    assert [(row.status, row.reason) for row in rows] == [
        ("ok", ""),
        ("failed", "ZeroDivisionError: a defect"),
        ("ok", ""),
    ]


class NoExecutor(Executor):
    """Takes tasks, and does none of them."""

    error: Exception = BrokenExecutor("nobody is there")

    def submit(self, *_args: Any, **_rest: Any) -> Future[Any]:  # type: ignore[override]
        future: Future[Any] = Future()
        future.set_exception(self.error)
        return future


class ForgetfulExecutor(NoExecutor):
    error = ModuleNotFoundError("No module named 'clustersim'")


def test_an_executor_whose_workers_can_do_nothing_is_an_error() -> None:
    with pytest.raises(ExecutorError, match="can't run a point: ModuleNotFoundError: No module named 'clustersim'"):
        cs.sweep(scenario(), {"seed": [1, 2, 3]}, executor=ForgetfulExecutor)


def test_an_executor_that_breaks_at_once_comes_to_an_end() -> None:
    with pytest.raises(ExecutorError, match="workers end before they run anything: nobody is there"):
        cs.sweep(scenario(), {"seed": [1, 2, 3]}, executor=NoExecutor)


def test_processes_end_at_once_when_their_sweep_does() -> None:
    slept = list[Future[None]]()

    def interrupted() -> None:
        with processes(2) as pool:
            slept.extend(pool.submit(time.sleep, 600) for _ in range(4))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert all(future.done() for future in slept)


def test_there_is_a_processor() -> None:
    assert num_processors() >= 1
