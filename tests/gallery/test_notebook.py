"""The notebook of the gallery runs, and its tables say what the questions answer."""

from __future__ import annotations

import runpy
from typing import Any

import pytest

from clustersim.scenario.gallery import gallery_path


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    pytest.importorskip("pandas", reason="pandas is not installed; with it, the notebook is run")
    return runpy.run_path(str(gallery_path("scenarios") / "plan-a-training.py"))


def test_its_tables_are_the_answers(names: dict[str, Any]) -> None:
    assert names["scaled"].index.tolist() == [16, 32, 64, 128, 256, 512]
    assert names["scaled"]["efficiency"].is_monotonic_decreasing
    assert names["tried"].index[names["tried"]["in time"]].tolist() == [names["plan"]["GPUs"]]
    assert names["clusters"]["cost [USD]"].idxmin() == names["cheapest"].answer
    assert names["largest"].answer.value == "llama-3.1-8b"
    assert len(names["tornado"]) == len(names["moved"].swings)
    low, high = names["plan"]["days, nine of ten"]
    assert low < names["plan"]["days"] < high <= names["DAYS"]
