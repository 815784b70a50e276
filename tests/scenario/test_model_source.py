"""The model of a scenario: from the gallery, from a config.json, written out; and what is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import clustersim as cs
from clustersim.errors import ScenarioError
from clustersim.scenario.load import load_scenario, scenario_from_mapping
from clustersim.scenario.models import load_model

SMALL = {"num_layers": 4, "hidden_size": 256, "num_attention_heads": 8, "vocab_size": 1000, "seq_length": 128}


def document(**sections: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "model": SMALL,
        "cluster": {"topology": "dgx-a100", "gpus": 4},
        "parallelism": {"pp": 4},
        "batch": {"global_batch_size": 8, "micro_batch_size": 1},
        "schedule": "1f1b",
    } | sections


def refusal(**sections: Any) -> str:
    with pytest.raises(ScenarioError) as caught:
        scenario_from_mapping(document(**sections))
    return str(caught.value)


def test_a_name_of_the_gallery() -> None:
    scenario = scenario_from_mapping(document(model="gpt-3-175b"))
    assert scenario.model == load_model("gpt-3-175b")


def test_a_config_json_from_disk_to_a_full_report(tmp_path: Path) -> None:
    config = {
        "model_type": "llama",
        "num_hidden_layers": 4,
        "hidden_size": 256,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "intermediate_size": 704,
        "vocab_size": 1000,
        "max_position_embeddings": 512,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "job.json").write_text(json.dumps(document(model={"huggingface": "config.json", "seq_length": 128})))
    scenario = load_scenario(tmp_path / "job.json")
    assert scenario.model is not None
    assert (scenario.model.kv_heads, scenario.model.seq_length, scenario.model.gated_mlp) == (2, 128, True)
    result = cs.simulate(scenario)
    assert result.throughput.tokens_per_s == pytest.approx(8 * 128 / result.step_time_s)
    assert 0 < (result.throughput.mfu or 0) <= (result.throughput.hfu or 0) < 1
    assert result.memory.fits
    assert cs.simulate(scenario_from_mapping(scenario.model_dump(mode="json", exclude_none=True))).step_time_s == (
        result.step_time_s
    )


def test_costs_come_from_one_place() -> None:
    assert "stage_costs: missing key" in refusal(model=None)
    both = refusal(stage_costs={"forward": "1 ms", "backward": "2 ms"})
    assert "stage_costs: given beside `model`" in both


def test_what_is_wrong_with_a_model_is_told_where_it_stands(tmp_path: Path) -> None:
    assert "did you mean 'gpt-3-175b'" in refusal(model="gpt-3-175")
    assert "model.huggingface: 'nowhere.json': No such file" in refusal(model={"huggingface": "nowhere.json"})
    assert "unknown key beside `huggingface`" in refusal(model={"huggingface": "c.json", "num_layers": 3})
    assert "model.hidden_size: must be at least 1; got 0" in refusal(model=SMALL | {"hidden_size": 0})
    assert "4 layers can't be dealt evenly to 3 stages" in refusal(
        parallelism={"pp": 3}, cluster={"topology": "dgx-a100", "gpus": 3}
    )
    assert "parallelism.tp: 3 does not divide" in refusal(
        parallelism={"tp": 3}, cluster={"topology": "dgx-a100", "gpus": 3}
    )
    assert "it names no device" in refusal(cluster={"topology": {"fabric": "full-mesh", "gpus": 4}})
    (tmp_path / "job.yaml").write_text("version: 1\nmodel: gpt-4\n")
    with pytest.raises(ScenarioError, match=r"job.yaml:2:8: error: model: no model is called 'gpt-4'"):
        load_scenario(tmp_path / "job.yaml")


def test_a_device_whose_kernels_are_not_known_is_refused() -> None:
    scenario = scenario_from_mapping(document(cluster={"topology": "tpu-v4", "gpus": 4}))
    with pytest.raises(ScenarioError, match="the catalogue does not say what kernels reach on TPU-v4"):
        cs.simulate(scenario)


def test_a_split_needs_a_model() -> None:
    text = refusal(
        model=None, stage_costs={"forward": "1 ms", "backward": "2 ms"}, parallelism={"pp": 4, "split": {"first": 1}}
    )
    assert "parallelism.split: means nothing beside `stage_costs`" in text
