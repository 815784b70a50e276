"""Prints what very large clusters take from the shell: ``clustersim run`` with replicas folded, in processor time.

Run it from the checkout: ``python tests/benchmarks/folding.py [--runs N]``. Each figure is the least of so many runs,
each a process of its own, its start and all imports included.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from installed import keep_compiled_modules

NODES: dict[str, Any] = {
    "fabric": "leaf-spine",
    "device": "A100-SXM4-80GB",
    "nodes": 2048,
    "gpus_per_node": 8,
    "scaleup": {"bandwidth": "300 GB/s", "latency": "500 ns"},
    "nics_per_node": 8,
    "nic": {"bandwidth": "200 Gbps", "latency": "1 us"},
    "nodes_per_leaf": 4,
    "collectives": {  # as on dgx-a100
        "simple": {
            "launch": "38 us",
            "scaleup_step": "1.6 us",
            "network_step": "6.4 us",
            "scaleup_efficiency": 0.711,
            "network_efficiency": 0.639,
        },
        "tree": {
            "launch": "27.6 us",
            "scaleup_step": "1.6 us",
            "network_step": "7.4 us",
            "scaleup_efficiency": 0.711,
            "network_efficiency": 0.342,
        },
    },
}


def scenario(model: str, topology: Any, gpus: int, parallelism: dict[str, Any], microbatches: int) -> dict[str, Any]:
    """Return a job of a model, shared links, gradients, and exchanges of tensor-parallel groups included."""
    return {
        "version": 1,
        "model": model,
        "cluster": {"topology": topology, "gpus": gpus},
        "parallelism": parallelism | {"sequence_parallel": True},
        "batch": {"num_microbatches": microbatches, "micro_batch_size": 1},
        "schedule": "1f1b",
    }


ONE_SLOW = NODES | {"hosts": [{"match": "node77", "slowdown": 1.3}]}
LARGE = {"tp": 8, "pp": 16, "dp": 128}
CASES = {
    "gpt-3-175b on 16,384 GPUs of dgx-a100": (scenario("gpt-3-175b", "dgx-a100", 16_384, LARGE, 64), "<= 3 s"),
    "the same with one slow host": (scenario("gpt-3-175b", ONE_SLOW, 16_384, LARGE, 64), "<= 10 s"),
    "megatron-1t on 3,072 GPUs of dgx-a100": (
        scenario("megatron-1t", "dgx-a100", 3_072, {"tp": 8, "pp": 64, "dp": 6}, 512),
        "",
    ),
}


def processor_s(path: Path) -> tuple[float, dict[str, Any]]:
    """Return the processor time of one run, and what it says of folding."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "clustersim", "run", str(path), "--json"]
    answer = subprocess.run(command, capture_output=True, check=False, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    provenance = json.loads(answer.stdout)["provenance"]
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, provenance


def main() -> None:
    """Print a line a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    keep_compiled_modules()
    for name, (mapping, at_most) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "scenario.json"
            path.write_text(json.dumps(mapping))
            times = [processor_s(path) for _ in range(runs)]
        seconds, provenance = min(times, key=lambda entry: entry[0])
        folding = provenance["folding"]
        print(
            f"{name:<42} {seconds:6.2f} s   {at_most:<9} {folding['simulated_gpus']:>4} of {folding['gpus']:,} GPUs, "
            f"{folding['replica_classes']} classes of {folding['replicas']} replicas, {provenance['events']:,} events"
        )


if __name__ == "__main__":
    main()
