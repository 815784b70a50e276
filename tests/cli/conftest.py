"""A scenario on disk, and a way to run a verb on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from clustersim.cli import main

SCENARIO = """\
version: 1
name: "four, \\"quoted\\" 🚀 מהיר"
stage_costs: {forward: 10 ms, input_grad: 10 ms, weight_grad: 10 ms, activation: 1 GiB, weights: 10 GiB}
cluster: {topology: {fabric: full-mesh, gpus: 4, device: A100-SXM4-80GB, link: {latency: 1 ms}}}
parallelism: {pp: 4}
batch: {num_microbatches: 8}
schedule: 1f1b
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    path = tmp_path / "four.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    return str(path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_verb(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(list(args))
        captured = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, captured.out, captured.err

    return run_verb
