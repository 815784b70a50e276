"""A config.json in the place of a scenario: the job that its model gets, and what overrides change of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clustersim.cli import main
from clustersim.errors import ScenarioError
from clustersim.scenario.config_job import JOB, MAX_SEQ_LENGTH
from clustersim.scenario.load import load_scenario

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 512,
    "intermediate_size": 1536,
    "max_position_embeddings": 131072,
    "num_attention_heads": 8,
    "num_hidden_layers": 4,
    "num_key_value_heads": 4,
    "vocab_size": 32000,
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    return path


def test_its_model_takes_the_place_of_the_jobs(config: Path) -> None:
    found, job = load_scenario(config), load_scenario(JOB)
    assert found.model is not None
    assert (found.model.num_layers, found.model.hidden_size, found.model.kv_heads) == (4, 512, 4)
    assert found.model.seq_length == MAX_SEQ_LENGTH
    assert (found.parallelism, found.cluster, found.batch) == (job.parallelism, job.cluster, job.batch)
    assert found.name == f"config.json as {JOB}"


def test_a_model_of_few_positions_keeps_its_length(config: Path) -> None:
    config.write_text(json.dumps(CONFIG | {"max_position_embeddings": 2048}))
    model = load_scenario(config).model
    assert model is not None
    assert model.seq_length == 2048


def test_overrides_change_the_job(config: Path) -> None:
    found = load_scenario(config, ["cluster.gpus=8", "parallelism.dp=4", "model.seq_length=1024"])
    assert found.parallelism.num_gpus == 8
    assert found.model is not None
    assert found.model.seq_length == 1024


def test_mistakes_of_a_config_are_told(config: Path) -> None:
    config.write_text(json.dumps({key: value for key, value in CONFIG.items() if key != "hidden_size"}))
    with pytest.raises(ScenarioError, match="hidden_size"):
        load_scenario(config)


def test_one_command_goes_from_a_config_to_a_report(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run", str(config)])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "config.json as" in text
    assert "MFU" in text
