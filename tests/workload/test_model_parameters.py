"""Parameters: closed forms, shards that add up, and what is published of every model of the gallery."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from model_examples import ALL, EXPERTS, GPT_22B, GPT_175B, LATENT, gpt

from clustersim.scenario.model import ModelSpec
from clustersim.scenario.models import Count, load_model_file, model_names
from clustersim.workload.model.layers import layer_kinds
from clustersim.workload.model.parameters import (
    Parameters,
    active_parameters,
    layer_parameters,
    mtp_parameters,
    parameters,
    part_parameters,
)
from clustersim.workload.model.shard import Shard

WITHOUT_EMBEDDING = ("deepseek-v3", "gpt-oss-20b", "gpt-oss-120b", "kimi-k2")
"""Models whose published active parameters leave out the embedding, as their files' notes say."""


def is_published(counted: int, published: Count) -> bool:
    """Return whether a count is the published one, exactly or rounded to its printed digits."""
    if isinstance(published, int):
        return counted == published
    digits, unit = published.split()
    scaled = Decimal(counted) / {"billion": 10**9, "trillion": 10**12}[unit]
    return round(scaled, len(digits.partition(".")[2])) == Decimal(digits)


@pytest.mark.parametrize("name", model_names())
def test_a_gallery_model_has_the_parameters_that_are_published(name: str) -> None:
    file = load_model_file(name)
    assert is_published(parameters(file.model).total, file.parameters)
    if file.active_parameters is not None:
        left_out = file.model.vocab_size * file.model.hidden_size if name in WITHOUT_EMBEDDING else 0
        assert is_published(active_parameters(file.model) - left_out, file.active_parameters)
        assert (left_out > 0) == ("leave out the embedding" in file.notes)


def test_what_is_published_is_compared_to_its_digits() -> None:
    assert is_published(174_615_846_912, "174.6 billion")
    assert not is_published(174_665_846_912, "174.6 billion")
    assert not is_published(8, 9)


def test_published_parts_of_models() -> None:
    v3 = load_model_file("deepseek-v3").model
    # README_WEIGHTS.md of DeepSeek-V3: "11.5B unique parameters"; the sum of its listed tensors is 11.6
    assert 11.5e9 < mtp_parameters(v3).total < 11.62e9
    nemotron = parameters(load_model_file("nemotron-4-340b").model)
    assert is_published(nemotron.embeddings, "9.4 billion")
    assert is_published(nemotron.total - nemotron.embeddings, "331.6 billion")
    oss = parameters(load_model_file("gpt-oss-120b").model)
    assert is_published(oss.embeddings, "1.16 billion")


@pytest.mark.parametrize("model", [GPT_22B, GPT_175B, gpt()], ids=["22B", "175B", "small"])
def test_a_plain_gpt_has_the_parameters_of_the_formula(model: ModelSpec) -> None:
    """12 L h² (1 + 13 / 12h + (V + s) / 12hL), SC21; it leaves out the final norm."""
    layers, h = model.num_layers, model.hidden_size
    formula = 12 * layers * h**2 + 13 * layers * h + (model.vocab_size + model.seq_length) * h
    assert parameters(model).total == formula + 2 * h


def test_experts_worked_by_hand() -> None:
    per_expert, h = 3 * 64 * 48, 48
    kind = layer_kinds(EXPERTS)[0]
    assert layer_parameters(EXPERTS, kind) == Parameters(
        matrices=4 * h * h + 8 * h + 2 * per_expert, vectors=2 * h, experts=8 * per_expert
    )
    assert active_parameters(EXPERTS) == parameters(EXPERTS).total - 4 * 6 * per_expert
    assert mtp_parameters(EXPERTS).total == 2 * h * h + layer_parameters(EXPERTS, kind).total + 3 * h


def test_latent_attention_worked_by_hand() -> None:
    h, heads, ffn = 48, 4, 192
    attention = h * 12 + 12 * heads * 10 + h * (8 + 4) + 8 * heads * (6 + 8) + heads * 8 * h
    dense, with_experts = (layer_parameters(LATENT, kind) for kind in layer_kinds(LATENT)[:2])
    assert dense == Parameters(matrices=attention + 3 * h * ffn, vectors=2 * h + 12 + 8)
    assert with_experts.experts == 4 * 3 * h * ffn


SHARDS = (Shard(tp=2, etp=2), Shard(tp=4, ep=4, etp=1), Shard(tp=2, ep=2, etp=2))
EVEN = [(name, shard) for name, model in ALL.items() for shard in SHARDS if model.kv_heads % shard.tp == 0]


@pytest.mark.parametrize(("name", "shard"), EVEN)
def test_what_is_split_adds_up_to_the_whole(name: str, shard: Shard) -> None:
    model = ALL[name]
    for kind in layer_kinds(model):
        whole, part = layer_parameters(model, kind), layer_parameters(model, kind, shard)
        assert part.experts * shard.ep * shard.etp == whole.experts
        router_and_ranks = _not_split(model) if kind.has_experts else _not_split(model, router=False)
        assert (part.matrices - router_and_ranks) * shard.tp == whole.matrices - router_and_ranks


def _not_split(model: ModelSpec, router: bool = True) -> int:
    of_router = model.hidden_size * model.moe.num_experts if model.moe and router else 0
    mla = model.mla
    of_ranks = model.hidden_size * ((mla.q_lora_rank or 0) + mla.kv_lora_rank + mla.qk_rope_head_dim) if mla else 0
    return of_router + of_ranks


def test_keys_and_values_are_repeated_where_there_are_fewer_groups_than_gpus() -> None:
    model = gpt(num_query_groups=1, gated_mlp=True)
    part = layer_parameters(model, layer_kinds(model)[0], Shard(tp=4))
    assert part.matrices == 48 * (1 + 2) * 12 + 12 * 48 + 3 * 48 * 48


def test_a_tied_output_layer_is_held_by_the_first_and_the_last_stage() -> None:
    model, untied = gpt(), gpt(tied_embeddings=False)
    kinds = layer_kinds(model)
    for each in (model, untied):
        first = part_parameters(each, kinds[:2], has_embedding=True)
        last = part_parameters(each, kinds[2:], has_output=True)
        twice = 96 * 48 if each.tied_embeddings else 0
        assert (first + last).total == parameters(each).total + twice


@pytest.mark.parametrize("name", model_names())
def test_a_gallery_file_says_in_its_first_line_what_the_model_is(name: str) -> None:
    from clustersim.scenario.gallery import gallery_file

    path = gallery_file("models", name)
    assert path
    assert re.match(r"# .{20,}\.\n", path.read_text(encoding="utf-8"))
