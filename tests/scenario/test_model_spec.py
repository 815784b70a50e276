"""The model's shape: defaults, and every mistake at once."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from clustersim.errors import ScenarioError
from clustersim.scenario.model import ModelSpec
from clustersim.scenario.models import load_model, load_model_file, model_names

GPT = {"num_layers": 4, "hidden_size": 48, "num_attention_heads": 4, "vocab_size": 96, "seq_length": 32}
MLA = {"kv_lora_rank": 8, "qk_nope_head_dim": 6, "qk_rope_head_dim": 4, "v_head_dim": 8}
MOE = {"num_experts": 4, "top_k": 2}


def test_what_is_left_out_is_as_in_gpt_3() -> None:
    model = ModelSpec(**GPT)
    assert (model.kv_heads, model.head_size, model.value_size, model.ffn_size) == (4, 12, 12, 192)
    assert (model.norm_kind, model.num_positions, model.has_dropout) == ("layernorm", 32, True)
    assert model.has_linear_bias
    assert model.has_qkv_bias
    assert model.tied_embeddings
    assert (model.expert_ffn_size, model.shared_ffn_size) == (0, 0)


def test_with_a_gate_it_is_as_in_llama() -> None:
    model = ModelSpec(**GPT, gated_mlp=True)
    assert (model.norm_kind, model.num_positions, model.has_dropout) == ("rmsnorm", 0, False)
    assert not model.has_linear_bias
    assert not model.has_qkv_bias
    assert ModelSpec(**GPT, gated_mlp=True, qkv_bias=True).has_qkv_bias


def test_widths_of_experts_and_of_latent_attention() -> None:
    model = ModelSpec(**GPT, moe=MOE | {"num_shared_experts": 3}, mla=MLA)
    assert (model.expert_ffn_size, model.shared_ffn_size) == (192, 576)
    assert (model.head_size, model.value_size) == (10, 8)
    given = ModelSpec(**GPT, moe=MOE | {"ffn_hidden_size": 8, "num_shared_experts": 1, "shared_ffn_hidden_size": 20})
    assert (given.expert_ffn_size, given.shared_ffn_size) == (8, 20)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"hidden_size": 50}, "hidden_size: hidden_size 50 is no multiple of num_attention_heads 4"),
        ({"num_query_groups": 3}, "num_query_groups: 3 does not divide num_attention_heads 4"),
        ({"full_attention_every": 2}, "full_attention_every: means nothing without `sliding_window`"),
        ({"learned_positions": 31}, "learned_positions: 31 positions; a sample has 32 tokens"),
        ({"moe": MOE | {"top_k": 5}}, "top_k: 5; there are only 4 experts"),
        ({"moe": MOE | {"shared_expert_gate": True}}, "shared_expert_gate: means nothing without shared experts"),
        ({"moe": MOE | {"first_dense_layers": 4}}, "moe.first_dense_layers: 4 of 4 layers: none has experts"),
        ({"mla": MLA, "head_dim": 8}, "head_dim: means nothing beside `mla`"),
        ({"mla": MLA, "qk_norm": True}, "qk_norm: means nothing beside `mla`"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ModelSpec(**GPT | changes)
    assert what in str(refused.value)


def test_all_mistakes_are_told_together() -> None:
    with pytest.raises(ValidationError) as refused:
        ModelSpec(**GPT | {"hidden_size": 50, "num_query_groups": 3, "learned_positions": 1})
    text = str(refused.value)
    assert all(key in text for key in ("hidden_size: ", "num_query_groups: ", "learned_positions: "))


@pytest.mark.parametrize("changes", [{"head_dim": 8, "hidden_size": 50}, {"learned_positions": 0}, {"mla": MLA}])
def test_what_is_allowed(changes: dict[str, Any]) -> None:
    ModelSpec(**GPT | changes)


def test_the_gallery_has_the_well_known_models() -> None:
    assert {"gpt-3-175b", "llama-3.1-405b", "mixtral-8x7b", "deepseek-v3", "qwen3-235b-a22b"} <= set(model_names())
    assert load_model("deepseek-v3").num_mtp_layers == 1
    assert all(load_model_file(name).source for name in model_names())


def test_an_unknown_model_names_the_nearest() -> None:
    with pytest.raises(ScenarioError) as refused:
        load_model("llama-3-8b")
    assert str(refused.value) == "error: model: no model is called 'llama-3-8b'\n  hint: did you mean 'llama-3.1-8b'?"


def test_mistakes_in_a_gallery_file_are_told_with_their_places(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "scenarios" / "models"
    folder.mkdir(parents=True)
    text = "name: x\nsource: y\nparameters: many\nmodel: {num_layers: 0}\n"
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr("clustersim.scenario.gallery._PACKAGE", tmp_path / "clustersim")
    with pytest.raises(ScenarioError) as refused:
        load_model("mine")
    told = str(refused.value)
    assert "mine.yaml:4:21: error: model.num_layers: must be at least 1; got 0" in told
    assert "model.hidden_size: missing key" in told
    assert "mine.yaml:3:13: error: parameters" in told
