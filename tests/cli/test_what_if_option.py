"""``run --what-if``: what it takes, refuses and prints."""

from __future__ import annotations

import json

import pytest

from clustersim.analysis.sensitivity import RESOURCES
from clustersim.cli import main


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["run", "gpipe-4x16", *args])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_one_run_more_a_resource(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--what-if", "all", "--what-if", "compute=2", "--json")
    rows = {row["resource"]: row for row in json.loads(out)["what_if"]}
    assert code == 0
    assert tuple(rows) == RESOURCES
    assert (rows["compute"]["factor"], rows["compute"]["step_time_s"]) == (2, 0.285)
    assert (rows["latency"]["factor"], rows["latency"]["step_time_s"]) == (1.1, 0.57)


def test_the_report_has_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "--what-if", "compute=2")
    line = next(line for line in out.splitlines() if line.startswith("compute x 2"))
    assert "285.0 ms  -50.00 %" in line
    assert line.endswith("up to x 2")


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("nic=2", "allowed: compute, scale-up, network, latency, all"),
        ("compute=1", "a number above 1"),
        ("compute=nan", "a number above 1"),
        ("compute=1e9", "a number above 1"),
        ("compute=1/0", "a number above 1"),
    ],
)
def test_mistakes(capsys: pytest.CaptureFixture[str], value: str, what: str) -> None:
    code, out, err = run(capsys, "--what-if", value)
    assert (code, out) == (2, "")
    assert what in err
