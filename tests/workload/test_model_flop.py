"""Model FLOP: the published formulas with ==, and the published figures."""

from __future__ import annotations

from fractions import Fraction

import pytest
from model_examples import ALL, EXPERTS, GPT_22B, GPT_175B, GROUPED, gpt

from clustersim.scenario.model import ModelSpec
from clustersim.scenario.models import load_model
from clustersim.workload.model.flop import (
    Convention,
    hardware_flop,
    layer_forward_flop,
    model_flop,
    model_flop_per_token,
)
from clustersim.workload.model.layers import layer_kinds

PLAIN = {"22B": GPT_22B, "175B": GPT_175B, "small": gpt()}


def sizes(model: ModelSpec) -> tuple[int, int, int, int]:
    return model.num_layers, model.seq_length, model.hidden_size, model.vocab_size


@pytest.mark.parametrize("model", PLAIN.values(), ids=PLAIN)
def test_model_flop_are_those_of_the_formula(model: ModelSpec) -> None:
    L, s, h, V = sizes(model)  # noqa: N806 - the letters of the papers
    bracket = 1 + Fraction(s, 6 * h) + Fraction(V, 12 * h * L)
    assert model_flop(model, 7) == 72 * 7 * L * s * h**2 * bracket
    causal = 1 + Fraction(s, 12 * h) + Fraction(V, 12 * h * L)
    assert model_flop(model, 7, "causal") == 72 * 7 * L * s * h**2 * causal


@pytest.mark.parametrize("model", PLAIN.values(), ids=PLAIN)
def test_hardware_flop_with_full_recomputation_are_those_of_the_formula(model: ModelSpec) -> None:
    L, s, h, V = sizes(model)  # noqa: N806
    formula = 96 * 7 * L * s * h**2 * (1 + Fraction(s, 6 * h) + Fraction(V, 16 * h * L))
    assert hardware_flop(model, 7, "full", flash_attention=False) == formula


def test_hardware_flop_with_less_recomputation() -> None:
    L, s, h, _ = sizes(GPT_22B)  # noqa: N806
    plain = model_flop(GPT_22B, 1)
    assert hardware_flop(GPT_22B, 1, "none", flash_attention=False) == plain
    assert hardware_flop(GPT_22B, 1, "selective", flash_attention=False) == plain + 4 * L * s * s * h
    for recompute in ("none", "selective"):
        assert hardware_flop(GPT_22B, 1, recompute, flash_attention=True) == plain + 2 * L * s * s * h


@pytest.mark.parametrize(("name", "published"), [("deepseek-v2", 155), ("deepseek-v3", 250)])
def test_flop_per_token_are_those_that_deepseek_prints(name: str, published: int) -> None:
    """ "Insights into DeepSeek-V3", ISCA 2025, table 2: GFLOP a token of training at a length of 4,096, without MTP."""
    model = load_model(name).model_copy(update={"num_mtp_layers": 0})
    assert model.seq_length == 4096
    assert round(model_flop_per_token(model, "causal") / 10**9) == published


def test_experts_worked_by_hand() -> None:
    flop = layer_forward_flop(EXPERTS, layer_kinds(EXPERTS)[0])
    tokens, h = 32, 48
    assert flop == {
        "qkv": 2 * tokens * h * 3 * h,
        "projection": 2 * tokens * h * h,
        "router": 2 * tokens * h * 8,
        "expert_fc1": 2 * 2 * tokens * h * 128,
        "expert_fc2": 2 * 2 * tokens * 64 * h,
        "shared_fc1": 2 * tokens * h * 256,
        "shared_fc2": 2 * tokens * 128 * h,
        "scores": 2 * tokens * tokens * h,
        "values": 2 * tokens * tokens * h,
    }


@pytest.mark.parametrize(("convention", "windowed", "whole"), [("full", 32 * 8, 32 * 32), ("causal", 224, 512)])
def test_a_window_shortens_what_is_attended_to(convention: Convention, windowed: int, whole: int) -> None:
    pairs = [layer_forward_flop(GROUPED, kind, convention)["scores"] // (2 * 48) for kind in layer_kinds(GROUPED)]
    assert pairs == [windowed, whole, windowed, whole]


def test_a_window_of_the_whole_sample_changes_nothing() -> None:
    for convention in ("full", "causal"):
        assert model_flop(gpt(sliding_window=32), 1, convention) == model_flop(gpt(), 1, convention)
        assert model_flop(gpt(sliding_window=99), 1, convention) == model_flop(gpt(), 1, convention)


def test_mtp_modules_cost_a_layer_a_projection_and_logits() -> None:
    without = EXPERTS.model_copy(update={"num_mtp_layers": 0})
    layer = sum(layer_forward_flop(EXPERTS, layer_kinds(EXPERTS)[-1]).values())
    extra = layer + 2 * 32 * 96 * 48 + 2 * 32 * 48 * 96
    assert model_flop(EXPERTS, 5) - model_flop(without, 5) == 3 * 5 * extra


@pytest.mark.parametrize("model", ALL.values(), ids=ALL)
def test_flop_grow_with_samples_and_causal_are_fewer(model: ModelSpec) -> None:
    assert model_flop(model, 6) == 6 * model_flop(model, 1)
    assert model_flop(model, 1, "causal") < model_flop(model, 1, "full")
    assert model_flop_per_token(model) * model.seq_length == model_flop(model, 1)
