"""The verb `calibrate`: a document or tables, a device file that a scenario can name, mistakes without a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clustersim.cli import main
from clustersim.scenario.devices import load_device
from clustersim.scenario.gallery import gallery_path

LAYERS = str(gallery_path("measurements") / "layers.csv")
PUBLISHED = str(gallery_path("measurements") / "published.jsonl")


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int | str | None, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["calibrate", *args])
    captured = capsys.readouterr()
    return caught.value.code, captured.out, captured.err


def test_a_published_layer_is_told_better_also_where_the_fit_did_not_look(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    output = tmp_path / "mine.yaml"
    chosen = ["--parameters", "gemm, in_training", "--jobs", "1"]
    code, out, _ = run(capsys, LAYERS, *chosen, "--hold-out", "0.4", "--json", "-o", str(output))
    assert code == 0
    document: dict[str, Any] = json.loads(out)
    assert document["schema"] == "clustersim/calibration/1"
    assert document["device"] == "A100-SXM4-80GB"
    assert document["measurements"]["num_other_devices"] == 0
    assert [constant["name"] for constant in document["constants"]] == ["gemm", "in_training"]
    errors = document["errors"]
    assert (errors["fitted"]["num_rows"], errors["held_out"]["num_rows"]) == (6, 4)
    assert errors["held_out"]["before"]["median"] > 0.04
    assert errors["held_out"]["after"]["median"] < 0.03
    for row in document["rows"]:
        assert row["error"] == pytest.approx(row["fitted_s"] / row["measured_s"] - 1)
        assert (row["held_out_error"] is not None) == row["held_out"]
    kernels = load_device(str(output)).kernels
    assert kernels is not None
    assert kernels.gemm == document["constants"][0]["value"]


def test_tables_say_what_was_fitted_and_where_it_belongs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    output = str(tmp_path / "mine.yaml")
    options = ["--parameters", "gemm,experts,in_training", "--hold-out", "0", "--jobs", "1", "-o", output]
    code, out, _ = run(capsys, LAYERS, *options)
    assert code == 0
    text = " ".join(out.split())
    assert "A100-SXM4-80GB fitted to 10 times" in text
    assert "experts 0.3500 0.3500 unused" in text
    assert "baseline backward" in text
    assert "Nothing was held out" in text
    assert "collectives: {in_training: 0." in text
    assert "name it under a topology's `device`" in text


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--parameters", "gem"], "did you mean 'gemm'"),
        (["-o", "mine.json"], "ends in .yaml or .yml"),
        (["--device", "TPU-v4"], "no `kernels` from which a fit could start"),
        (["--device", "A100-SXM4-80G"], "did you mean 'A100-SXM4-80GB'"),
        (["--base", "no-such"], "no scenario of the gallery has this name"),
        (["--hold-out-by", "source", "--jobs", "1"], "all rows have one source"),
        (["--hold-out", "1.5"], "not in the range"),
    ],
    ids=str,
)
def test_mistakes_on_the_command_line_are_told(
    capsys: pytest.CaptureFixture[str], args: list[str], message: str
) -> None:
    code, out, err = run(capsys, LAYERS, *args)
    assert (code, out) == (2, "")
    assert message in err


def test_json_lines_need_no_base_and_one_device(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, PUBLISHED, "--set", "steps=2")
    assert code == 2
    assert "--base and --set are for a CSV" in err
    code, _, err = run(capsys, PUBLISHED)
    assert code == 2
    assert "several devices: A100-SXM4-80GB (142 rows)" in err
