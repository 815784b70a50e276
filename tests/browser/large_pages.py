"""Large pages, to see what they ask of a browser."""

from __future__ import annotations

from chromium import Page

import clustersim as cs
from clustersim.report.html.run_page import run_page
from clustersim.scenario.load import scenario_from_mapping

SIZES = ((512, 130_000), (1950, 500_000))  # micro-batches, and the least number of slices they make
NUM_STAGES = 64
KEYS = "++++----"


def large_page(num_microbatches: int) -> str:
    """Return the report of a 1F1B pipeline."""
    costs = {"forward": "10 ms", "backward": "20 ms", "activation": "300 MiB", "message": "32 MiB", "weights": "5 GiB"}
    job = {
        "version": 1,
        "name": f"{NUM_STAGES} x {num_microbatches}",
        "stage_costs": costs,
        "cluster": {"topology": "dgx-h100", "gpus": NUM_STAGES},
        "parallelism": {"pp": NUM_STAGES},
        "batch": {"num_microbatches": num_microbatches},
        "schedule": "1f1b",
    }
    return run_page(cs.simulate(scenario_from_mapping(job)))


def zoom(page: Page, key: str) -> None:
    """Zoom in (+) or out (-) on the Gantt, which is drawn anew before this returns."""
    page.ask(f"document.getElementById('gantt').dispatchEvent(new KeyboardEvent('keydown', {{key: '{key}'}}))")
