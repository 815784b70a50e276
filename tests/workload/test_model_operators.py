"""Operators of layers and stages: FLOP that agree with the model's, bytes worked by hand, shards that add up."""

from __future__ import annotations

from collections import Counter

import pytest
from model_examples import ALL, EXPERTS, GPT_22B, LATENT, gpt

from clustersim.scenario.model import ModelSpec
from clustersim.scenario.model_shard import model_shard_findings
from clustersim.scenario.parallelism import Parallelism
from clustersim.workload.model.activations import layer_activation_bytes
from clustersim.workload.model.flop import hardware_flop, layer_forward_flop, model_flop
from clustersim.workload.model.layer_work import layer_operators, output_operators
from clustersim.workload.model.layers import layer_kinds
from clustersim.workload.model.microbatch import MicroBatch
from clustersim.workload.model.parameters import mtp_parameters, parameters
from clustersim.workload.model.recompute import Recompute, recomputed
from clustersim.workload.model.shard import Shard
from clustersim.workload.model.stage import (
    message_bytes,
    parts_of,
    recomputed_layers,
    stage_activations,
    stage_operators,
    stage_parameters,
    stage_recomputed,
)
from clustersim.workload.model.work import Gemm, Operator, Work, total_work

UNFUSED = MicroBatch(1, "bf16", flash_attention=False)


def by_name(operators: tuple[Operator, ...]) -> dict[str, Operator]:
    return {operator.name: operator for operator in operators}


@pytest.mark.parametrize("model", ALL.values(), ids=ALL)
def test_flop_of_operators_are_the_model_s(model: ModelSpec) -> None:
    model = model.model_copy(update={"sliding_window": None, "full_attention_every": None})
    for kind in layer_kinds(model):
        operators = layer_operators(model, kind, UNFUSED)
        flop = {operator.name: operator.forward.flop for operator in operators if operator.forward.flop}
        assert flop == layer_forward_flop(model, kind, "full")
        assert all(operator.backward.flop == 2 * operator.forward.flop for operator in operators)
        products = [operator for operator in operators if operator.gemm]
        for operator in products:
            gemm = operator.gemm or Gemm(0, 0, 0)
            assert operator.forward.flop == 2 * gemm.rows * gemm.inputs * gemm.outputs * gemm.copies


@pytest.mark.parametrize("model", ALL.values(), ids=ALL)
def test_flash_attention_runs_half_the_square_and_five_products_backward(model: ModelSpec) -> None:
    for kind in layer_kinds(model):
        core = by_name(layer_operators(model, kind, MicroBatch()))["attention"]
        flop = layer_forward_flop(model, kind, "causal")
        assert core.forward.flop == flop["scores"] + flop["values"]
        assert core.backward.flop == 3 * flop["scores"] + 2 * flop["values"]


@pytest.mark.parametrize("model", ALL.values(), ids=ALL)
@pytest.mark.parametrize("flash", [True, False])
def test_shards_of_products_add_up(model: ModelSpec, flash: bool) -> None:
    shard = Shard(tp=2, cp=2, ep=2, etp=2, sequence_parallel=True)
    microbatch = MicroBatch(4, "bf16", flash)
    for kind in layer_kinds(model):
        whole, piece = (layer_operators(model, kind, microbatch, each) for each in (Shard(), shard))
        for one, part in zip(whole, piece, strict=True):
            assert part.forward.flop * 4 == one.forward.flop, one.name
            assert part.backward.flop * 4 == one.backward.flop, one.name
            assert part.forward.moved_bytes * 4 >= one.forward.moved_bytes, one.name


def test_bytes_of_a_linear_layer_worked_by_hand() -> None:
    fc1 = by_name(layer_operators(gpt(), layer_kinds(gpt())[0], UNFUSED))["fc1"]
    entering, leaving, weights = 32 * 48, 32 * 192, 48 * 192
    assert fc1.gemm == Gemm(32, 48, 192)
    assert fc1.forward == Work(2 * 32 * 48 * 192, 2 * (entering + weights + leaving))
    assert fc1.input_grad == fc1.forward
    assert fc1.weight_grad == Work(2 * 32 * 48 * 192, 2 * (entering + leaving))
    in_fp8 = by_name(layer_operators(gpt(), layer_kinds(gpt())[0], MicroBatch(1, "fp8")))["fc1"]
    assert in_fp8.precision == "fp8"
    assert in_fp8.forward.moved_bytes == entering + weights + 2 * leaving


def test_gradients_of_all_weights_are_read_and_written_after_their_products() -> None:
    operators = by_name(layer_operators(gpt(), layer_kinds(gpt())[0], UNFUSED))
    num_weights = 48 * 48 * 3 + 48 * 48 + 2 * 48 * 192
    assert operators["accumulation"].weight_grad == Work(0, 2 * 4 * num_weights)
    assert operators["accumulation"].forward == operators["accumulation"].input_grad == Work()


def test_bytes_of_softmax_with_and_without_dropout() -> None:
    square = 4 * 32 * 32
    for model, forward in ((gpt(), 9), (gpt(dropout=False), 4)):
        softmax = by_name(layer_operators(model, layer_kinds(model)[0], UNFUSED))["softmax"]
        assert softmax.forward == Work(0, forward * square)


def test_only_linear_layers_of_transformer_layers_are_in_fp8() -> None:
    operators = layer_operators(EXPERTS, layer_kinds(EXPERTS)[0], MicroBatch(1, "fp8"))
    in_fp8 = {operator.name for operator in operators if operator.precision == "fp8"}
    assert in_fp8 == {"qkv", "projection", "expert_fc1", "expert_fc2", "shared_fc1", "shared_fc2"}
    assert {operator.precision for operator in output_operators(EXPERTS, MicroBatch(1, "fp8"))} == {"bf16"}


def test_experts_are_grouped_products() -> None:
    operators = by_name(layer_operators(EXPERTS, layer_kinds(EXPERTS)[0], MicroBatch(4), Shard(ep=4)))
    assert operators["expert_fc1"].gemm == Gemm(rows=4 * 32 * 2 // 2, inputs=48, outputs=128, copies=2)
    assert operators["expert_fc1"].kind == "experts"


@pytest.mark.parametrize(("recompute", "count"), [("none", 0), ("selective", 3), ("full", None)])
def test_what_is_run_again(recompute: Recompute, count: int | None) -> None:
    operators = layer_operators(gpt(), layer_kinds(gpt())[0], UNFUSED)
    assert len(recomputed(operators, recompute)) == (len(operators) if count is None else count)
    flashed = layer_operators(gpt(), layer_kinds(gpt())[0], MicroBatch())
    assert recomputed(flashed, "selective") == ()


@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
@pytest.mark.parametrize("flash", [True, False])
def test_stages_together_run_the_flop_of_the_hardware(recompute: Recompute, flash: bool) -> None:
    """Without FlashAttention all is counted in full; with it, full recomputation aside, what it runs is causal."""
    microbatch = MicroBatch(2, "bf16", flash, recompute)
    flop = 0
    for part in parts_of(EXPERTS, (1, 2, 1)):
        for operator, count in stage_operators(EXPERTS, part, microbatch, Shard()).items():
            flop += count * (operator.forward.flop + operator.backward.flop)
        for operator, count in stage_recomputed(
            EXPERTS, recomputed_layers(part, microbatch), microbatch, Shard()
        ).items():
            flop += count * operator.forward.flop
    convention = "causal" if flash else "full"
    assert flop == hardware_flop(EXPERTS, 2, recompute, flash_attention=flash, convention=convention)
    assert flop >= model_flop(EXPERTS, 2, convention)


def test_stages_together_hold_the_parameters_of_the_model() -> None:
    parts = parts_of(LATENT, (2, 1, 1))
    held = sum(stage_parameters(LATENT, part, Shard()).total for part in parts)
    assert held == parameters(LATENT).total + 96 * 48 * LATENT.tied_embeddings
    with_mtp = sum(stage_parameters(EXPERTS, part, Shard()).total for part in parts_of(EXPERTS, (2, 2)))
    assert with_mtp == parameters(EXPERTS).total + mtp_parameters(EXPERTS).total + 96 * 48
    assert parts_of(gpt(), (4,))[0].has_output


def test_activations_of_a_stage_with_full_recomputation_unfold_one_layer_at_a_time() -> None:
    part = parts_of(GPT_22B, (24, 24))[0]
    kind = part.kinds[0]
    full, none = (MicroBatch(1, "bf16", True, recompute) for recompute in ("full", "none"))
    kept = stage_activations(GPT_22B, part, full, Shard(8))
    sbh = GPT_22B.seq_length * GPT_22B.hidden_size
    assert kept.checkpoint_bytes == 24 * 2 * sbh + sbh
    assert kept.whole_bytes == 23 * 2 * sbh + sbh + layer_activation_bytes(GPT_22B, kind, none, Shard(8))
    assert kept.weight_grad_bytes == kept.whole_bytes
    without = stage_activations(GPT_22B, part, none, Shard(8))
    assert without.whole_bytes == without.checkpoint_bytes == 24 * 13 * sbh + sbh


def test_a_message_is_the_hidden_states_of_a_gpu_s_tokens() -> None:
    assert message_bytes(gpt(), MicroBatch(3), Shard(2)) == 2 * 3 * 32 * 48
    assert message_bytes(gpt(), MicroBatch(3), Shard(2, 2, sequence_parallel=True)) == 2 * 3 * 32 * 48 // 4


def test_equal_layers_have_equal_operators() -> None:
    counted = stage_operators(gpt(), parts_of(gpt(), (4,))[0], UNFUSED, Shard())
    assert {operator.name: count for operator, count in counted.items()}["fc1"] == 4
    assert total_work(operator.forward for operator in counted).flop > 0
    assert isinstance(counted, Counter)


@pytest.mark.parametrize(
    ("model", "axes", "told"),
    [
        (gpt(), {"tp": 3}, ["parallelism.tp: 3 does not divide the model's num_attention_heads 4",
                            "parallelism.tp: 3 is neither a divisor nor a multiple"]),
        (gpt(num_query_groups=2), {"tp": 4}, []),
        (gpt(), {"cp": 5}, ["parallelism.cp: the model's seq_length 32 can't be cut into 5 pieces"]),
        (gpt(seq_length=34), {"tp": 4, "sequence_parallel": True}, ["parallelism.sequence_parallel"]),
        (gpt(), {"ep": 2, "dp": 2}, ["parallelism.ep: 2, but the model has no experts"]),
        (EXPERTS, {"ep": 3, "dp": 3}, ["parallelism.ep: 3 does not divide the model's 8 experts"]),
        (EXPERTS, {"etp": 3, "dp": 3}, ["parallelism.etp: 3 does not divide the width of the model's experts, 64"]),
        (EXPERTS, {"tp": 2, "ep": 4, "dp": 4, "cp": 2}, []),
    ],
)  # fmt: skip
def test_what_does_not_divide_is_told(model: ModelSpec, axes: dict[str, int], told: list[str]) -> None:
    found = [str(finding) for finding in model_shard_findings(model, Parallelism(**axes))]
    assert len(found) == len(told)
    assert all(one.startswith(start) for one, start in zip(found, told, strict=True)), found
