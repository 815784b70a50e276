"""What traces cost: ``python tests/benchmarks/traces.py`` writes a million slices in each format and prints times."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import clustersim as cs
from clustersim.report.trace_files import write_trace
from clustersim.scenario.load import scenario_from_mapping

NUM_STAGES, NUM_MICROBATCHES = 64, 2620  # 335,360 ops and two slices for each of 330,120 messages


def job(num_stages: int, num_microbatches: int) -> cs.Trace:
    """Return the trace of a 1F1B pipeline."""
    costs = {"forward": "10 ms", "backward": "20 ms", "activation": "1 GiB", "message": "10 MB"}
    link = {"bandwidth": "50 GB/s", "latency": "1 us"}
    mapping = {
        "version": 1,
        "stage_costs": costs,
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": num_stages, "link": link}},
        "parallelism": {"pp": num_stages},
        "batch": {"num_microbatches": num_microbatches},
        "schedule": "1f1b",
    }
    return cs.simulate(scenario_from_mapping(mapping)).trace


if __name__ == "__main__":
    trace = job(NUM_STAGES, NUM_MICROBATCHES)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("trace.pftrace", "trace.json.gz"):
            path = Path(folder) / name
            started_s, used_s = time.perf_counter(), time.process_time()
            write_trace(trace, path)
            took = f"{time.perf_counter() - started_s:.2f} s, {time.process_time() - used_s:.2f} s of a processor"
            print(
                f"{name}: {len(trace.ops) + 2 * len(trace.transfers):,} slices in {took}, {path.stat().st_size:,} bytes"
            )
