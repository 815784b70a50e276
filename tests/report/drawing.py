"""What the report tests share: a small job, and a drawing as text."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

from rich.console import RenderableType

import clustersim as cs
from clustersim.report.terminal import console_for
from clustersim.scenario.load import scenario_from_mapping

JOB: dict[str, Any] = {
    "version": 1,
    "name": "1F1B over slow links",
    "stage_costs": {
        "forward": "10 ms",
        "input_grad": "10 ms",
        "weight_grad": "10 ms",
        "activation": "1 GiB",
        "message": "100 MB",
        "weights": "10 GiB",
        "gradients": "10 GiB",
        "optimizer_state": "40 GiB",
        "optimizer_step": "5 ms",
    },
    "cluster": {
        "topology": {
            "fabric": "full-mesh",
            "gpus": 4,
            "device": "A100-SXM4-80GB",
            "link": {"bandwidth": "50 GB/s", "latency": "1 ms"},
        }
    },
    "parallelism": {"pp": 4},
    "batch": {"num_microbatches": 8},
    "schedule": "1f1b",
}


def result_of(*, fold: bool = True, **sections: Any) -> cs.Result:
    """Return the result of 4 x 8 over slow links, sections replaced or (None) left out, the same on all machines."""
    mapping = {key: value for key, value in (JOB | sections).items() if value is not None}
    result = cs.simulate(scenario_from_mapping(mapping), fold=fold)
    fixed = {"clustersim": "1.2.3", "wall_time_s": 0.01}
    scenario = {"path": "job.yaml", "sha256": "0123456789abcdef" * 4}
    return replace(result, provenance={**result.provenance, **fixed, "scenario": scenario})


def drawn(report: RenderableType, width: int = 80, encoding: str = "utf-8") -> str:
    """Return what a report looks like in a file of that encoding."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace")
    console_for(file, width).print(report)
    file.flush()
    return raw.getvalue().decode(encoding)
