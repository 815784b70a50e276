"""What the report says of throughput, tokens, the origin of costs and the learning rate."""

from __future__ import annotations

import re
from typing import Any

import pytest
from drawing import drawn
from rich.cells import cell_len

import clustersim as cs
from clustersim.planning.sweep import sweep
from clustersim.report.result_schema import document_faults
from clustersim.report.terminal_run import run_report
from clustersim.report.terminal_sweep import sweep_report
from clustersim.scenario.load import scenario_from_mapping

JOB: dict[str, Any] = {
    "version": 1,
    "model": {
        "num_layers": 4, "hidden_size": 1024, "num_attention_heads": 8, "vocab_size": 51200, "seq_length": 1000,
        "moe": {"num_experts": 8, "top_k": 2, "ffn_hidden_size": 512},
    },
    "cluster": {"topology": "dgx-a100", "gpus": 4},
    "parallelism": {"pp": 2, "dp": 2},
    "batch": {"global_batch_size": 16},
    "schedule": "1f1b",
    "training": {"token_budget": "300B tokens", "reference_global_batch_size": 4},
}  # fmt: skip


@pytest.fixture(scope="module")
def result() -> cs.Result:
    return cs.simulate(scenario_from_mapping(JOB))


def test_the_report_names_conventions_origins_budget_and_rules(result: cs.Result) -> None:
    words = " ".join(drawn(run_report(result), 120).split())
    assert re.search(r"full attention [\d.]+ TFLOP/s [\d.]+ % [\d.]+ % causal attention [\d.]+ TFLOP/s", words)
    assert "300 B tokens in 18,750,000 steps" in words
    assert re.search(r"[\d.]+ % derived by a fit · [\d.]+ % assumed", words)
    assert re.search(
        r"of the compute and exposed communication of the busiest GPU \(rank \d\), [\d.]+ % of the step", words
    )
    assert re.search(r"assumed: experts on A100-SXM4-80GB, [\d.]+ %", words)
    assert "16 samples a step in place of 4: times 4.000 by the linear rule, times 2.000 by the square-root" in words
    assert "expert_fc1: nothing of its kind (experts) was measured on A100-SXM4-80GB" in words


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_it_keeps_to_the_width(result: cs.Result, width: int, encoding: str) -> None:
    assert max(map(cell_len, drawn(run_report(result), width, encoding).splitlines())) <= width


def test_the_document_is_what_its_schema_says(result: cs.Result) -> None:
    assert document_faults(result.to_dict()) == []
    assert set(result.to_dict()["throughput"]["by_convention"]) == {"full", "causal"}


def test_a_sweep_over_the_batch_says_what_it_asks_of_the_learning_rate() -> None:
    scenario = scenario_from_mapping(JOB)
    varied = sweep(scenario, {"batch.global_batch_size": [8, 32]}).to_dict()
    assert [row["global_batch_size"] for row in varied["rows"]] == [8, 32]
    words = " ".join(drawn(sweep_report("", varied), 120).split())
    assert "from 8 to 32 samples" in words
    assert "up to 4.000 (linear rule) or 2.000 (square-root rule)" in words
    same = sweep(scenario, {"schedule": ["1f1b", "gpipe"]}).to_dict()
    assert "Learning rate" not in drawn(sweep_report("", same), 120)
