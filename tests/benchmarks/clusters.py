"""Prints what whole clusters with collectives and shared links cost: every GPU simulated, folded, from the shell.

Run it from the checkout: ``python tests/benchmarks/clusters.py [--in-order] [--case NAME]``. Each case has a process of
its own; what is timed, in processor time, goes from a mapping, or for the shell from a file, to a result, with
validation, recording and analysis. ``--in-order`` takes all events in the order of their times beside it, which takes
minutes for the largest.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from installed import keep_compiled_modules

import clustersim as cs
from clustersim.scenario.load import scenario_from_mapping


def of_costs(gpus: int, m: int) -> dict[str, Any]:
    """Return pipelines of 16 stages, one op per F or B, whose gradients are reduced, on a fabric that they share."""
    costs = {"forward": "10 ms", "backward": "20 ms", "message": "6 MB", "gradients": "100 MB"}
    return {
        "version": 1,
        "stage_costs": costs,
        "cluster": {"topology": "dgx-a100", "gpus": gpus},
        "parallelism": {"pp": 16, "dp": gpus // 16},
        "batch": {"num_microbatches": m},
        "schedule": "1f1b",
    }


def of_model(model: str, pp: int, dp: int, m: int, slow: bool = False) -> dict[str, Any]:
    """Return a model whose layers' times follow from its shape, tp 8, one host of it a third slower if asked for."""
    topology: dict[str, Any] | str = "dgx-a100"
    if slow:
        topology = {
            "fabric": "leaf-spine",
            "device": "A100-SXM4-80GB",
            "nodes": pp * dp,
            "gpus_per_node": 8,
            "scaleup": {"bandwidth": "300 GB/s", "latency": "500 ns"},
            "nics_per_node": 8,
            "nic": {"bandwidth": "200 Gbps", "latency": "1 us"},
            "nodes_per_leaf": 4,
            "hosts": [{"match": "node3", "slowdown": 1.33}],
        }
    return {
        "version": 1,
        "model": model,
        "cluster": {"topology": topology, "gpus": 8 * pp * dp},
        "parallelism": {"tp": 8, "pp": pp, "dp": dp, "sequence_parallel": True},
        "batch": {"num_microbatches": m, "micro_batch_size": 1},
        "schedule": "1f1b",
        "training": {"recompute": "selective"},
    }


CASES = {  # and what they may take with every GPU, and folded
    "costs": ("1,024 GPUs, m = 96, one op per F or B", of_costs(1024, 96), "<= 1 s", ""),
    "175b": ("1,024 GPUs, m = 96, GPT-3 175B with its collectives", of_model("gpt-3-175b", 16, 8, 96), "", ""),
    "1t": (
        "3,072 GPUs, pp 64, m = 512, 1T with its collectives",
        of_model("megatron-1t", 64, 6, 512),
        "<= 15 s",
        "<= 2 s",
    ),
    "16k": (
        "16,384 GPUs, m = 16, GPT-3 175B, one slow host",
        of_model("gpt-3-175b", 16, 128, 16, slow=True),
        "",
        "<= 10 s",
    ),
    "16k-costs": ("16,384 GPUs, m = 64, one op per F or B", of_costs(16384, 64), "", ""),
}


def run_case(name: str, engine: str | None, fold: bool) -> None:
    """Print what a case takes as JSON; what is imported for it is there by then."""
    cs.simulate(scenario_from_mapping(of_costs(32, 2)))
    cs.simulate(scenario_from_mapping(of_model("gpt-3-175b", 2, 2, 2)))
    started = time.process_time()
    result = cs.simulate(scenario_from_mapping(CASES[name][1]), engine=engine, fold=fold)
    seconds = time.process_time() - started
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps([seconds, peak_gib, result.trace.makespan_ps, result.trace.engine]))


def measured(name: str, engine: str = "", *, fold: bool = False) -> tuple[float, float, int, str]:
    """Return the seconds, peak memory [GiB], makespan [ps] and form of a case, run in a process of its own."""
    command = [sys.executable, __file__, "--run", name, "--engine", engine, *(["--fold"] if fold else [])]
    answer = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    seconds, peak_gib, makespan_ps, form = json.loads(answer)
    return seconds, peak_gib, makespan_ps, form


def from_shell(mapping: dict[str, Any]) -> float:
    """Return the seconds that ``clustersim run`` takes with all that it does of itself, start and imports included."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenario.json"
        path.write_text(json.dumps(mapping))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "clustersim", "run", str(path), "--json"], capture_output=True, check=False
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def row(what: str, value: str, target: str) -> None:
    """Print one line of the table."""
    print(f"{what:<66} {value:>20}   {target}", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--in-order", action="store_true", help="take all events in the order of their times, too")
    parser.add_argument("--case", choices=CASES, help="this case alone")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--engine", default="", help=argparse.SUPPRESS)
    parser.add_argument("--fold", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        run_case(arguments.run, arguments.engine or None, arguments.fold)
        return
    keep_compiled_modules()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}\n")
    for name, (what, mapping, every_gpu, when_folded) in CASES.items():
        if arguments.case not in (None, name):
            continue
        seconds, peak_gib, makespan_ps, form = measured(name)
        row(what, f"{seconds:.2f} s, {peak_gib:.2f} GiB", every_gpu)
        print(f"  {form}")
        if arguments.in_order:
            in_order = measured(name, "time-ordered")
            agrees = "the same makespan" if in_order[2] == makespan_ps else "ANOTHER MAKESPAN"
            row("  the same in the order of times", f"{in_order[0]:.2f} s, {in_order[1]:.2f} GiB", agrees)
        folded = measured(name, fold=True)
        agrees = when_folded if folded[2] == makespan_ps else "ANOTHER MAKESPAN"
        row("  the same as it comes: folded", f"{folded[0]:.2f} s, {folded[1]:.2f} GiB", agrees)
        if name == "16k-costs":
            row("  the same from the shell", f"{from_shell(mapping):.2f} s", "")


if __name__ == "__main__":
    main()
