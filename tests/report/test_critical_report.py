"""The critical path in a terminal: what is said, and that it fits any width."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import pytest
from drawing import drawn, result_of
from rich.cells import cell_len

import clustersim as cs
from clustersim.analysis.sensitivity import RESOURCES
from clustersim.report.terminal_critical import critical_path_words
from clustersim.report.terminal_run import run_report

SHARED = {"fabric": "single-node", "gpus": 4, "scaleup": {"bandwidth": "5 GB/s", "latency": "1 ms", "sharing": "fair"}}


@pytest.mark.parametrize("width", [30, 40, 80, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("sections", [{}, {"cluster": {"topology": SHARED}, "schedule": "gpipe"}])
def test_answers_fit_any_width(width: int, encoding: str, sections: dict[str, Any]) -> None:
    result = cs.what_if(result_of(**sections), dict.fromkeys(RESOURCES, Fraction("1.1")))
    text = drawn(run_report(result), width, encoding)
    part = text[text.index("Critical path") : text.index("Gantt")]
    assert max(map(cell_len, part.splitlines())) <= width
    assert not re.search(r"[^\S\n]$", part, re.MULTILINE)
    assert all(f"{name} x 1.1" in part for name in ("compute", "latency"))


def test_shares_are_those_of_the_path_and_add_up() -> None:
    result = result_of(cluster={"topology": SHARED}, schedule="gpipe")
    words = critical_path_words(result)
    assert "held up by other traffic on scale-up links" in words
    assert sum(map(float, re.findall(r"([\d.]+) %", words))) == pytest.approx(100, abs=0.05)
    computing = sum(part.share for part in result.critical_path.blame if part.cause == "compute")
    assert f"{100 * computing:.2f} % computing" in words


def test_the_three_largest_losses_are_told_in_words() -> None:
    result = result_of()
    text = drawn(run_report(result))
    told = re.findall(r"(?:lost most:|then:) +([\d.]+) ms", text)
    losses = [*result.bubble.by_cause.values(), *(axis.exposed_s for axis in result.communication.by_axis.values())]
    assert told == [f"{1000 * loss:.2f}" for loss in sorted(losses, reverse=True)[:3]]


def test_a_promise_is_a_bound_only_where_nobody_shares() -> None:
    assert "shorter by at most: compute" in drawn(run_report(result_of()), 200)
    shared = result_of(cluster={"topology": SHARED}, schedule="gpipe")
    assert "shorter by about: compute" in drawn(run_report(shared), 200)
