"""Hugging Face's config.json: models of every family in, shapes out; what is wrong is told with key and position."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clustersim.errors import ScenarioError
from clustersim.scenario.importers import import_hugging_face
from clustersim.scenario.model import ModelSpec
from clustersim.scenario.models import load_model

Config = dict[str, Any]


def llama(**changes: Any) -> Config:
    """Return a config in the names that most families have, shaped as Llama 3.1 8B."""
    config: Config = {
        "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "intermediate_size": 14336,
        "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 8192,
        "tie_word_embeddings": False, "attention_bias": False, "mlp_bias": False, "rope_theta": 500000.0,
    }  # fmt: skip
    return config | changes


DEEPSEEK_V3 = llama(
    model_type="deepseek_v3", num_hidden_layers=61, hidden_size=7168, intermediate_size=18432, num_attention_heads=128,
    num_key_value_heads=128, vocab_size=129280, max_position_embeddings=4096, first_k_dense_replace=3,
    moe_layer_freq=1, moe_intermediate_size=2048, n_routed_experts=256, n_shared_experts=1, num_experts_per_tok=8,
    num_nextn_predict_layers=1, q_lora_rank=1536, kv_lora_rank=512, qk_nope_head_dim=128, qk_rope_head_dim=64,
    v_head_dim=128,
)  # fmt: skip
CONFIGS: dict[str, Config] = {
    "llama-3.1-8b": llama(),
    "mistral-7b": llama(model_type="mistral", vocab_size=32000, sliding_window=4096),
    "mixtral-8x7b": llama(
        model_type="mixtral", vocab_size=32000, max_position_embeddings=32768, num_local_experts=8,
        num_experts_per_tok=2, sliding_window=None,
    ),
    "qwen2-7b": llama(
        model_type="qwen2", num_hidden_layers=28, hidden_size=3584, intermediate_size=18944, num_attention_heads=28,
        num_key_value_heads=4, vocab_size=152064, max_position_embeddings=4096, sliding_window=131072,
        use_sliding_window=False, max_window_layers=28,
    ),
    "qwen2-57b-a14b": llama(
        model_type="qwen2_moe", num_hidden_layers=28, hidden_size=3584, intermediate_size=18944,
        num_attention_heads=28, num_key_value_heads=4, vocab_size=151936, max_position_embeddings=4096,
        num_experts=64, num_experts_per_tok=8, moe_intermediate_size=2560, shared_expert_intermediate_size=20480,
        decoder_sparse_step=1, mlp_only_layers=[],
    ),
    "qwen3-30b-a3b": llama(
        model_type="qwen3_moe", num_hidden_layers=48, hidden_size=2048, intermediate_size=6144,
        num_attention_heads=32, num_key_value_heads=4, head_dim=128, vocab_size=151936,
        max_position_embeddings=4096, num_experts=128, num_experts_per_tok=8, moe_intermediate_size=768,
    ),
    "deepseek-v3": DEEPSEEK_V3,
    "gpt-oss-20b": llama(
        model_type="gpt_oss", num_hidden_layers=24, hidden_size=2880, intermediate_size=2880, num_attention_heads=64,
        head_dim=64, vocab_size=201088, max_position_embeddings=4096, num_local_experts=32, experts_per_token=4,
        sliding_window=128, layer_types=["sliding_attention", "full_attention"] * 12, attention_bias=True,
    ),
    "gpt-2": {
        "model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12, "n_positions": 1024, "n_inner": None,
        "vocab_size": 50257, "resid_pdrop": 0.1,
    },
    "gpt-neox-20b": {
        "model_type": "gpt_neox", "num_hidden_layers": 44, "hidden_size": 6144, "intermediate_size": 24576,
        "num_attention_heads": 64, "vocab_size": 50432, "max_position_embeddings": 2048,
    },
    "bloom-176b": {
        "model_type": "bloom", "n_layer": 70, "n_embed": 14336, "num_attention_heads": 112, "vocab_size": 250880,
        "seq_length": 2048, "hidden_dropout": 0.0, "attention_dropout": 0.0,
    },
    "falcon-40b": {
        "model_type": "RefinedWeb", "n_layer": 60, "hidden_size": 8192, "n_head": 128, "n_head_kv": 8,
        "vocab_size": 65024, "seq_length": 2048, "bias": False, "parallel_attn": True,
        "new_decoder_architecture": True, "hidden_dropout": 0.0,
    },
    "mpt-7b": {
        "model_type": "mpt", "n_layers": 32, "d_model": 4096, "n_heads": 32, "expansion_ratio": 4,
        "vocab_size": 50432, "max_seq_len": 2048, "no_bias": True,
    },
    "nemotron-4-15b": llama(
        model_type="nemotron", hidden_size=6144, intermediate_size=24576, num_attention_heads=48, vocab_size=256000,
        max_position_embeddings=4096,
    ),
}  # fmt: skip


def imported(config: Config, **options: Any) -> ModelSpec:
    return ModelSpec(**import_hugging_face("config.json", json.dumps(config, indent=1), **options).sections["model"])


def faults(config: Config) -> list[str]:
    with pytest.raises(ScenarioError) as refused:
        import_hugging_face("config.json", json.dumps(config, indent=1))
    return [f"{fault.position} {fault.where}: {fault.what}" for fault in refused.value.faults]


def resolved(model: ModelSpec) -> dict[str, Any]:
    """Return all that costs depend on, however a file writes it."""
    names = ("kv_heads", "head_size", "value_size", "ffn_size", "expert_ffn_size", "shared_ffn_size", "norm_kind")
    names += ("has_linear_bias", "has_qkv_bias", "num_positions", "has_dropout")
    values = model.model_dump(exclude={"num_query_groups", "head_dim", "ffn_hidden_size", "norm", "linear_bias"})
    values |= {name: getattr(model, name) for name in names}
    for name in ("qkv_bias", "learned_positions", "dropout"):
        del values[name]
    for name in ("ffn_hidden_size", "num_shared_experts", "shared_ffn_hidden_size"):
        if values["moe"]:
            del values["moe"][name]
    return values


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_gives_the_model_of_the_gallery(name: str) -> None:
    assert resolved(imported(CONFIGS[name])) == resolved(load_model(name))


def test_an_older_falcon_has_one_group_and_one_norm() -> None:
    config = {
        "model_type": "falcon", "num_hidden_layers": 32, "hidden_size": 4544, "num_attention_heads": 71,
        "vocab_size": 65024, "multi_query": True, "parallel_attn": True, "new_decoder_architecture": False,
    }  # fmt: skip
    model = imported(config, seq_length=2048)
    assert (model.kv_heads, model.norms_per_layer, model.head_size) == (1, 1, 64)


def test_the_language_model_of_a_multimodal_one_is_nested() -> None:
    config = {"model_type": "llava", "hidden_size": 1024, "num_hidden_layers": 24, "text_config": llama()}
    assert imported(config) == imported(llama())
    assert faults({"text_config": llama(num_key_value_heads=5)}) == [
        "config.json:8:26 text_config.num_key_value_heads: 5 does not divide num_attention_heads 32"
    ]


def test_the_length_of_a_sample_may_be_given() -> None:
    assert imported(llama(max_position_embeddings=131072), seq_length=4096).seq_length == 4096
    notes = import_hugging_face("c", json.dumps(llama())).notes
    assert notes == ("seq_length is the longest that the model takes; give the one that it is trained with.",)
    learned = imported(CONFIGS["gpt-2"], seq_length=512)
    assert (learned.seq_length, learned.num_positions) == (512, 1024)


def test_an_unknown_family_is_taken_for_llama_and_it_is_said() -> None:
    result = import_hugging_face("c", json.dumps(llama(model_type="new")), 2048)
    assert ModelSpec(**result.sections["model"]) == imported(llama(), seq_length=2048)
    assert result.notes == ("The model_type new is not known here: norms and biases are as in Llama.",)


@pytest.mark.parametrize(
    ("config", "experts"),
    [
        (llama(num_experts=4, num_experts_per_tok=2, decoder_sparse_step=2), (1, 2)),
        (llama(num_local_experts=4, num_experts_per_tok=1, interleave_moe_layer_step=2), (1, 2)),
        (llama(num_experts=4, num_experts_per_tok=2, mlp_only_layers=[0, 1]), (2, 1)),
        (llama(n_routed_experts=4, num_experts_per_tok=2, first_k_dense_replace=3, moe_layer_freq=2), (4, 2)),
        (llama(n_routed_experts=4, num_experts_per_tok=2, first_k_dense_replace=1), (1, 1)),
    ],
)
def test_which_layers_have_experts(config: Config, experts: tuple[int, int]) -> None:
    moe = imported(config).moe
    assert moe
    assert (moe.first_dense_layers, moe.every) == experts


@pytest.mark.parametrize("count", [0, None])
def test_no_experts_are_no_experts(count: int | None) -> None:
    assert imported(llama(n_routed_experts=count, num_experts_per_tok=2)).moe is None


@pytest.mark.parametrize(
    ("changes", "window", "every"),
    [
        ({"model_type": "mistral", "sliding_window": None}, None, None),
        ({"model_type": "gemma2", "sliding_window": 4096}, 4096, 2),
        ({"model_type": "gemma3_text", "sliding_window": 1024, "sliding_window_pattern": 6}, 1024, 6),
        ({"model_type": "qwen3", "sliding_window": 64, "layer_types": ["full_attention"] * 32}, None, None),
        ({"model_type": "qwen3", "sliding_window": 64, "layer_types": ["sliding_attention"] * 32}, 64, None),
        ({"model_type": "llama", "sliding_window": 64}, None, None),
    ],
)
def test_windows(changes: Config, window: int | None, every: int | None) -> None:
    model = imported(llama(**changes))
    assert (model.sliding_window, model.full_attention_every) == (window, every)


def test_biases_that_the_file_tells() -> None:
    model = imported(llama(attention_bias=True))
    assert (model.has_qkv_bias, model.has_linear_bias) == (True, False)
    assert imported(llama(attention_bias=True, mlp_bias=True)).has_linear_bias


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (llama(hidden_size="4096"), ["4:17 hidden_size: must be a whole number of at least 1; got '4096'"]),
        (llama(num_hidden_layers=0), ["num_hidden_layers: must be a whole number of at least 1; got 0"]),
        (llama(tie_word_embeddings="no"), ["tie_word_embeddings: must be true or false; got 'no'"]),
        (llama(num_local_experts=8), ["config.json:1:1 num_experts_per_tok: missing key"]),
        (llama(num_local_experts=2, num_experts_per_tok=3), ["num_experts_per_tok: 3; there are only 2 experts"]),
        (llama(kv_lora_rank=512), ["qk_nope_head_dim: missing key", "v_head_dim: missing key"]),
        (llama(hidden_size=4095), ["4:17 hidden_size: hidden_size 4095 is no multiple"]),
        (llama(num_experts=4, num_experts_per_tok=2, mlp_only_layers=[5]), ["mlp_only_layers: layers without experts"]),
        (llama(model_type="qwen3", sliding_window=9, layer_types=["full_attention", "sliding_attention"] * 16),
         ["layer_types: full attention does not come back"]),
        (llama(model_type="qwen3", sliding_window=9, layer_types=["sliding_attention", "linear"] * 16),
         ["layer_types: must hold 'full_attention' and 'sliding_attention' alone"]),
        (llama(model_type="qwen2", sliding_window=9, use_sliding_window=True, max_window_layers=9),
         ["use_sliding_window: a window in some layers only"]),
        ({"hidden_size": 8}, ["num_hidden_layers: missing", "num_attention_heads: missing", "vocab_size: missing",
                              "max_position_embeddings: missing"]),
    ],
)  # fmt: skip
def test_mistakes_name_key_and_position(config: Config, told: list[str]) -> None:
    found = faults(config)
    assert all(any(part in fault for fault in found) for part in told), found
    assert all(fault.startswith("config.json:") for fault in found)


@pytest.mark.parametrize("text", ["[1]", "{}", "{", '{"hidden_size": NaN}'])
def test_what_is_no_config_is_refused(text: str) -> None:
    with pytest.raises(ScenarioError):
        import_hugging_face("config.json", text)
