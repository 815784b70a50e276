"""Throughput, what tokens take, and what a batch asks of the learning rate, worked by hand."""

from __future__ import annotations

from typing import Any

import pytest

import clustersim as cs
from clustersim.accounts import throughput_of
from clustersim.errors import ScenarioError
from clustersim.scenario.load import scenario_from_mapping

GPT_3 = {
    "num_layers": 96, "hidden_size": 12288, "num_attention_heads": 96, "vocab_size": 51200, "seq_length": 2048,
}  # fmt: skip
SMALL = {
    "num_layers": 4, "hidden_size": 1024, "num_attention_heads": 8, "vocab_size": 51200, "seq_length": 1000,
}  # fmt: skip
UNFUSED = {"recompute": "selective", "flash_attention": False}


def job(**sections: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "model": SMALL,
        "cluster": {"topology": "dgx-a100", "gpus": 4},
        "parallelism": {"pp": 2, "dp": 2},
        "batch": {"global_batch_size": 16},
        "schedule": "1f1b",
    } | sections


def result(**sections: Any) -> cs.Result:
    return cs.simulate(scenario_from_mapping(job(**sections)))


# Korthikanti et al., MLSys 2023, tables 3 and 5: layers, hidden size, heads; batch, GPUs, pipeline; time, MFU and HFU.
KORTHIKANTI = [
    (48, 6144, 64, 4, 8, 1, 1.10, 0.415, 0.437),
    (96, 12288, 96, 64, 64, 8, 13.75, 0.514, 0.528),
    (105, 20480, 128, 280, 280, 35, 37.83, 0.560, 0.570),
    (128, 25600, 160, 512, 512, 64, 71.49, 0.563, 0.570),
]


@pytest.mark.parametrize("row", KORTHIKANTI, ids=lambda row: f"{row[0]}x{row[1]}")
def test_utilisations_are_those_that_korthikanti_et_al_print(row: tuple[Any, ...]) -> None:
    layers, hidden, heads, batch, gpus, pp, time_s, mfu, hfu = row
    sections = {
        "model": GPT_3 | {"num_layers": layers, "hidden_size": hidden, "num_attention_heads": heads},
        "cluster": {"topology": "dgx-a100", "gpus": gpus},
        "parallelism": {"tp": 8, "pp": pp},
        "batch": {"global_batch_size": batch, "micro_batch_size": 4 if pp == 1 else 1},
        "training": UNFUSED,
    }
    found = throughput_of(scenario_from_mapping(job(**sections)), time_s, pp)
    assert found.mfu == pytest.approx(mfu, abs=0.002)  # they print 22B as 41.5 %, whose time has three digits only
    assert found.hfu is not None
    # Their HFU counts what selective recomputation runs again three times (appendix A): 12 L s^2 h a sample, not 4.
    thrice = found.hfu + 8 * batch * layers * 2048**2 * hidden / (time_s * gpus * 312e12)
    assert thrice == pytest.approx(hfu, abs=0.003)


def test_utilisations_under_both_conventions_worked_by_hand() -> None:
    found = throughput_of(scenario_from_mapping(job()), 2.0, 2)
    linears = 72 * 16 * 4 * 1000 * 1024**2 + 6 * 16 * 1000 * 1024 * 51200
    scores_and_values = 16 * 4 * 4 * 1000**2 * 1024  # of a forward, every token attending to every other
    full, causal = found.by_convention["full"], found.by_convention["causal"]
    assert full.model_flop == linears + 3 * scores_and_values
    assert causal.model_flop == linears + 3 * scores_and_values // 2
    # FlashAttention computes scores again in its backward: half of a forward's core
    assert full.hardware_flop == full.model_flop + scores_and_values // 2
    assert causal.hardware_flop == causal.model_flop + scores_and_values // 4
    assert full.mfu == full.model_flop / (2.0 * 4) / 312e12
    assert causal.hfu == causal.hardware_flop / (2.0 * 4) / 312e12
    assert (found.mfu, found.hfu, found.peak_flop_per_s) == (full.mfu, full.hfu, 312e12)
    assert found.tokens_per_s == 16 * 1000 / 2.0


def test_a_token_budget_worked_by_hand() -> None:
    found = result(training={"token_budget": "1.0001M tokens"})
    cost, step_s = found.token_cost, found.step_time_s
    assert cost is not None
    assert cost.budget is not None
    assert cost.tokens_per_step == 16_000
    assert cost.budget_steps == 63  # 62 steps are 992,000 tokens
    assert cost.budget.tokens == 63 * 16_000
    assert cost.budget.time_s == 63 * step_s
    assert cost.budget.gpu_hours == pytest.approx(63 * step_s * 4 / 3600)
    # one node, of which four GPUs are used, the network at 11 % of those, and a PUE of 1.15
    assert cost.budget.energy_j == pytest.approx(63 * step_s * (6500 + 0.11 * 4 * 400) * 1.15)
    assert cost.budget.cost_usd == pytest.approx(cost.budget.gpu_hours * 27.44705 / 8)
    assert cost.per_million_tokens.time_s == pytest.approx(step_s * 1e6 / 16_000)


def test_the_pace_is_that_of_a_steady_step_where_it_is_known() -> None:
    found = result(steps=4)
    assert found.token_cost is not None
    assert found.token_cost.step_time_s == found.steady_step_time_s
    assert found.token_cost.budget is None


@pytest.mark.parametrize(
    ("topology", "power_w", "basis"),
    [
        ({"device": "A100-SXM4-80GB"}, 4 * 400 * 1.93 * 1.15, "4 GPUs at their design power, hosts 0.82 times as much"),
        ({"device": "A100-SXM4-80GB", "power": {"pue": 1.25}}, 4 * 400 * 1.93 * 1.25, "a PUE of 1.25"),
        ({"device": "A100-SXM4-80GB", "power": {"node": "1 kW"}}, 4 * (1000 + 44) * 1.15, "4 nodes at 1000 W"),
    ],
)
def test_power_is_that_of_nodes_or_of_gpus_and_a_share_for_their_hosts(
    topology: dict[str, Any], power_w: float, basis: str
) -> None:
    found = result(cluster={"topology": {"fabric": "full-mesh", "gpus": 4} | topology})
    assert found.token_cost is not None
    assert found.token_cost.power_w == pytest.approx(power_w)
    assert basis in found.token_cost.power_basis


def test_a_budget_without_a_model_is_refused() -> None:
    document = job(stage_costs={"forward": "1 s", "backward": "2 s"}, training={"token_budget": "1T tokens"})
    del document["model"]
    with pytest.raises(ScenarioError, match=r"training\.token_budget"):
        scenario_from_mapping(document)


@pytest.mark.parametrize("text", ["15T", "15", "-1 tokens", "0 tokens", "1e19 tokens"])
def test_a_budget_is_a_number_of_tokens(text: str) -> None:
    with pytest.raises(ScenarioError, match="token"):
        scenario_from_mapping(job(training={"token_budget": text}))


def test_another_batch_asks_for_another_learning_rate() -> None:
    change = result(training={"reference_global_batch_size": 4}).batch_change
    assert change is not None
    assert (change.global_batch_size, change.linear_factor, change.square_root_factor) == (16, 4.0, 2.0)
    for source in ("Goyal", "Krizhevsky", "Hoffer", "Malladi"):
        assert source in change.note
    assert result(training={"reference_global_batch_size": 16}).batch_change is None
    assert result().batch_change is None


def test_the_batch_is_what_the_step_really_has() -> None:
    sections = {"batch": {"num_microbatches": 3, "micro_batch_size": 2}}
    change = result(training={"reference_global_batch_size": 48}, **sections).batch_change
    assert change is not None
    assert (change.global_batch_size, change.linear_factor, change.square_root_factor) == (12, 0.25, 0.5)
