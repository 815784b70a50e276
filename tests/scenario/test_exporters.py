"""Scenarios in other tools' words: Megatron's flags lead back to the same costs, torchtitan's settings say the same."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from clustersim.scenario.exporters.megatron import megatron_flags
from clustersim.scenario.exporters.torchtitan import SCHEDULES, torchtitan_settings
from clustersim.scenario.importers import import_megatron
from clustersim.scenario.load import scenario_from_mapping
from clustersim.scenario.spec import Scenario
from clustersim.workload.stages import stage_costs

LAYOUT = {"tp": 4, "pp": 4, "vpp": 2, "dp": 4, "sequence_parallel": True, "zero_stage": 1}


def job(model: str = "gpt-3-175b", **sections: Any) -> Scenario:
    usual: dict[str, Any] = {
        "version": 1,
        "model": model,
        "cluster": {"topology": "dgx-a100", "gpus": 64},
        "parallelism": LAYOUT,
        "batch": {"global_batch_size": 64, "micro_batch_size": 2},
        "schedule": "interleaved-1f1b",
        "training": {"recompute": "selective"},
    }
    return scenario_from_mapping(usual | sections)


@pytest.mark.parametrize(
    "scenario",
    [
        job(),
        job("llama-3.1-70b", training={"recompute": "full", "precision": "fp16", "flash_attention": False}),
        job("mixtral-8x7b", parallelism=LAYOUT | {"ep": 4, "etp": 1}),
        job("deepseek-v3", parallelism={"tp": 2, "pp": 1, "dp": 32, "ep": 32, "zero_stage": 3}, schedule="1f1b"),
        job(training={"recompute": "full", "recompute_num_layers": 2}, runtime={"overlap": {"grad_reduce": False}}),
    ],
    ids=["gpt", "grouped", "experts", "latent", "blocks"],
)
def test_megatrons_flags_lead_back_to_the_same_job(scenario: Scenario) -> None:
    read = import_megatron("train.sh", "torchrun train.py " + megatron_flags(scenario).replace("\n", " ")).sections
    cluster = {"topology": "dgx-a100", "gpus": 64}
    again = scenario_from_mapping({"version": 1, "cluster": cluster, "schedule": "1f1b", **read})
    assert stage_costs(again) == stage_costs(scenario)
    assert again.parallelism.sizes == scenario.parallelism.sizes
    assert again.parallelism.zero_stage == scenario.parallelism.zero_stage
    assert (again.schedule, again.batch) == (scenario.schedule, scenario.batch)
    assert again.runtime.overlap == scenario.runtime.overlap


def test_a_schedule_that_megatron_lacks_is_told() -> None:
    flags = megatron_flags(job(schedule="zb-h1", parallelism=LAYOUT | {"vpp": 1}))
    assert flags.startswith("# Megatron-LM has no schedule zb-h1: these flags run 1f1b; ")


@pytest.mark.parametrize("schedule", ["interleaved-1f1b", "zb-v", "hanayo"])
def test_torchtitans_settings_say_the_same(schedule: str) -> None:
    text = torchtitan_settings(job(schedule=schedule))
    settings = tomllib.loads(text)
    parallelism = settings["parallelism"]
    assert parallelism["tensor_parallel_degree"] == parallelism["pipeline_parallel_degree"] == 4
    assert (parallelism["data_parallel_shard_degree"], parallelism["data_parallel_replicate_degree"]) == (4, 1)
    assert parallelism["pipeline_parallel_microbatch_size"] == 2
    assert parallelism["pipeline_parallel_layers_per_stage"] == 12
    assert parallelism.get("pipeline_parallel_schedule") == SCHEDULES.get(schedule)
    assert ("pipeline_parallel_schedule_csv" in parallelism) == (schedule not in SCHEDULES)
    assert settings["training"] == {"global_batch_size": 64, "local_batch_size": 16, "seq_len": 2048}
    assert settings["activation_checkpoint"] == {"mode": "selective"}
