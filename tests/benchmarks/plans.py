"""Prints what the plan of a large job takes: GPT-3 175B on 1,024 A100s, every legal layout, in processor time.

python tests/benchmarks/plans.py [jobs]
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from clustersim.planning.plan import plan
from clustersim.report.terminal import console_for
from clustersim.report.terminal_plan import plan_report

GPT_3 = {
    "version": 1,
    "name": "GPT-3 175B on 1,024 A100s",
    "model": "gpt-3-175b",
    "cluster": {"topology": "dgx-a100", "gpus": 1024},
    "batch": {"global_batch_size": 1536},
}


def main() -> None:
    """Print the plan, and how long it took."""
    num_jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gpt-3.json"
        path.write_text(json.dumps(GPT_3))
        started_s = time.perf_counter()
        found = plan(path, num_jobs=num_jobs)
        wall_s = time.perf_counter() - started_s
    console_for(sys.stdout).print(plan_report(found.to_dict()))
    used_s = [sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(f"\n{num_jobs} jobs: {wall_s:.1f} s; processor time {used_s[0]:.1f} s here, {used_s[1]:.1f} s in the others")


if __name__ == "__main__":
    main()
