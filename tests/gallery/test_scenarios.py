"""Every scenario of the gallery runs, keeps the laws, and gives what ``expected.json`` says.

After a change that is meant to move a number: run this file with Python to write the expectations anew, for review.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import clustersim as cs
from clustersim.analysis.invariants import check_invariants
from clustersim.scenario.gallery import gallery_names

FOLDER = Path(__file__).parent
EXPECTED = FOLDER / "expected.json"
PUBLISHED = json.loads((FOLDER / "zero_bubble_published.json").read_text())


def headline(result: cs.Result) -> dict[str, Any]:
    return {
        "makespan_ps": result.trace.makespan_ps,
        "bubble_fraction": result.bubble.fraction,
        "span_fraction": result.bubble.span_fraction,
        "peak_bytes": result.memory.peak_bytes,
        "peak_live_microbatches": [row.peak_live_microbatches for row in result.memory.ranks],
    }


def names() -> list[str]:
    return [name for name in gallery_names("scenarios") if not name.startswith("plugin")]


def test_every_scenario_has_its_expected_result() -> None:
    assert sorted(json.loads(EXPECTED.read_text())) == sorted(names())


@pytest.mark.parametrize("name", names())
def test_a_scenario_gives_what_is_expected(name: str) -> None:
    result = cs.simulate(name)
    check_invariants(result.trace)
    assert headline(result) == json.loads(EXPECTED.read_text())[name]


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row["scenario"])
@pytest.mark.parametrize(("schedule", "column"), [("1f1b", "1F1B"), ("zb-h1", "ZB-H1")])
def test_the_zero_bubble_paper_s_rates_are_reproduced(row: dict[str, Any], schedule: str, column: str) -> None:
    """Qi et al., ICLR 2024, table 5: the paper's cost model on its profiled times, to its four decimals."""
    result = cs.simulate(row["scenario"], [f"schedule={schedule}"])
    assert result.bubble.span_fraction is not None
    assert round(result.bubble.span_fraction, 4) == row["published"][column]


def test_the_trade_off_of_the_exercise_is_visible() -> None:
    gpipe, one_f_one_b, recompute = (cs.simulate(f"{name}-4x16") for name in ("gpipe", "1f1b", "1f1b-recompute"))
    assert gpipe.step_time_s == one_f_one_b.step_time_s < recompute.step_time_s
    assert gpipe.memory.peak_bytes > one_f_one_b.memory.peak_bytes > recompute.memory.peak_bytes


if __name__ == "__main__":
    written = {name: headline(cs.simulate(name)) for name in names()}
    EXPECTED.write_text(json.dumps(written, indent=1) + "\n")
