"""What would make a job fit: every piece of advice is followed, and has to hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import clustersim as cs
from clustersim.cli import main
from clustersim.planning.fit_advice import fit_advice, with_advice
from clustersim.planning.fit_changes import changes_of
from clustersim.scenario.load import scenario_from_mapping, vary
from clustersim.scenario.spec import Scenario

GIB = 2**30
GPT = {"num_layers": 24, "hidden_size": 4096, "num_attention_heads": 32, "vocab_size": 51200, "seq_length": 2048}


def explicit(**sections: Any) -> Scenario:
    costs = {"forward": "1 s", "input_grad": "1 s", "weight_grad": "1 s", "activation": "10 GiB", "message": "1 GiB"}
    mapping: dict[str, Any] = {
        "version": 1,
        "stage_costs": costs,
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": 4, "device": "A100-SXM4-80GB"}},
        "parallelism": {"pp": 4},
        "batch": {"num_microbatches": 16},
        "schedule": "gpipe",
    }
    return scenario_from_mapping(mapping | sections)


def trained(**sections: Any) -> Scenario:
    mapping: dict[str, Any] = {
        "version": 1,
        "model": GPT,
        "cluster": {"topology": "dgx-a100", "gpus": 8},
        "parallelism": {"pp": 2, "dp": 4},
        "batch": {"global_batch_size": 64, "micro_batch_size": 8},
        "schedule": "1f1b",
    }
    return scenario_from_mapping(mapping | sections)


def test_a_pipeline_that_holds_all_micro_batches_is_told_to_hold_fewer_or_to_recompute() -> None:
    """GPipe holds 16 of 10 GiB; v-half needs 3; recomputing from messages of 1 GiB, 15 of those and one of 10."""
    result = with_advice(cs.simulate(explicit()))
    assert (result.memory.fits, result.memory.worst_rank, result.memory.over_bytes) == (False, 0, 80 * GIB)
    leaner, again = result.memory.advice
    assert leaner.changes["schedule"] in ("zb-h1", "v-half", "v-min")
    assert again.changes == {"stage_costs.recompute": "1 s", "stage_costs.checkpoint": "1 GiB"}
    assert again.peak_bytes == (15 * 1 + 10) * GIB
    assert again.step_time_s == 16 * 4 + 3 * 4  # (m + p - 1) of 1 + 1 + 2 s
    assert again.slowdown == (16 * 4 + 3 * 4) / (16 * 3 + 3 * 3) - 1


SCENARIOS = {
    "explicit": explicit(),
    "explicit, several steps": explicit(steps=2),
    "one change": trained(),
    "two changes": trained(parallelism={"pp": 1, "dp": 8}),
    "without flash": trained(training={"flash_attention": False}, batch={"num_microbatches": 8, "micro_batch_size": 4}),
    "experts": trained(
        model=GPT | {"moe": {"num_experts": 8, "top_k": 2, "ffn_hidden_size": 4096}},
        parallelism={"pp": 2, "dp": 4, "ep": 2},
    ),
}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_advice_that_is_followed_holds(scenario: Scenario) -> None:
    before = cs.simulate(scenario)
    assert before.memory.fits is False
    advice = with_advice(before).memory.advice
    assert 2 <= len(advice) <= 3
    for piece in advice:
        changed = vary(scenario, piece.changes)
        after = cs.simulate(changed)
        assert after.memory.fits is True
        assert after.memory.peak_bytes == piece.peak_bytes
        assert after.step_time_s == pytest.approx(piece.step_time_s, rel=0.02)  # the fabric may slow whole jobs down
        assert piece.slowdown == pytest.approx(after.step_time_s / before.step_time_s - 1, abs=0.02)
        assert changed.parallelism.num_gpus == scenario.parallelism.num_gpus
        if after.throughput.samples_per_s and before.throughput.samples_per_s:
            samples = [run.throughput.samples_per_s * run.step_time_s for run in (before, after)]  # type: ignore[operator]
            assert samples[0] == pytest.approx(samples[1])


def test_advice_of_one_size_stands_by_step_time_and_is_of_different_families() -> None:
    advice = with_advice(cs.simulate(SCENARIOS["one change"])).memory.advice
    times = [piece.step_time_s for piece in advice]
    assert times == sorted(times)
    assert len({next(iter(piece.changes)) for piece in advice}) == len(advice)


def test_combinations_come_only_where_single_changes_do_not_do_and_need_all_their_parts() -> None:
    scenario = SCENARIOS["two changes"]
    capacity = cs.simulate(scenario).memory.capacity_bytes
    assert capacity
    allowed = _allowed(scenario)
    fitting = [change for change in allowed if cs.simulate(vary(scenario, change.values)).memory.fits]
    advice = fit_advice(scenario, capacity)
    combined = [piece for piece in advice if all(piece.changes != change.values for change in allowed)]
    assert combined
    assert len(advice) - len(combined) == len({change.family for change in fitting}) == 2
    for piece in combined:
        parts = [change for change in allowed if change.values.items() <= piece.changes.items()]
        assert len(parts) == 2
        assert not any(part in fitting for part in parts)


def _allowed(scenario: Scenario) -> list[Any]:
    allowed = []
    for change in changes_of(scenario):
        try:
            vary(scenario, change.values)
        except cs.ClustersimError:
            continue
        allowed.append(change)
    return allowed


def test_nothing_helps_a_job_that_is_far_too_large() -> None:
    costs = {"forward": "1 s", "backward": "1 s", "weights": "100 GiB", "activation": "1 GiB"}
    result = with_advice(cs.simulate(explicit(stage_costs=costs)))
    assert result.memory.fits is False
    assert result.memory.advice == ()


def test_a_job_that_fits_or_of_which_nobody_knows_gets_none_and_nothing_is_tried() -> None:
    fitting = cs.simulate(explicit(schedule="1f1b"))
    unknown = cs.simulate(explicit(cluster={"topology": {"fabric": "full-mesh", "gpus": 4}}))
    assert (fitting.memory.fits, unknown.memory.fits) == (True, None)
    assert with_advice(fitting) is fitting
    assert with_advice(unknown) is unknown
    assert (fitting.memory.over_bytes, unknown.memory.over_bytes) == (0, 0)


def test_the_command_says_by_how_much_and_what_would_help(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(
        "version: 1\nstage_costs: {forward: 1 s, backward: 2 s, activation: 10 GiB, message: 1 GiB}\n"
        "cluster: {topology: {fabric: full-mesh, gpus: 4, device: A100-SXM4-80GB}}\nparallelism: {pp: 4}\n"
        "batch: {num_microbatches: 16}\nschedule: gpipe\n"
    )

    def printed(*options: str) -> str:
        with pytest.raises(SystemExit) as caught:
            main(["run", str(path), *options])
        assert caught.value.code == 3
        return capsys.readouterr().out

    memory = json.loads(printed("--json"))["memory"]
    assert (memory["over_bytes"], memory["worst_rank"]) == (80 * GIB, 0)
    assert memory["advice"][0]["changes"] == {"schedule": "1f1b"}
    text = printed()
    assert "does not fit, 80.00 GiB too much" in text
    assert "--set schedule=1f1b" in text
    assert "--set 'stage_costs.recompute=1 s' --set 'stage_costs.checkpoint=1 GiB'" in text
    assert "33.33 % slower" in text
