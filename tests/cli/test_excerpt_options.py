"""``run --trace-window`` and its kin: what they keep, what they say, and what they refuse."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from clustersim.cli import main


def run(*args: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["run", "gpipe-4x16", *args])
    return int(ended.value.code or 0)


def test_a_part_is_written_everywhere_and_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    trace, tables, profile = (str(tmp_path / name) for name in ("t.json.gz", "tables", "profile"))
    part = ("--trace-window", "10ms:25 ms", "--trace-ranks", "0-1,3", "--trace-every", "1", "--trace-max-slices", "9")
    assert run("--trace", trace, "--kineto", profile, "--tables", tables, *part) == 0
    captured = capsys.readouterr()
    said = "9 of 320 slices; 3 of 4 ranks; 10.00 ms to 25.00 ms of 570.0 ms"
    assert captured.err == f"{trace}, {profile}, {tables}: {said}\n"
    assert "step time 570.0 ms" in captured.out
    assert json.loads(gzip.decompress(Path(trace).read_bytes()))["otherData"]["excerpt"] == said
    assert len(list(Path(profile).iterdir())) == 3
    assert (Path(tables) / "excerpt.csv").read_text().splitlines()[1].startswith("9,320,3,4,")
    assert run("--tables", tables, *part, "-q") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (("--trace-window", "10ms"), "no colon; a window is written such as 10ms:25ms"),
        (("--trace-window", "25ms:10ms"), "a window ends after it begins"),
        (("--trace-window", "-1ms:10ms"), "a time can't be negative"),
        (("--trace-window", "10:25"), "without a unit"),
        (("--trace-ranks", "0,x"), "ranks are numbers and ranges of them, such as 0,16-31"),
        (("--trace-ranks", "3-1"), "got '3-1'"),
        (("--trace-ranks", "0,4"), "there is no rank 4; the run has 4, 0 to 3"),
        (("--trace-window", "1s:2s"), "nothing of the run lies from 1.000 s to 2.000 s"),
    ],
)
def test_what_can_t_be_chosen_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, args: tuple[str, ...], what: str
) -> None:
    assert run("--trace", str(tmp_path / "t.json"), *args) == 2
    assert what in " ".join(capsys.readouterr().err.split())


def test_a_part_of_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--trace-every", "2") == 2
    assert "written by --trace, --kineto or --tables" in capsys.readouterr().err
