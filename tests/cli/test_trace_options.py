"""``run --trace`` and ``--kineto``: what they write, and what they refuse before the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clustersim.cli import main


def run(*args: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["run", "gpipe-4x16", "-q", *args])
    return int(ended.value.code or 0)


def test_traces_are_written_beside_the_report(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("t.json", "t.json.gz", "t.pftrace")]
    for name in names:
        assert run("--trace", str(name)) == 0
        assert "step time 570.0 ms" in capsys.readouterr().out
    assert run("--kineto", str(tmp_path / "profile")) == 0
    assert all(name.stat().st_size for name in names)
    assert json.loads(names[0].read_text())["otherData"]["name"] == "GPipe, 4 stages x 16 micro-batches"
    assert len(list((tmp_path / "profile").iterdir())) == 4


@pytest.mark.parametrize(("name", "what"), [("t.txt", "written as one of"), ("absent/t.json", "No such file")])
def test_what_can_t_be_written_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, what: str
) -> None:
    assert run("--trace", str(tmp_path / name)) == 2
    assert what in capsys.readouterr().err
