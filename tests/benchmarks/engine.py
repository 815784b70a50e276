"""Prints the engine's speed: against the simulator that one writes first with SimPy, at scale, and its growth.

Run it from the checkout: ``python tests/benchmarks/engine.py [--runs N] [--naive-at-scale]``. Every figure is a median,
every ratio the median of ratios pair by pair in this very run. Each case has a process of its own; what is timed, in
processor time, is the public Python API from a mapping to a result, with validation, recording and analysis.

Cases of up to some 100,000 ops, ours and the naive simulator's, run once untimed in their process and then several
times in it, of which the median counts, as benchmark tools do. What the first run takes, which loads modules and reads
files on its way, has rows of its own. Larger cases are timed once, after a tiny one.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cases
from installed import keep_compiled_modules

from clustersim.engine.kernel import is_compiled

SMALL = 200_000  # ops of a case that is timed several times in its process
TIMED_RUNS = 5
NAIVE_REPLICAS = 64  # 1,024 of the 16,384 GPUs, unless all are asked for: those take minutes


def measured(case: str, *arguments: object) -> dict[str, Any]:
    """Return what one case takes, in a process of its own."""
    command = [sys.executable, __file__, "--case", json.dumps([case, *arguments])]
    answer = subprocess.run(command, capture_output=True, check=True, text=True)
    return dict(json.loads(answer.stdout))


def run_case(text: str) -> None:
    """Print what a case takes as JSON; what is imported and compiled for it is warm by then."""
    name, *arguments = json.loads(text)
    if name == "kernel":
        pairs = [cases.quietly(cases.kernel_and_run_ahead, *arguments) for _ in range(1 + TIMED_RUNS)][1:]
        kernel_s, run_ahead_s = map(statistics.median, zip(*pairs, strict=True))
        print(json.dumps({"kernel_s": kernel_s, "run_ahead_s": run_ahead_s}))
        return
    run = getattr(cases, name)
    if name == "draws" or 2 * math.prod(arguments[:3]) > SMALL:
        cases.ours(2, 1, 2, "time-ordered")
        cases.ours(2, 20, 2)
        cases.draws(2, 2, 2)
        print(json.dumps(asdict(cases.quietly(run, *arguments))))
        return
    first = cases.quietly(run, *arguments)
    again = [cases.quietly(run, *arguments) for _ in range(TIMED_RUNS)]
    print(json.dumps(asdict(first) | {"first_s": first.seconds, "seconds": median(list(map(asdict, again)))}))


def row(name: str, value: str, target: str) -> None:
    """Print one line of the table."""
    print(f"{name:<78} {value:>22}   {target}", flush=True)


def median(runs: Sequence[dict[str, Any]], key: str = "seconds") -> float:
    """Return the median of one measure."""
    return statistics.median(run[key] for run in runs)


def pipeline(runs: int) -> None:
    """Print the rows of one pipeline of 64 stages and 512 micro-batches."""
    shape = (64, 1, 512)
    triples = [
        (measured("ours", *shape, "time-ordered"), measured("ours", *shape), measured("naive", *shape))
        for _ in range(runs)
    ]
    for number, (form, events, ratio) in enumerate((("time-ordered", 1.05, 15), ("run-ahead", 0.5, 30))):
        mine = [triple[number] for triple in triples]
        row(f"64 x 512, {form}: events per op", f"{mine[0]['num_events'] / mine[0]['num_ops']:.4f}", f"<= {events}")
        ratios = [triple[2]["seconds"] / triple[number]["seconds"] for triple in triples]
        took = f"{1e3 * median(mine):.0f} ms, {statistics.median(ratios):.1f}x"
        row(f"64 x 512, {form}, against naive ({median([t[2] for t in triples]):.2f} s)", took, f"{ratio}x")
        ratios = [triple[2]["first_s"] / triple[number]["first_s"] for triple in triples]
        took = f"{1e3 * median(mine, 'first_s'):.0f} ms, {statistics.median(ratios):.1f}x"
        naive_s = median([triple[2] for triple in triples], "first_s")
        row(f"64 x 512, {form}, first run in its process, against naive's ({naive_s:.2f} s)", took, "")


def at_scale(runs: int, naive_at_scale: bool) -> None:
    """Print the rows of thousands of GPUs."""
    large = [measured("ours", 16, 1024, 64) for _ in range(runs)]
    row("16,384 GPUs, none folded, 2.1 M ops, private links", _time_and_memory(large), "<= 3 s")
    replicas = 1024 if naive_at_scale else NAIVE_REPLICAS
    slow_s = measured("naive", 16, replicas, 64)["seconds"] * 1024 / replicas
    how = "" if naive_at_scale else f", measured on {16 * replicas:,} GPUs"
    row(f"the same against naive ({slow_s:.0f} s{how})", f"{slow_s / median(large):.0f}x", "40x")
    larger = [measured("ours", 16, 6250, 32) for _ in range(runs)]
    row("100,000 GPUs, none folded, 6.4 M ops, private links", _time_and_memory(larger), "<= 10 s, 1.5 GiB")


def without_events(runs: int) -> None:
    """Print the rows of compiled evaluation."""
    how = "numba" if is_compiled() else "numba is not installed"
    pairs = [measured("kernel", 64, 512) for _ in range(runs)]
    ratio = statistics.median(pair["run_ahead_s"] / pair["kernel_s"] for pair in pairs)
    own_ns = median(pairs, "kernel_s") / 65_536 * 1e9
    row(f"64 x 512, loop over arrays against run-ahead processes ({how})", f"{own_ns:.0f} ns/op, {ratio:.0f}x", "20x")
    row("1,000 draws of 16 x 128", f"{median([measured('draws', 16, 128, 1000) for _ in range(runs)]):.2f} s", "<= 2 s")


def growth(runs: int) -> None:
    """Print what an op costs from 10,000 ops to 10 million."""
    for what, shapes in (
        ("one pipeline of 16", [(16, 1, m) for m in (320, 3_200, 32_000, 312_500)]),
        ("replicas of 16 x 64", [(16, replicas, 64) for replicas in (5, 49, 488, 4_882)]),
    ):
        cases_of_shapes = [[measured("ours", *shape) for _ in range(runs)] for shape in shapes]
        row(f"ns per op from 1e4 to 1e7 ops, {what}", _costs_ns(cases_of_shapes, "seconds"), "")
        least, *_, most = (median(mine) / mine[0]["num_ops"] for mine in cases_of_shapes)
        row("cost of 1e7 ops against what 1e4 cost each", f"{most / least:.2f}x", "1.5x")
        large = cases_of_shapes[2:]
        row("ns per op of 1e6 and 1e7 in the operating system, for memory", _costs_ns(large, "system_s"), "")
        small = [runs_of_shape for runs_of_shape in cases_of_shapes if "first_s" in runs_of_shape[0]]
        row(f"the same of the first run in its process, up to {SMALL:.0e} ops", _costs_ns(small, "first_s"), "")


def _costs_ns(cases_of_shapes: Sequence[Sequence[dict[str, Any]]], key: str) -> str:
    costs_s = (median(mine, key) / mine[0]["num_ops"] for mine in cases_of_shapes)
    return " ".join(f"{1e9 * cost_s:.0f}" for cost_s in costs_s)


def _time_and_memory(runs: Sequence[dict[str, Any]]) -> str:
    return f"{median(runs):.2f} s, {median(runs, 'peak_bytes') / 2**30:.2f} GiB"


def main() -> None:
    """Print the table."""
    keep_compiled_modules()
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="runs of each case, of which the median is printed")
    parser.add_argument("--naive-at-scale", action="store_true", help="run the naive simulator on all 16,384 GPUs, too")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        run_case(arguments.case)
        return
    processor = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} x {processor}, {load}")
    print(f"medians of {arguments.runs} runs\n")
    pipeline(arguments.runs)
    without_events(arguments.runs)
    at_scale(arguments.runs, arguments.naive_at_scale)
    growth(arguments.runs)


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


if __name__ == "__main__":
    main()
