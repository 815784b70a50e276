"""Other tools' names of a model's fields: the same model as under our own, errors in the written ones."""

from __future__ import annotations

from typing import Any

import pytest

from clustersim.errors import ScenarioError
from clustersim.scenario.aliases import ALIASES
from clustersim.scenario.keys import dotted_keys
from clustersim.scenario.load import scenario_from_mapping, vary
from clustersim.scenario.show import resolved
from clustersim.scenario.spec import Scenario


def document(model: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": 1,
        "model": model,
        "cluster": {"topology": "dgx-a100", "gpus": 1},
        "batch": {"num_microbatches": 1},
        "schedule": "1f1b",
    }


OURS = {
    "num_layers": 4,
    "hidden_size": 256,
    "num_attention_heads": 8,
    "num_query_groups": 2,
    "ffn_hidden_size": 704,
    "vocab_size": 1000,
    "seq_length": 128,
    "tied_embeddings": False,
}
HUGGING_FACE = {
    "num_hidden_layers": 4,
    "hidden_size": 256,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 704,
    "vocab_size": 1000,
    "max_position_embeddings": 128,
    "tie_word_embeddings": False,
}


def test_hugging_face_s_names_make_the_same_model() -> None:
    theirs = scenario_from_mapping(document(HUGGING_FACE))
    assert theirs.model == scenario_from_mapping(document(OURS)).model
    assert {row.key: row.value for row in resolved(theirs)}["model.num_layers"] == "4"


def test_experts_have_their_tools_names_too() -> None:
    ours = {"num_experts": 8, "top_k": 2, "ffn_hidden_size": 64, "num_shared_experts": 1, "first_dense_layers": 1}
    deepseek = {
        "n_routed_experts": 8,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 64,
        "n_shared_experts": 1,
        "first_k_dense_replace": 1,
    }
    megatron = {"num_moe_experts": 8, "moe_router_topk": 2, "moe_ffn_hidden_size": 64}
    assert scenario_from_mapping(document(OURS | {"moe": deepseek})).model == (
        scenario_from_mapping(document(OURS | {"moe": ours})).model
    )
    found = scenario_from_mapping(document(OURS | {"moe": megatron})).model
    assert found is not None
    assert found.moe is not None
    assert (found.moe.num_experts, found.moe.top_k, found.moe.ffn_hidden_size) == (8, 2, 64)


def test_a_value_is_given_once_and_mistakes_have_the_written_name() -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario_from_mapping(document(OURS | {"num_hidden_layers": 4, "n_kv_heads": 2}))
    text = str(caught.value)
    assert "model.num_hidden_layers: the same value as 'num_layers', given twice" in text
    assert "model.n_kv_heads: the same value as 'num_query_groups', given twice" in text
    with pytest.raises(ScenarioError, match=r"model.num_key_value_heads: 3 does not divide"):
        scenario_from_mapping(document(HUGGING_FACE | {"num_key_value_heads": 3}))


def test_a_sweep_may_use_them() -> None:
    scenario = vary(scenario_from_mapping(document(OURS)), {"model.num_hidden_layers": 6})
    assert scenario.model is not None
    assert scenario.model.num_layers == 6
    named = vary(scenario_from_mapping(document({}) | {"model": "gpt-2"}), {"model.max_position_embeddings": 512})
    assert named.model is not None
    assert (named.model.num_layers, named.model.seq_length) == (12, 512)


def test_every_alias_stands_for_a_key_and_is_none_itself() -> None:
    keys = set(dotted_keys(Scenario))
    for key, names in ALIASES.items():
        assert key in keys
        parent = key.rpartition(".")[0]
        assert not keys & {f"{parent}.{name}" for name in names}
    every = [f"{key.rpartition('.')[0]}.{name}" for key, names in ALIASES.items() for name in names]
    assert len(every) == len(set(every))
