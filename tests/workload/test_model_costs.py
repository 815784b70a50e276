"""Stage costs derived from a model: what adds up, what scales, what is exchanged, and one published layer."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

import clustersim as cs
from clustersim.analysis.invariants import check_invariants
from clustersim.ops import Kind, StageCosts
from clustersim.scenario.load import scenario_from_mapping
from clustersim.trace import AXES
from clustersim.workload.model_costs import model_costs

GPT = {"num_layers": 8, "hidden_size": 1024, "num_attention_heads": 16, "vocab_size": 51200, "seq_length": 1024}
MOE = {"gated_mlp": True, "moe": {"num_experts": 8, "top_k": 2, "ffn_hidden_size": 512}}


def document(**sections: Any) -> dict[str, Any]:
    parallelism = sections.get("parallelism", {})
    gpus = 1
    for axis in ("tp", "pp", "dp", "cp"):
        gpus *= parallelism.get(axis, 1)
    return {
        "version": 1,
        "model": GPT,
        "cluster": {"topology": "dgx-a100", "gpus": gpus},
        "batch": {"num_microbatches": 4},
        "schedule": "1f1b",
    } | sections


def costs(num_stages: int = 1, **sections: Any) -> tuple[StageCosts, ...]:
    return model_costs(scenario_from_mapping(document(**sections)), num_stages)


def test_stages_add_up_to_the_whole() -> None:
    (whole,) = costs()
    parts = costs(4, parallelism={"pp": 4})
    for name in ("forward_ps", "input_grad_ps", "weight_grad_ps"):
        assert sum(getattr(part, name) for part in parts) == pytest.approx(getattr(whole, name), abs=4)
    # The first and the last stage hold the tied embedding once each.
    embedding_bytes = 2 * 51200 * 1024
    assert sum(part.weights_bytes for part in parts) == whole.weights_bytes + embedding_bytes
    assert [part.tied_gradients_bytes > 0 for part in parts] == [True, False, False, True]


def test_full_recomputation_runs_every_layer_again_and_keeps_its_input() -> None:
    (plain,) = costs(training={"recompute": "none"})
    (full,) = costs(training={"recompute": "full"})
    assert (plain.recompute_ps, plain.checkpoint_bytes) == (0, 0)
    assert 0.5 * full.forward_ps < full.recompute_ps < full.forward_ps  # all but embedding, logits and loss
    assert full.checkpoint_bytes < full.activation_bytes < plain.activation_bytes


@pytest.mark.parametrize(
    ("sequence_parallel", "expected"),
    [(False, {"all-reduce"}), (True, {"all-gather", "reduce-scatter"})],
)
def test_tensor_parallel_groups_exchange_twice_a_layer_and_direction(
    sequence_parallel: bool, expected: set[str]
) -> None:
    (cost,) = costs(parallelism={"tp": 8, "sequence_parallel": sequence_parallel})
    assert {exchange.operation for exchange in cost.exchanges} == expected
    for exchange in cost.exchanges:
        assert exchange.axis == "tp"
        assert exchange.size_bytes == 2 * 1024 * 1024
        assert exchange.num_calls == 2 * 8 + 1  # the embedding in the forward, the logits in the backward


def test_experts_exchange_over_ep_and_keys_and_values_over_cp() -> None:
    (cost,) = costs(model=GPT | MOE, parallelism={"dp": 4, "cp": 2, "ep": 4})
    by_axis = {(e.axis, e.kind, e.operation): (e.size_bytes, e.num_calls) for e in cost.exchanges}
    assert by_axis["ep", Kind.F, "all-to-all"] == (2 * (2 * 1024 // 2) * 1024, 16)
    assert by_axis["cp", Kind.F, "all-gather"] == (2 * 1024 * 2 * 1024, 8)


WIDTH, TOKENS, HIDDEN = 2, 1024, 1024


@pytest.mark.parametrize(
    ("etp", "sequence_parallel", "of_ep", "of_etp"),
    [
        # Top 2 of 1,024 tokens, a quarter of which each GPU of a tp group sends on.
        (1, True, 2 * TOKENS // 4, {}),
        (2, True, 2 * TOKENS // 4, {"all-gather": 2 * TOKENS // 2, "reduce-scatter": 2 * TOKENS // 2}),
        (4, True, 2 * TOKENS // 4, {"all-gather": 2 * TOKENS, "reduce-scatter": 2 * TOKENS}),
        (4, False, 2 * TOKENS // 4, {"all-reduce": TOKENS}),
    ],
)
def test_experts_that_are_split_gather_rows_over_etp(
    etp: int, sequence_parallel: bool, of_ep: int, of_etp: dict[str, int]
) -> None:
    parallelism = {"tp": 4, "ep": 2, "dp": 2, "etp": etp, "sequence_parallel": sequence_parallel}
    (cost,) = costs(model=GPT | MOE, parallelism=parallelism)
    row_bytes = WIDTH * HIDDEN
    for kind in (Kind.F, Kind.I):
        found = {(e.axis, e.operation): (e.size_bytes, e.num_calls) for e in cost.exchanges if e.kind is kind}
        assert found["ep", "all-to-all"] == (of_ep * row_bytes, 16)
        of_experts = {operation: calls for (axis, operation), calls in found.items() if axis == "etp"}
        assert of_experts == {operation: (rows * row_bytes, 8) for operation, rows in of_etp.items()}
        (of_attention,) = {calls for (axis, _), calls in found.items() if axis == "tp"}
        assert of_attention == (TOKENS * row_bytes, 8 + 1)  # of attention alone, and of embedding or logits


def test_shared_experts_are_split_as_an_mlp_is() -> None:
    shared = {"gated_mlp": True, "moe": MOE["moe"] | {"num_shared_experts": 1}}  # type: ignore[operator]
    (cost,) = costs(model=GPT | shared, parallelism={"tp": 4, "ep": 2, "dp": 2, "etp": 1, "sequence_parallel": True})
    assert {e.num_calls for e in cost.exchanges if e.axis == "tp"} == {2 * 8 + 1}


def test_zero_3_gathers_for_every_op_and_zero_1_once_a_step() -> None:
    (once,) = costs(parallelism={"dp": 4, "zero_stage": 1})
    (always,) = costs(parallelism={"dp": 4, "zero_stage": 3})
    assert once.gathering_bytes == once.weights_bytes
    assert not [e for e in once.exchanges if e.axis == "dp"]
    assert (always.reduction_bytes, always.gathering_bytes) == (0, 0)
    gathered: Counter[Kind] = Counter()
    for exchange in always.exchanges:
        if exchange.operation == "all-gather":
            gathered[exchange.kind] += exchange.size_bytes * exchange.num_calls
    assert gathered == {kind: pytest.approx(once.weights_bytes, rel=1e-6) for kind in (Kind.F, Kind.I)}
    assert always.weights_bytes == pytest.approx(once.weights_bytes / 4, rel=1e-6)


SHAPES: list[dict[str, Any]] = [
    {"parallelism": {"tp": 2, "pp": 2, "dp": 2, "sequence_parallel": True}},
    {"parallelism": {"pp": 2, "vpp": 2}, "schedule": "interleaved-1f1b"},
    {"parallelism": {"pp": 2, "dp": 2, "zero_stage": 1}, "schedule": "zb-h1"},
    {"parallelism": {"pp": 2, "cp": 2}, "schedule": "zb-v"},
    {"parallelism": {"pp": 2, "dp": 2}, "schedule": "dualpipe"},
    {"parallelism": {"pp": 2}, "schedule": {"policy": "backward-first"}},
    {"parallelism": {"pp": 4, "split": {"first": 1, "last": 1}}, "schedule": "zb-auto"},
    {"parallelism": {"dp": 4, "zero_stage": 3}},
    {"model": GPT | MOE, "parallelism": {"dp": 4, "ep": 4, "pp": 2, "zero_stage": 1}},
    {"model": GPT | MOE, "parallelism": {"tp": 4, "etp": 2, "dp": 2, "ep": 2, "sequence_parallel": True}},
    {"training": {"recompute": "selective", "flash_attention": False}, "parallelism": {"pp": 2}},
]


@pytest.mark.parametrize("sections", SHAPES, ids=str)
def test_models_run_under_every_kind_of_layout(sections: dict[str, Any]) -> None:
    result = cs.simulate(scenario_from_mapping(document(**sections)))
    check_invariants(result.trace)
    assert 0 < (result.throughput.mfu or 0) < 1
    assert result.memory.peak_bytes > 0


def test_members_of_an_expert_are_neighbours_in_the_tensor_parallel_group() -> None:
    parallelism = {"tp": 4, "etp": 2, "dp": 2, "ep": 2, "sequence_parallel": True}
    result = cs.simulate(scenario_from_mapping(document(model=GPT | MOE, parallelism=parallelism)))
    groups = {"ep": set(), "etp": set()}  # type: dict[str, set[tuple[int, ...]]]
    for number, axis in zip(
        result.trace.collectives.group.tolist(), result.trace.collectives.axis.tolist(), strict=True
    ):
        groups.setdefault(AXES[axis], set()).add(tuple(result.trace.groups[number]))
    assert groups["etp"] == {(0, 1), (2, 3), (4, 5), (6, 7)}
    assert groups["ep"] == {(0, 2), (1, 3), (4, 6), (5, 7)}
    assert result.communication.by_axis["etp"].bytes > 0


def test_gpt_3_on_64_gpus_takes_what_was_measured() -> None:
    """Korthikanti et al., MLSys 2023, table 5: 13.75 s a step."""
    result = cs.simulate("gpt-3-175b-64gpus")
    assert result.step_time_s == pytest.approx(13.75, rel=0.07)
