"""Prints what sweeps cost and survive: a point's overhead, and stores whose sweeps were killed at random moments.

Run it from the checkout: ``python tests/benchmarks/sweeps.py [--kills N] [--points N] [--seed N]``. Overhead is in
processor time: that of the whole sweep, with its processes and its store, less that of the same points evaluated one
after the other; it is printed again for the sweep's own process alone, which other programs on a machine disturb less.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import clustersim as cs
from clustersim.planning.work import Base, run_point
from clustersim.scenario.load import scenario_from_mapping

JOBS = 3
SCENARIO = """\
version: 1
name: points to be killed
stage_costs: {forward: 1 ms, input_grad: 1 ms, weight_grad: 1 ms, activation: 1 GiB}
cluster: {topology: {fabric: full-mesh, gpus: 4, link: {latency: 1 us}}}
parallelism: {pp: 4}
batch: {num_microbatches: 8}
schedule: 1f1b
"""


def small_scenario() -> cs.Scenario:
    """Return a scenario whose points are small: 4 GPUs, 4 micro-batches."""
    return scenario_from_mapping(
        {
            "version": 1,
            "stage_costs": {"forward": "1 ms", "input_grad": "1 ms", "weight_grad": "1 ms"},
            "cluster": {"topology": {"fabric": "full-mesh", "gpus": 4}},
            "parallelism": {"pp": 4},
            "batch": {"num_microbatches": 4},
            "schedule": "1f1b",
        }
    )


def two_processes() -> ProcessPoolExecutor:
    """Return a pool whose processes are children of this one, so that it learns what they took."""
    return ProcessPoolExecutor(2, get_context("fork"))


def processor_s() -> tuple[float, float]:
    """Return what this process took, and with it what all children took that have ended. [s]"""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    own_s = own.ru_utime + own.ru_stime
    return own_s, own_s + children.ru_utime + children.ru_stime


def print_overhead(num_points: int, folder: Path) -> None:
    """Print what a point costs by itself, and what the sweep adds to it."""
    scenario, axes = small_scenario(), {"seed": {"range": {"start": 1, "stop": num_points, "step": 1}}}
    base = Base(scenario, None)
    for seed in range(20):  # what is imported and kept for it is warm then
        run_point(base, {"seed": seed})
    began_s = time.process_time()
    for seed in range(1, num_points + 1):
        run_point(base, {"seed": seed})
    alone_s = time.process_time() - began_s
    (own_s, all_s), wall_s = processor_s(), time.perf_counter()
    found = cs.sweep(scenario, axes, store=folder / "overhead.db", jobs=2, executor=two_processes)
    wall_s = time.perf_counter() - wall_s
    own_after_s, all_after_s = processor_s()
    assert len(found.rows) == num_points
    ms = 1000 / num_points
    print(f"{num_points} points on 2 processes: {wall_s:.2f} s of wall time")
    print(f"  evaluation alone            {alone_s * ms:6.2f} ms a point")
    print(f"  overhead, all processes     {(all_after_s - all_s - alone_s) * ms:6.2f} ms a point")
    print(f"  the sweep's own process     {(own_after_s - own_s) * ms:6.2f} ms a point")


def print_kills(num_kills: int, num_points: int, folder: Path, rng: random.Random) -> None:
    """Print what was found in stores after kills; each sweep is resumed until it is done, or killed again."""
    scenario = folder / "killed.yaml"
    scenario.write_text(SCENARIO, encoding="utf-8")
    spread = f"stage_costs.forward={{range: {{start: 1 us, stop: {num_points} us, step: 1 us}}}}"
    command = [sys.executable, "-m", "clustersim", "sweep", str(scenario), "--axis", spread, "--jobs", str(JOBS), "-o"]
    began_s = time.perf_counter()
    subprocess.run([*command, str(folder / "whole.db")], check=True, capture_output=True)
    whole_s, expected = time.perf_counter() - began_s, rows_in(folder / "whole.db")
    print(f"{num_points} points with {JOBS} workers take {whole_s:.1f} s; expected rows: {len(expected)}", flush=True)
    landed = num_stores = num_lost = num_wrong = num_corrupt = 0
    store, before = folder / "killed-0.db", dict[int, Any]()
    while landed < num_kills:
        process = subprocess.Popen([*command, str(store)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(0, whole_s / 2))  # half, so that most sweeps are killed more than once
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            landed += 1
        num_corrupt += not is_sound(store)
        after = rows_in(store)
        num_lost += sum(position not in after for position in before)
        num_wrong += sum(row != expected[position] for position, row in after.items())
        before = after
        if process.returncode == 0:
            num_lost += len(expected) - len(after)
            num_stores += 1
            store, before = folder / f"killed-{num_stores}.db", {}
        if landed and landed % 10 == 0 and process.returncode:
            found = f"{num_lost} points lost, {num_wrong} rows that differ, {num_corrupt} stores corrupt"
            print(f"  {landed} kills, {num_stores} sweeps done: {found}", flush=True)
    subprocess.run([*command, str(store)], check=True, capture_output=True)
    num_lost += len(expected) - len(rows_in(store))
    found = f"{num_lost} points lost, {num_wrong} rows that differ, {num_corrupt} stores corrupt"
    print(f"{landed} kills over {num_stores + 1} sweeps, all done in the end: {found}")


def rows_in(store: Path) -> dict[int, Any]:
    """Return the rows of a store by position, none of one that no sweep has come to begin."""
    if not store.exists() or not store.stat().st_size:
        return {}
    connection = sqlite3.connect(store)
    try:
        found = connection.execute("SELECT * FROM points").fetchall()
        assert len({row[1] for row in found}) == len(found)
        return {row[0]: row[1:] for row in found}
    finally:
        connection.close()


def is_sound(store: Path) -> bool:
    """Return whether SQLite finds nothing wrong in a store."""
    if not store.exists():
        return True
    connection = sqlite3.connect(store)
    try:
        return bool(connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)])
    finally:
        connection.close()


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--points", type=int, default=500)
    parser.add_argument("--overhead-points", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.overhead_points:
            print_overhead(asked.overhead_points, Path(folder))
        if asked.kills:
            print_kills(asked.kills, asked.points, Path(folder), random.Random(asked.seed))


if __name__ == "__main__":
    main()
