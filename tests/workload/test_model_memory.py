"""Activations and state: Korthikanti's formulas and published figures with ==."""

from __future__ import annotations

from fractions import Fraction

import pytest
from model_examples import ALL, EXPERTS, GPT_22B, GPT_175B, GROUPED, gpt

from clustersim.ops import StaticBytes
from clustersim.scenario.model import ModelSpec
from clustersim.scenario.parallelism import Parallelism
from clustersim.workload.model.activations import (
    embedding_activation_bytes,
    kept_tensors,
    layer_activation_bytes,
    output_activation_bytes,
    weight_grad_bytes,
)
from clustersim.workload.model.layers import layer_kinds
from clustersim.workload.model.microbatch import MicroBatch
from clustersim.workload.model.parameters import Parameters, part_parameters
from clustersim.workload.model.recompute import Recompute
from clustersim.workload.model.shard import Shard, shard_of
from clustersim.workload.model.state import optimizer_step_bytes, state_bytes

GIB = 2**30
PLAIN = {"22B": GPT_22B, "175B": GPT_175B}


def kept(
    model: ModelSpec,
    num_samples: int = 1,
    recompute: Recompute = "none",
    *,
    flash: bool = False,
    tp: int = 1,
    cp: int = 1,
    sp: bool = False,
) -> int:
    microbatch = MicroBatch(num_samples, "fp16", flash, recompute)
    return layer_activation_bytes(model, layer_kinds(model)[0], microbatch, Shard(tp, cp, sequence_parallel=sp))


@pytest.mark.parametrize("model", PLAIN.values(), ids=PLAIN)
@pytest.mark.parametrize("t", [1, 2, 8])
@pytest.mark.parametrize("b", [1, 4])
def test_activations_of_a_layer_are_those_of_the_formulas(model: ModelSpec, t: int, b: int) -> None:
    """Korthikanti et al., MLSys 2023, equations 1 to 4 and table 2."""
    h, s, a = model.hidden_size, model.seq_length, model.num_attention_heads
    sbh, core = s * b * h, Fraction(5 * a * s, h)
    assert kept(model, b) == sbh * (34 + core)
    assert kept(model, b, tp=t) == sbh * (10 + Fraction(24, t) + core / t)
    assert kept(model, b, tp=t, sp=True) == sbh * (34 + core) / t
    assert kept(model, b, "selective", tp=t) == sbh * (10 + Fraction(24, t))
    assert kept(model, b, "selective", tp=t, sp=True) == Fraction(34 * sbh, t)
    assert kept(model, b, "full", tp=t) == 2 * sbh
    assert kept(model, b, flash=True, tp=t, sp=True) == Fraction(34 * sbh, t)
    assert kept(model, b, tp=t, cp=4, sp=True) == sbh * (34 + core) / t / 4


@pytest.mark.parametrize(
    ("model", "num_samples", "in_flight", "none", "selective"),
    [(GPT_22B, 4, Fraction(1), 59.25, 9.5625), (GPT_175B, 1, 1 + Fraction(7, 8 * 3), 66.84375, 12.3515625)],
    ids=["22B", "175B"],
)
def test_published_activation_memory(
    model: ModelSpec, num_samples: int, in_flight: Fraction, none: float, selective: float
) -> None:
    """The same, figure 1: all layers' worth on the first stage, 1 + (p - 1) / pm of it with interleaving. [GiB]"""
    layers = model.num_layers * in_flight
    assert layers * kept(model, num_samples, tp=8) / GIB == none
    assert layers * kept(model, num_samples, "selective", tp=8, sp=True) / GIB == selective


@pytest.mark.parametrize(
    ("model", "percent"),
    [(GPT_22B, (66.84, 49.42, 16.18, 7.64)), (GPT_175B, (62.04, 56.53, 18.49, 8.71))],
    ids=["22B", "175B"],
)
def test_published_shares_of_the_tensor_parallel_baseline(model: ModelSpec, percent: tuple[float, ...]) -> None:
    """The same, figure 7; read off a plot."""
    sizes = (
        kept(model, tp=8, sp=True),
        kept(model, 1, "selective", tp=8),
        kept(model, 1, "selective", tp=8, sp=True),
        kept(model, 1, "full", tp=8),
    )
    assert [100 * size / kept(model, tp=8) for size in sizes] == pytest.approx(percent, abs=0.1)


@pytest.mark.parametrize(("model", "pp"), [(GPT_22B, 1), (GPT_175B, 8)], ids=["22B", "175B"])
def test_published_weights_and_optimizer(model: ModelSpec, pp: int) -> None:
    """The same, figure 1: 45.5625 GiB, which is 18 bytes for each value of a layer's matrices."""
    parallelism = Parallelism(tp=8, pp=pp)
    layers = part_parameters(model, layer_kinds(model)[: model.num_layers // pp], shard=shard_of(parallelism))
    held = state_bytes(Parameters(matrices=layers.matrices), "bf16", parallelism)
    assert sum(held) / GIB == 45.5625


@pytest.mark.parametrize("model", [GPT_22B, gpt()], ids=["22B", "small"])
def test_weight_gradients_need_32_sbh(model: ModelSpec) -> None:
    """Qi et al., ICLR 2024, table 1."""
    kind = layer_kinds(model)[0]
    assert weight_grad_bytes(model, kind, MicroBatch(3)) == 32 * 3 * model.seq_length * model.hidden_size
    in_pieces = weight_grad_bytes(model, kind, MicroBatch(3), Shard(2, 2, sequence_parallel=True))
    assert in_pieces * 4 == weight_grad_bytes(model, kind, MicroBatch(3))


def test_embedding_and_output_are_those_of_the_formulas() -> None:
    s, h, V = GPT_22B.seq_length, GPT_22B.hidden_size, GPT_22B.vocab_size  # noqa: N806
    shard = Shard(8, sequence_parallel=True)
    assert embedding_activation_bytes(GPT_22B, MicroBatch(4), shard) == s * 4 * h // 8
    assert output_activation_bytes(GPT_22B, MicroBatch(4), shard) == (4 * s * 4 * h + 4 * s * 4 * V) // 8
    assert embedding_activation_bytes(gpt(dropout=False)) == 0


def test_what_a_llama_layer_keeps() -> None:
    tokens, h, kv, ffn = 32, 48, 24, 192
    names = {tensor.name: tensor.num_bytes for tensor in kept_tensors(GROUPED, layer_kinds(GROUPED)[0])}
    assert names == {
        "norm0 input": 2 * tokens * h,
        "norm1 input": 2 * tokens * h,
        "attention input": 2 * tokens * h,
        "queries": 2 * tokens * h,
        "keys": 2 * tokens * kv,
        "values": 2 * tokens * kv,
        "projection input": 2 * tokens * h,
        "softmax": 2 * 4 * tokens * tokens,
        "mlp input": 2 * tokens * h,
        "fc activation input": 2 * tokens * 2 * ffn,
        "fc2 input": 2 * tokens * ffn,
    }


def test_what_experts_keep_is_theirs_by_rows() -> None:
    kind = layer_kinds(EXPERTS)[0]
    names = {tensor.name: tensor.num_bytes for tensor in kept_tensors(EXPERTS, kind, MicroBatch(2))}
    rows = 2 * 64
    assert names["expert input"] == 2 * rows * 48
    assert names["expert_fc activation input"] == 2 * rows * 128
    assert names["shared_fc2 input"] == 2 * 64 * 128
    assert names["router probabilities"] == 4 * 64 * 8


@pytest.mark.parametrize("model", ALL.values(), ids=ALL)
def test_pieces_of_everything_add_up(model: ModelSpec) -> None:
    for kind in layer_kinds(model):
        shard = Shard(tp=2, cp=2, ep=2, etp=1, sequence_parallel=True)
        whole, piece = (layer_activation_bytes(model, kind, MicroBatch(4), each) for each in (Shard(), shard))
        assert piece * 4 == whole


def test_a_format_of_four_bytes_doubles_what_is_kept_and_fp8_saves_on_inputs_of_linear_layers() -> None:
    model, kind = GROUPED, layer_kinds(GROUPED)[0]
    sizes = {name: layer_activation_bytes(model, kind, MicroBatch(1, name)) for name in ("bf16", "fp32", "fp8")}
    tokens, inputs = 32, 48 + 48 + 48 + 192
    assert sizes["fp32"] == 2 * sizes["bf16"]
    assert sizes["fp8"] == sizes["bf16"] - tokens * inputs


def test_gpus_that_share_an_expert_both_keep_what_enters_it() -> None:
    kind = layer_kinds(EXPERTS)[0]
    apart, shared = (
        {tensor.name: tensor.num_bytes for tensor in kept_tensors(EXPERTS, kind, MicroBatch(4), Shard(tp=2, etp=etp))}
        for etp in (1, 2)
    )
    assert shared["expert input"] == 2 * apart["expert input"]
    assert shared["expert_fc2 input"] == apart["expert_fc2 input"]


@pytest.mark.parametrize(
    ("stage", "dense", "experts"),
    [
        (0, (2000, 4000, 12000), (200, 400, 1200)),
        (1, (2000, 4000, 12000 / 8), (200, 400, 1200 / 4)),
        (2, (2000, 4000 / 8, 12000 / 8), (200, 400 / 4, 1200 / 4)),
        (3, (2000 / 8, 4000 / 8, 12000 / 8), (200 / 4, 400 / 4, 1200 / 4)),
    ],
)
def test_zero_divides_more_with_each_stage(stage: int, dense: tuple[float, ...], experts: tuple[float, ...]) -> None:
    """Dense layers have dp * cp = 8 copies; experts tp * cp * dp / (ep * etp) = 4."""
    parallelism = Parallelism(tp=2, cp=2, dp=4, ep=4, etp=1, zero_stage=stage)
    assert state_bytes(Parameters(matrices=900, vectors=100), "bf16", parallelism)[:3] == dense
    assert state_bytes(Parameters(experts=100), "bf16", parallelism)[:3] == experts


def test_bytes_of_a_parameter_by_precision() -> None:
    one = Parameters(matrices=1)
    by_name = {name: state_bytes(one, name, Parallelism()) for name in ("bf16", "fp16", "fp8", "fp32")}
    assert by_name == {
        "bf16": StaticBytes(2, 4, 12),
        "fp16": StaticBytes(2, 2, 12),  # and 4 in the optimizer step alone
        "fp8": StaticBytes(2, 4, 12),
        "fp32": StaticBytes(4, 4, 8),
    }
    assert optimizer_step_bytes(Parameters(matrices=8), "bf16", Parallelism(dp=4, zero_stage=1)) == 2 * 30
