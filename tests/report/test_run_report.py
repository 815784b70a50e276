"""The report of a run: one picture to review, and laws for every width and terminal.

After a change that is meant to move the picture: run this file with Python to draw it anew, for review.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from drawing import drawn, result_of
from rich.cells import cell_len

from clustersim.report.terminal_run import run_report

PICTURE = Path(__file__).parent / "run_report_4x8.txt"
LONG_PIPELINE = {
    "cluster": {"topology": {"fabric": "ring", "gpus": 40, "link": {"bandwidth": "50 GB/s"}}},
    "parallelism": {"pp": 40},
}


def test_the_picture_of_4x8() -> None:
    assert drawn(run_report(result_of())) == PICTURE.read_text()


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("sections", [{}, LONG_PIPELINE, {"schedule": "zb-h1"}, {"steps": 3}])
def test_no_line_is_wider_than_the_terminal(width: int, encoding: str, sections: dict[str, object]) -> None:
    text = drawn(run_report(result_of(**sections)), width, encoding)
    assert max(map(cell_len, text.splitlines())) <= width
    assert not re.search(r"[^\S\n]$", text, re.MULTILINE)  # no blanks at the ends of lines
    assert "\x1b" not in text


def test_a_wide_gantt_names_the_microbatches() -> None:
    text = drawn(run_report(result_of()), 200)
    first = next(line for line in text.splitlines() if line.startswith("rank 0 "))
    assert " ".join(re.findall(r"[FB]\d", first)) == "F0 F1 F2 F3 B0 F4 B1 F5 B2 F6 B3 F7 B4 B5 B6 B7"


def test_both_ratios_stand_beside_their_definitions() -> None:
    for width in (40, 80):
        words = " ".join(drawn(run_report(result_of()), width).split())
        assert re.search(r"bubble fraction [\d.]+ % = bubble / \(bubble \+ compute\)", words)
        assert re.search(r"bubble overhead [\d.]+ % = bubble / compute", words)


def test_many_ranks_are_left_out_in_the_middle_and_the_report_says_so() -> None:
    text = drawn(run_report(result_of(**LONG_PIPELINE)))
    gantt = [line for line in text.splitlines() if re.match(r"rank +\d+ ", line)]
    assert [int(line.split()[1]) for line in gantt] == [*range(8), *range(32, 40)]
    assert "⋮ 24 ranks not drawn" in text
    assert text.count("(24 ranks not shown: 8 to 31)") == 2


def test_what_is_not_known_is_said() -> None:
    ideal = {"topology": {"fabric": "full-mesh", "gpus": 4}}
    words = " ".join(drawn(run_report(result_of(cluster=ideal))).split())
    assert "the topology names no device, so its capacity is not known" in words
    assert "all have unlimited bandwidth" in words


def test_a_job_that_takes_no_time_and_no_memory_can_be_drawn() -> None:
    ideal = {"topology": {"fabric": "full-mesh", "gpus": 4}}
    text = drawn(run_report(result_of(cluster=ideal, stage_costs={"forward": "0 s", "backward": "0 s"})))
    assert "step time 0 s" in text
    assert re.search(r"bubble overhead +n/a", text)
    assert "the scenario gives no sizes" in text


@pytest.mark.parametrize(
    "name", ['say "no"', "🚀 fast", "מהיר", "\u202eevil", "[bold]not markup[/bold]", "日本語" * 30]
)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_any_name_leaves_the_report_whole(name: str, encoding: str) -> None:
    named = drawn(run_report(result_of(name=name)), 80, encoding)
    plain = drawn(run_report(result_of(name="")), 80, encoding)
    assert named.endswith(plain)
    assert "\u202e" not in named
    if name.isascii():
        assert named == f"{name}\n{plain}"


if __name__ == "__main__":
    PICTURE.write_text(drawn(run_report(result_of())))
