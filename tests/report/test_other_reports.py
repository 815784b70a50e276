"""Comparisons, sweeps, differences and descriptions: they keep to their width, and say what they leave out."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

import pytest
from drawing import JOB, drawn, result_of
from rich.cells import cell_len

from clustersim.report.difference import difference
from clustersim.report.html.sweep_page import sweep_page
from clustersim.report.terminal_catalogue import names_report
from clustersim.report.terminal_compare import comparison_report
from clustersim.report.terminal_difference import difference_report
from clustersim.report.terminal_sweep import sweep_report


def compared(schedule: str, step_time_s: float | None, status: str = "ok") -> dict[str, Any]:
    result = result_of().to_dict()
    ran = status != "refused"
    return {
        "schedule": schedule,
        "status": status,
        "reason": "" if ran else "parallelism.vpp: " + "a rule that takes many words to say " * 4,
        "step_time_s": step_time_s,
        "exposed_communication_s": 0.001 if ran else None,
        "bubble": result["bubble"] if ran else None,
        "memory": result["memory"] if ran else None,
        "gap_to_bound": None,
    }


COMPARISON: Mapping[str, Any] = {
    "best": "1f1b",
    "rows": [compared("gpipe", 0.3, "unfit"), compared("1f1b", 0.4), compared("zb-v", None, "refused")],
}


def swept(axes: dict[str, list[Any]], refused: bool = False) -> dict[str, Any]:
    rows = []
    for number, values in enumerate(itertools.product(*axes.values())):
        measures = {
            "step_time_s": 1.0 + number,
            "bubble_fraction": 0.2,
            "bubble_overhead": 0.25,
            "peak_bytes": 2**30,
            "exposed_communication_s": 0.0,
        }
        gone = refused and number % 2 == 1
        row = {"status": "refused" if gone else "ok", "reason": f"reason {number}" if gone else ""}
        rows.append(dict(zip(axes, values, strict=True)) | row | (dict.fromkeys(measures) if gone else measures))
    return {"axes": axes, "rows": rows}


REPORTS = {
    "comparison": comparison_report(JOB["name"], COMPARISON),
    "sweep of one axis": sweep_report("a", swept({"batch.num_microbatches": list(range(100))})),
    "sweep of two axes": sweep_report(
        "b", swept({"parallelism.pp": [1, 2], "schedule": ["1f1b", "zb-h1"]}, refused=True)
    ),
    "sweep of three axes": sweep_report("c", swept({"x": [1, 2], "y": ["日本語" * 20, "b"], "z": [{"name": "zb-h1"}]})),
    "difference": difference_report(
        difference(result_of().to_dict(), result_of(schedule="gpipe", name="🚀 " * 40).to_dict())
    ),
    "names": names_report(
        {
            "entries": [
                {"name": "1f1b", "description": "a word " * 30},
                {"name": "interleaved-1f1b", "description": "short"},
            ]
        }
    ),
}


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_line_is_wider_than_the_terminal(report: str, width: int, encoding: str) -> None:
    text = drawn(REPORTS[report], width, encoding)
    if encoding == "utf-8" or "\\u" not in text.lower():  # what an escape adds can't be known before it is written
        assert max(map(cell_len, text.splitlines())) <= width
    assert not re.search(r"[^\S\n]$", text, re.MULTILINE)


def test_a_comparison_marks_the_best_and_tells_of_the_rest() -> None:
    text = drawn(REPORTS["comparison"], 120)
    assert [line.split()[:2] for line in text.splitlines()[2:4]] == [["gpipe", "unfit"], ["1f1b", "best"]]
    assert "gpipe does not fit in memory: peak 64.00 GiB, capacity 80.00 GiB" in text
    assert "\nRefused\nzb-v: parallelism.vpp: a rule" in text
    assert "61.00-64.00" in text


def test_columns_for_which_there_is_no_room_are_named() -> None:
    assert "(no room for: " in drawn(REPORTS["comparison"], 40)
    assert "(no room for: " not in drawn(REPORTS["comparison"], 80)


def test_a_long_sweep_is_left_out_in_the_middle() -> None:
    text = drawn(REPORTS["sweep of one axis"], 80)
    assert "(60 points not shown: 20 to 79)" in text
    assert "(80 values not shown: 10 to 89)" in text


def test_bars_are_as_long_as_their_ratio() -> None:
    text = drawn(REPORTS["sweep of one axis"], 80)
    overhead, fraction = (line.count("█") for line in text.partition("Bubble over")[2].splitlines()[1:3])
    assert fraction == pytest.approx(overhead * 0.2 / 0.25, abs=1)


def test_refused_points_are_told_with_their_reason() -> None:
    text = drawn(REPORTS["sweep of two axes"], 80)
    assert "pp 1, schedule zb-h1: reason 1" in text
    assert "pp 2, schedule zb-h1: reason 3" in text
    heat = text.partition("across\n")[2].splitlines()
    assert heat[1].split() == ["1", "1.000", "s", "refused"]
    assert heat[2].split() == ["2", "3.000", "s", "██", "refused"]


def test_a_difference_begins_with_why() -> None:
    assert drawn(REPORTS["difference"], 200).startswith("step time ")


def test_a_sweep_that_has_not_every_combination_is_drawn_without_a_map_of_them() -> None:
    document = swept({"x": [1, 2, 3], "y": [1, 2]})
    del document["rows"][2]
    for row in document["rows"]:
        row |= {"compute_s": 0.5, "bubble_s": 0.5}
    document["rows"][0] |= {"status": "failed", "reason": "it ended its worker twice"}
    text = drawn(sweep_report("", document), 80)
    assert "x down" not in text
    assert "Failed\n" in text
    assert "it ended its worker twice" in text
    page = sweep_page("", document)
    assert "Could not be run" in page
    assert "hollow" not in page
    document["rows"][1] |= {"status": "unfit"}
    assert "A hollow point does not fit in memory." in sweep_page("", document)
    assert "<h1>A sweep</h1>" in sweep_page("", {"axes": {"x": [1]}, "rows": []})
