"""Pictures: they are drawn in every format, the same run gives the same bytes, and mistakes are told before a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from drawing import result_of

import clustersim as cs
from clustersim.errors import InputError
from clustersim.report.plots import SUFFIXES, check_plot_name, plot_run, plot_sweep
from clustersim.scenario.load import load_scenario

MATPLOTLIB = "matplotlib is not installed (extra plots); with it, pictures are drawn"
FIRST_BYTES = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_run_is_drawn_and_drawn_again(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib", reason=MATPLOTLIB)
    result = result_of(name="a $name$, with no 数学")
    for name in ("one", "two"):
        plot_run(result, tmp_path / f"{name}{suffix}")
    drawn = (tmp_path / f"one{suffix}").read_bytes()
    assert drawn.startswith(FIRST_BYTES[suffix])
    assert drawn == (tmp_path / f"two{suffix}").read_bytes()


def sweep(**axes: Any) -> dict[str, Any]:
    return cs.sweep(
        load_scenario("gpipe-4x16"), {key.replace("__", "."): value for key, value in axes.items()}
    ).to_dict()


def test_a_sweep_is_drawn_over_one_axis_or_two(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason=MATPLOTLIB)
    one = sweep(batch__num_microbatches=(4, 8))
    two = sweep(schedule=("gpipe", "1f1b", "zb-v"), batch__num_microbatches=(4, 8))
    plot_sweep("", one, tmp_path / "one.svg")
    plot_sweep("$x", two, tmp_path / "two.svg")
    assert (tmp_path / "one.svg").stat().st_size < (tmp_path / "two.svg").stat().st_size
    three = sweep(schedule=("gpipe", "1f1b"), batch__num_microbatches=(4, 8), steps=(1, 2))
    with pytest.raises(InputError, match="3 axes of the sweep vary"):
        plot_sweep("", three, tmp_path / "three.svg")


def test_mistakes_are_told_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"\.png, \.svg, \.pdf; got 'picture.gif'"):
        check_plot_name("picture.gif")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match=r"clustersim\[plots\]"):
        check_plot_name("picture.svg")
