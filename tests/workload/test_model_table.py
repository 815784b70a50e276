"""The table of a model's parts: it adds up to what a stage costs, to the published parameters, and to the FLOP."""

from __future__ import annotations

from typing import Any

import pytest

from clustersim.scenario.load import scenario_from_mapping
from clustersim.scenario.models import load_model_file
from clustersim.workload.model.flop import model_flop
from clustersim.workload.model_costs import model_costs
from clustersim.workload.model_table import part_rows


def scenario(model: str, **sections: Any) -> Any:
    document = {
        "version": 1,
        "model": model,
        "cluster": {"topology": "dgx-h100", "gpus": 8},
        "parallelism": {"dp": 8},
        "batch": {"global_batch_size": 8},
        "schedule": "1f1b",
    }
    return scenario_from_mapping(document | sections)


@pytest.mark.parametrize("name", ["llama-3.1-8b", "bloom-176b", "mixtral-8x7b"])
def test_parts_add_up_to_the_published_parameters(name: str) -> None:
    file, given = load_model_file(name), scenario(name)
    # On GPUs of their own the two ends hold a tied embedding each.
    twice = given.model.vocab_size * given.model.hidden_size if given.model.tied_embeddings else 0
    assert sum(row.count * row.parameters for row in part_rows(given)) == file.parameters + twice


@pytest.mark.parametrize("recompute", ["none", "full"])
def test_parts_add_up_to_what_a_stage_of_them_all_takes(recompute: str) -> None:
    given = scenario("llama-3.1-8b", training={"recompute": recompute})
    (cost,), rows = model_costs(given, 1), part_rows(given)
    sums = {op: sum(row.count * row.work[op].time_ps for row in rows) for op in rows[0].work}
    rounded = 40  # each part is rounded up by itself, the stage once [ps]
    assert sums["forward"] == pytest.approx(cost.forward_ps, abs=rounded)
    assert sums["input_grad"] == pytest.approx(cost.input_grad_ps, abs=rounded)
    assert sums["weight_grad"] == pytest.approx(cost.weight_grad_ps, abs=rounded)
    assert sums["recompute"] == pytest.approx(cost.recompute_ps, abs=rounded)
    assert sum(row.count * row.activation_bytes for row in rows) == pytest.approx(cost.kept_bytes, rel=0.05)


def test_forwards_add_up_to_a_third_of_the_models_flop() -> None:
    given = scenario("gpt-3-175b", training={"flash_attention": False})
    assert given.model is not None
    forward = sum(row.count * row.work["forward"].flop for row in part_rows(given))
    assert 3 * forward == model_flop(given.model, 1, "full")


def test_operators_add_up_to_their_part() -> None:
    for row in part_rows(scenario("deepseek-v3")):
        for op in ("forward", "input_grad", "weight_grad"):
            assert sum(each.work[op].flop for each in row.operators) == row.work[op].flop
            assert sum(each.work[op].moved_bytes for each in row.operators) == row.work[op].moved_bytes


def test_kinds_of_layers_are_told_apart() -> None:
    names = {row.name: row.count for row in part_rows(scenario("deepseek-v3"))}
    assert names == {
        "embedding": 1,
        "dense layer": 3,
        "layer of experts": 58,
        "MTP module, layer of experts": 1,
        "output": 1,
    }
