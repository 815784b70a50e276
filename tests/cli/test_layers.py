"""The verb that looks into a model, part by part."""

from __future__ import annotations

import json

import pytest

from clustersim.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int | str | None, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["layers", *arguments])
    captured = capsys.readouterr()
    return caught.value.code, captured.out, captured.err


def test_parts_and_operators_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "gpt-3-175b-64gpus")
    assert code == 0
    for words in ("226,576,896", "recompute", "Operators: dense layer", "fc1", "309.2 GFLOP"):
        assert words in out


def test_the_document_says_what_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "llama-3.1-8b-64gpus", "--json", "--set", "batch.micro_batch_size=2")
    document = json.loads(out)
    assert code == 0
    assert document["schema"] == "clustersim/layers/1"
    assert (document["device"], document["micro_batch_size"], document["seq_length"]) == ("H100-SXM5-80GB", 2, 8192)
    assert [part["name"] for part in document["parts"]] == ["embedding", "dense layer", "output"]


def test_explicit_costs_have_no_layers(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "gpipe-4x16")
    assert code == 2
    assert "has no model" in err
