"""Recomputation by layers and by modules: what stays, what runs again, what is exchanged again, counted by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from model_examples import EXPERTS, LATENT, gpt

import clustersim as cs
from clustersim.errors import ScenarioError
from clustersim.ops import Kind
from clustersim.scenario.load import scenario_from_mapping
from clustersim.scenario.model import ModelSpec
from clustersim.workload.model.activations import kept_tensors, layer_activation_bytes
from clustersim.workload.model.flop import hardware_flop, model_flop
from clustersim.workload.model.layers import layer_kinds
from clustersim.workload.model.linears import layer_linears
from clustersim.workload.model.microbatch import MicroBatch
from clustersim.workload.model.recompute import MODULES, RecomputedLayers
from clustersim.workload.model.shard import Shard
from clustersim.workload.model.stage import (
    ModelPart,
    parts_of,
    recomputed_layers,
    stage_activations,
    stage_recomputed,
)
from clustersim.workload.model_costs import model_costs

MODEL = gpt(num_layers=8, dropout=True)
SBH = MODEL.seq_length * MODEL.hidden_size  # of one sample
MIDDLE = ModelPart(layer_kinds(MODEL)[:4])  # four layers between the ends of a pipeline
PLAIN = 34 * SBH  # what a layer keeps with FlashAttention; Korthikanti et al., MLSys 2023, equation 6
INPUT = 2 * SBH


def activations(layers: RecomputedLayers) -> tuple[int, int]:
    kept = stage_activations(MODEL, MIDDLE, MicroBatch(recompute="full", recomputed_layers=layers), Shard())
    return kept.checkpoint_bytes, kept.whole_bytes


@pytest.mark.parametrize(
    ("layers", "kept", "unfolded"),
    [
        (RecomputedLayers(), 4 * INPUT, PLAIN - INPUT),
        (RecomputedLayers(1, "uniform"), 4 * INPUT, PLAIN - INPUT),
        (RecomputedLayers(2, "uniform"), 2 * INPUT, 2 * PLAIN - INPUT),
        (RecomputedLayers(3, "uniform"), 2 * INPUT, 3 * PLAIN - INPUT),  # chunks of three layers and of one
        (RecomputedLayers(9, "uniform"), INPUT, 4 * PLAIN - INPUT),
        (RecomputedLayers(1), INPUT + 3 * PLAIN, PLAIN - INPUT),
        (RecomputedLayers(3), 3 * INPUT + PLAIN, PLAIN - INPUT),
        (RecomputedLayers(9), 4 * INPUT, PLAIN - INPUT),
        (RecomputedLayers(every=2), 2 * INPUT + 2 * PLAIN, PLAIN - INPUT),
        (RecomputedLayers(every=3), INPUT + 3 * PLAIN, PLAIN - INPUT),
        (RecomputedLayers(every=5), 4 * PLAIN, 0),
    ],
    ids=str,
)
def test_what_stays_of_four_layers(layers: RecomputedLayers, kept: int, unfolded: int) -> None:
    assert activations(layers) == (kept, kept + unfolded)


@pytest.mark.parametrize(
    ("layers", "number"),
    [
        (RecomputedLayers(), 4),
        (RecomputedLayers(3, "uniform"), 4),
        (RecomputedLayers(3), 3),
        (RecomputedLayers(every=3), 1),
    ],
    ids=str,
)
def test_layers_that_are_recomputed_run_again_whole_and_the_others_not(layers: RecomputedLayers, number: int) -> None:
    microbatch = MicroBatch(recompute="full", recomputed_layers=layers)
    assert len(recomputed_layers(MIDDLE, microbatch).layers) == number
    again = stage_recomputed(MODEL, recomputed_layers(MIDDLE, microbatch), microbatch, Shard())
    num_linears = Counter({operator.name: count for operator, count in again.items() if operator.kind == "linear"})
    assert num_linears == dict.fromkeys(("qkv", "projection", "fc1", "fc2"), number)


@pytest.mark.parametrize(
    ("modules", "kept"),
    [
        (("core_attn",), 34),
        (("mlp",), 34 - 8 - 8),  # what enters GELU, and what leaves it
        (("layernorm",), 34 - 2 - 2),  # what enters attention and MLP
        (("layernorm", "mlp"), 34 - 16 - 4),
    ],
)
def test_what_stays_of_a_layer_whose_modules_are_recomputed(modules: tuple[str, ...], kept: int) -> None:
    """Korthikanti et al., section 4.1, counts the tensors: 11 s b h of attention, 19 of the MLP, 4 of the norms."""
    microbatch = MicroBatch(recompute="selective", recomputed_modules=modules)
    assert layer_activation_bytes(MODEL, layer_kinds(MODEL)[0], microbatch) == kept * SBH


def test_without_flash_attention_a_core_that_is_not_named_stays() -> None:
    heads = MODEL.num_attention_heads * MODEL.seq_length**2
    microbatch = MicroBatch(flash_attention=False, recompute="selective", recomputed_modules=("mlp",))
    assert layer_activation_bytes(MODEL, layer_kinds(MODEL)[0], microbatch) == 18 * SBH + 5 * heads


def test_experts_and_latent_attention_that_are_recomputed_keep_what_enters_them() -> None:
    kind = layer_kinds(EXPERTS)[0]

    def dropped(model: ModelSpec, module: str, kind: Any) -> set[str]:
        whole = {tensor.name for tensor in kept_tensors(model, kind)}
        starts = MODULES[module].tensors
        return {name for name in whole if name.startswith(starts)}

    assert dropped(EXPERTS, "moe", kind) == {
        "router probabilities", "expert input", "expert_fc activation input", "expert_fc2 input",
        "shared_fc activation input", "shared_fc2 input",
    }  # fmt: skip
    assert dropped(EXPERTS, "moe_act", kind) == {"expert_fc2 input"}
    assert dropped(EXPERTS, "shared_experts", kind) == {"shared_fc activation input", "shared_fc2 input"}
    assert dropped(LATENT, "mla_up_proj", layer_kinds(LATENT)[0]) == {"queries", "keys", "values"}


@pytest.mark.parametrize("module", ["mlp", "moe", "shared_experts"])
def test_flop_of_modules_are_those_of_their_linear_layers(module: str) -> None:
    starts = {"mlp": ("fc",), "moe": ("router", "expert_fc", "shared_"), "shared_experts": ("shared_fc",)}[module]
    kinds = (*layer_kinds(EXPERTS), layer_kinds(EXPERTS)[-1])  # and the MTP module's
    linears = [linear for kind in kinds for linear in layer_linears(EXPERTS, kind) if linear.name.startswith(starts)]
    rows = {"expert_fc": 2}  # each token goes to two experts
    expected = sum(linear.flop(EXPERTS.seq_length * rows.get(linear.name.rstrip("12"), 1)) for linear in linears)
    with_modules = hardware_flop(EXPERTS, 1, "selective", flash_attention=False, modules=(module,))
    assert with_modules - model_flop(EXPERTS, 1) == expected


def test_flop_of_some_layers_are_their_share() -> None:
    full = hardware_flop(MODEL, 2, "full", flash_attention=False) - model_flop(MODEL, 2)
    some = hardware_flop(MODEL, 2, "full", flash_attention=False, layers=layer_kinds(MODEL)[:2]) - model_flop(MODEL, 2)
    assert some * 8 == full * 2


def document(**sections: Any) -> dict[str, Any]:
    model = {"num_layers": 8, "hidden_size": 1024, "num_attention_heads": 16, "vocab_size": 51200, "seq_length": 1024}
    return {
        "version": 1,
        "model": model,
        "cluster": {"topology": "dgx-a100", "gpus": 8},
        "parallelism": {"tp": 4, "pp": 2, "sequence_parallel": True},
        "batch": {"num_microbatches": 4},
        "schedule": "1f1b",
    } | sections


def exchanged_again(training: dict[str, Any], **sections: Any) -> list[dict[tuple[str, str], int]]:
    scenario = scenario_from_mapping(document(training=training, **sections))
    return [
        {(e.axis, e.operation): e.num_calls for e in cost.exchanges if e.kind is Kind.RECOMPUTE}
        for cost in model_costs(scenario, scenario.parallelism.pp)
    ]


def test_what_is_recomputed_is_exchanged_again() -> None:
    both = [{("tp", "all-gather"): 2 * 4, ("tp", "reduce-scatter"): 2 * 4}] * 2  # attention and MLP of four layers
    assert exchanged_again({"recompute": "full"}) == both
    one = [{("tp", "all-gather"): 2, ("tp", "reduce-scatter"): 2}] * 2
    assert exchanged_again({"recompute": "full", "recompute_num_layers": 1}) == one
    assert exchanged_again({"recompute": "selective"}) == [{}] * 2
    mlps = [{("tp", "all-gather"): 4, ("tp", "reduce-scatter"): 4}] * 2
    assert exchanged_again({"recompute": "selective", "recompute_modules": ["mlp"]}) == mlps
    experts = document()["model"] | {"moe": {"num_experts": 8, "top_k": 2}}
    again = exchanged_again(
        {"recompute": "selective", "recompute_modules": ["moe"]},
        model=experts,
        parallelism={"dp": 4, "pp": 2, "ep": 4},
    )
    assert again == [{("ep", "all-to-all"): 2 * 4}] * 2
    shared = {
        "model": document()["model"]
        | {"gated_mlp": True, "moe": {"num_experts": 8, "top_k": 2, "num_shared_experts": 1}}
    }
    split = shared | {"parallelism": {"tp": 4, "pp": 2, "ep": 2, "etp": 2, "sequence_parallel": True}}
    of_tp = {("tp", "all-gather"): 4, ("tp", "reduce-scatter"): 4}
    of_etp = {("etp", "all-gather"): 4, ("etp", "reduce-scatter"): 4}
    whole = {"recompute": "selective", "recompute_modules": ["moe"]}
    assert exchanged_again(whole, **split) == [{("ep", "all-to-all"): 8} | of_tp | of_etp] * 2
    alone = {"recompute": "selective", "recompute_modules": ["shared_experts"]}
    assert exchanged_again(alone, **split) == [of_tp] * 2


def test_the_more_layers_are_recomputed_the_longer_a_step_and_the_lower_its_peak() -> None:
    results = [
        cs.simulate(scenario_from_mapping(document(training=training)))
        for training in (
            {"recompute": "none"},
            {"recompute": "full", "recompute_num_layers": 1},
            {"recompute": "full", "recompute_num_layers": 2},
            {"recompute": "full", "recompute_every": 1},
        )
    ]
    times = [result.step_time_s for result in results]
    peaks = [result.memory.ranks[0].peak_bytes for result in results]
    hfus = [result.throughput.hfu * result.step_time_s for result in results if result.throughput.hfu]
    assert times == sorted(times)
    assert hfus == sorted(hfus)
    assert peaks == sorted(peaks, reverse=True)
    assert len(set(times)) == len(set(peaks)) == len(set(hfus)) == 4


@pytest.mark.parametrize(
    ("training", "where", "what"),
    [
        ({"recompute_num_layers": 2}, "training.recompute_num_layers", "is for whole layers"),
        ({"recompute": "full", "recompute_method": "block"}, "training.recompute_method", "does not say of how many"),
        (
            {"recompute": "full", "recompute_num_layers": 2, "recompute_every": 2},
            "training.recompute_every",
            "given beside `recompute_num_layers`",
        ),
        ({"recompute": "full", "recompute_modules": ["mlp"]}, "training.recompute_modules", "is for parts of layers"),
        ({"recompute": "selective", "recompute_modules": ["mlp", "mlp"]}, "training.recompute_modules", "twice"),
        ({"recompute": "selective", "recompute_modules": ["mpl"]}, "training.recompute_modules.0", "mlp"),
        ({"recompute": "selective", "recompute_modules": ["moe"]}, "training.recompute_modules", "no experts"),
        (
            {"recompute": "selective", "recompute_modules": ["mla_up_proj"]},
            "training.recompute_modules",
            "no latent attention",
        ),
    ],
)
def test_mistakes(training: dict[str, Any], where: str, what: str) -> None:
    with pytest.raises(ScenarioError) as error:
        scenario_from_mapping(document(training=training))
    (fault,) = error.value.faults
    assert fault.where == where
    assert what in f"{fault.what} {fault.hint}"


def test_experts_are_recomputed_whole_or_in_parts() -> None:
    experts = document()["model"] | {"moe": {"num_experts": 8, "top_k": 2}}
    training = {"recompute": "selective", "recompute_modules": ["moe", "moe_act"]}
    with pytest.raises(ScenarioError, match="parts of it"):
        scenario_from_mapping(document(model=experts, training=training))
    shared = {"recompute": "selective", "recompute_modules": ["shared_experts"]}
    with pytest.raises(ScenarioError, match="the model has none"):
        scenario_from_mapping(document(model=experts, training=shared))


def test_stages_recompute_their_own_first_layers() -> None:
    microbatch = MicroBatch(recompute="full", recomputed_layers=RecomputedLayers(1))
    assert [len(recomputed_layers(part, microbatch).layers) for part in parts_of(MODEL, (3, 4, 1))] == [1, 1, 1]


LLAMA = gpt(gated_mlp=True, num_query_groups=2, ffn_hidden_size=96, tied_embeddings=False)


def test_every_other_matrix_product_is_kept() -> None:
    """By hand, of a gated layer, in values a token.

    Kept: what enters the layer, attention's output, the products of q, v, gate and the MLP's second matrix. Run again:
    norms, rotation, the products of k (left out), projection and half of the MLP's first matrix, activation.
    """
    h, kv, ffn = LLAMA.hidden_size, LLAMA.kv_heads * LLAMA.head_size, LLAMA.ffn_size
    modules = ("every_other_matmul",)
    microbatch = MicroBatch(recompute="selective", recomputed_modules=modules)
    kind = layer_kinds(LLAMA)[0]
    assert layer_activation_bytes(LLAMA, kind, microbatch) == 2 * LLAMA.seq_length * (h + h + h + kv + ffn + h)
    part = recomputed_layers(ModelPart((kind,)), microbatch)
    again = {operator.name: operator for operator in stage_recomputed(LLAMA, part, microbatch, Shard())}
    assert set(again) == {"norm0", "norm1", "rotary positions", "projection", "fc1", "fc activation"}
    assert again["fc1"].forward.flop == 2 * LLAMA.seq_length * h * ffn
    assert again["fc1"].gemm
    assert again["fc1"].gemm.outputs == ffn
    flop = hardware_flop(LLAMA, 1, "selective", flash_attention=False, modules=modules) - model_flop(LLAMA, 1)
    assert flop == LLAMA.num_layers * 2 * LLAMA.seq_length * (h * h + h * ffn)


def test_without_a_gate_the_second_matrix_runs_again_and_what_enters_the_mlp_goes() -> None:
    microbatch = MicroBatch(recompute="selective", recomputed_modules=("every_other_matmul",))
    model = gpt(dropout=False)
    # layer input, attention's output, q, v; and the four times as wide product of the MLP's first matrix
    assert layer_activation_bytes(model, layer_kinds(model)[0], microbatch) == (2 * 4 + 8) * SBH
    part = recomputed_layers(ModelPart(layer_kinds(model)[:1]), microbatch)
    again = stage_recomputed(model, part, microbatch, Shard())
    assert {"projection", "fc2"} == {operator.name for operator in again if operator.kind == "linear"}


def test_what_selective_means_follows_from_how_a_job_is_sharded() -> None:
    training = {"recompute": "selective"}
    megatron, fsdp, named = (
        model_costs(scenario_from_mapping(document(parallelism=parallelism, runtime=runtime, training=training)), 1)[0]
        for parallelism, runtime in (
            ({"dp": 8, "zero_stage": 2}, {}),
            ({"dp": 8, "zero_stage": 3}, {}),
            ({"dp": 8, "zero_stage": 3}, {"memory": {"framework": "megatron"}}),
        )
    )
    assert (megatron.recompute_ps, named.recompute_ps) == (0, 0)  # FlashAttention runs its core again anyhow
    assert fsdp.recompute_ps > 0


@pytest.mark.parametrize("schedule", ["gpipe", "1f1b", "zb-h1"])
def test_what_the_loss_makes_is_there_in_forward_and_backward_and_not_between(schedule: str) -> None:
    """14 bytes a logit, 4 of them from the forward to the backward: GPipe's last rank holds four times 4, and 10."""
    given = document(schedule=schedule, parallelism={"pp": 2}, cluster={"topology": "dgx-a100", "gpus": 2})

    def last(logit: str) -> int:
        changed = given | {"runtime": {"memory": {"logit": logit}}}
        return cs.simulate(scenario_from_mapping(changed)).memory.ranks[-1].activations_peak_bytes

    assert last("14 B") - last("4 B") == 10 * 1024 * 51200


def test_a_recomputation_and_a_loss_do_not_add_up() -> None:
    full = MicroBatch(recompute="full")
    part = ModelPart(layer_kinds(MODEL)[:2], has_output=True)
    logits = MODEL.seq_length * MODEL.vocab_size
    for logit_bytes in (4, 8, 400):
        found = stage_activations(MODEL, part, replace(full, logit_bytes=logit_bytes), Shard())
        kept = 2 * INPUT + 2 * INPUT + 4 * logits
        assert found.checkpoint_bytes == kept
        assert found.whole_bytes == kept + max(PLAIN - INPUT, (logit_bytes - 4) * logits)
