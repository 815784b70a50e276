"""Measured times in place of derived ones: equal to costs given by hand, chosen by configuration, refused in full."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import clustersim as cs
from clustersim.analysis.invariants import check_invariants
from clustersim.errors import ScenarioError
from clustersim.ops import Kind, StageCosts
from clustersim.scenario.load import load_scenario, scenario_from_mapping, vary
from clustersim.scenario.show import resolved_mapping
from clustersim.workload.model_costs import model_costs

GPT = {"num_layers": 6, "hidden_size": 256, "num_attention_heads": 8, "vocab_size": 1000, "seq_length": 128}
MOE = {"gated_mlp": True, "moe": {"num_experts": 8, "top_k": 2, "ffn_hidden_size": 64, "first_dense_layers": 1}}
NS, MS = 1000, 10**9

FULL = """\
# every part, in halves
part, input_grad_ms, weight_grad_ms, forward_ms, optimizer_step
dense-layer, 2, 3, 1,
embedding, 0, 0.5, 0.25,
output, 4, 5, 6,
optimizer, , , , 7 ms
"""


def document(profile: str | dict[str, Any] | None, **sections: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "model": GPT,
        "profile": profile,
        "cluster": {"topology": "dgx-a100", "gpus": 2},
        "parallelism": {"pp": 2},
        "batch": {"num_microbatches": 4},
        "schedule": "1f1b",
    } | sections


def written(tmp_path: Path, text: str) -> str:
    (tmp_path / "times.csv").write_text(text)
    return str(tmp_path / "times.csv")


def costs(num_stages: int, profile: Any, **sections: Any) -> tuple[StageCosts, ...]:
    return model_costs(scenario_from_mapping(document(profile, **sections)), num_stages)


def times(cost: StageCosts) -> tuple[int, ...]:
    return cost.forward_ps, cost.input_grad_ps, cost.weight_grad_ps, cost.recompute_ps, cost.optimizer_ps


def test_stages_are_sums_of_what_was_measured(tmp_path: Path) -> None:
    first, last = costs(2, written(tmp_path, FULL))
    assert times(first) == (3 * MS + MS // 4, 6 * MS, 9 * MS + MS // 2, 0, 7 * MS)
    assert times(last) == (9 * MS, 10 * MS, 14 * MS, 0, 7 * MS)
    derived = costs(2, None)
    assert replace(first, **dict.fromkeys(TIMES, 0)) == replace(derived[0], **dict.fromkeys(TIMES, 0))


TIMES = ("forward_ps", "input_grad_ps", "weight_grad_ps", "forward_backward_ps", "optimizer_ps")


def test_a_run_is_that_of_the_same_costs_given_by_hand(tmp_path: Path) -> None:
    profiled = cs.simulate(scenario_from_mapping(document(written(tmp_path, FULL), schedule="zb-h1")))
    stages = [
        {"forward": "3.25 ms", "input_grad": "6 ms", "weight_grad": "9.5 ms", "optimizer_step": "7 ms"},
        {"forward": "9 ms", "input_grad": "10 ms", "weight_grad": "14 ms", "optimizer_step": "7 ms"},
    ]
    (sent,) = {cost.message_bytes for cost in costs(2, None)}
    by_hand = document(
        None, schedule="zb-h1", stage_costs={"stages": [stage | {"message": f"{sent} B"} for stage in stages]}
    )
    del by_hand["model"]
    given = cs.simulate(scenario_from_mapping(by_hand))
    check_invariants(profiled.trace)
    # All but the reduction of the tied embedding, which takes place before the optimizer step.
    untied = vary(
        scenario_from_mapping(document(written(tmp_path, FULL), schedule="zb-h1")), {"model.tied_embeddings": False}
    )
    assert cs.simulate(untied).trace.makespan_ps == given.trace.makespan_ps
    assert [row.compute_ps for row in cs.simulate(untied).ranks] == [row.compute_ps for row in given.ranks]
    assert profiled.trace.makespan_ps > given.trace.makespan_ps


def test_what_is_not_measured_is_derived() -> None:
    layer = {"part": "dense-layer", "forward": "1 ms", "backward": "2 ms"}
    (part,) = costs(1, {"rows": [layer]}, parallelism={}, cluster={"topology": "dgx-a100", "gpus": 1})
    (no_layers,) = costs(
        1, None, parallelism={}, cluster={"topology": "dgx-a100", "gpus": 1}, model=GPT | {"num_layers": 1}
    )
    (one_more,) = costs(
        1, None, parallelism={}, cluster={"topology": "dgx-a100", "gpus": 1}, model=GPT | {"num_layers": 2}
    )
    ends_ps = 2 * no_layers.forward_ps - one_more.forward_ps  # embedding, logits and loss
    assert part.forward_ps - 6 * MS == pytest.approx(ends_ps, abs=4)
    (derived,) = costs(1, None, parallelism={}, cluster={"topology": "dgx-a100", "gpus": 1})
    assert part.optimizer_ps == derived.optimizer_ps


def test_dense_and_expert_layers_have_rows_of_their_own() -> None:
    rows = [
        {"part": "dense-layer", "forward": "1 us", "backward": "10 us"},
        {"part": "moe-layer", "forward": "100 us", "backward": "1 ms"},
        {"part": "embedding", "forward": "0 us", "backward": "0 us"},
        {"part": "output", "forward": "0 us", "backward": "0 us"},
    ]
    first, last = costs(2, {"rows": rows}, model=GPT | MOE)
    assert (first.forward_ps, last.forward_ps) == (201 * 10**6, 300 * 10**6)
    assert (first.backward_ps, last.backward_ps) == (2010 * 10**6, 3000 * 10**6)


@pytest.mark.parametrize(
    ("training", "expected_ps"),
    [
        ({"recompute": "none"}, (0, 0)),
        ({"recompute": "full"}, (3000 * NS, 6 * NS)),
        ({"recompute": "selective", "flash_attention": False}, (None, 6 * NS)),
    ],
)
def test_recomputation_is_the_forward_again_or_what_was_measured(
    training: dict[str, Any], expected_ps: tuple[int | None, int]
) -> None:
    row = {"part": "dense-layer", "forward": "1 us", "backward": "2 us"}
    derived = costs(2, None, training=training)[0].recompute_ps
    again, told = expected_ps
    assert costs(2, {"rows": [row]}, training=training)[0].recompute_ps == (derived if again is None else again)
    assert costs(2, {"rows": [row | {"recompute": "2 ns"}]}, training=training)[0].recompute_ps == told


def test_of_layers_that_are_recomputed_in_part_those_alone_run_again() -> None:
    row = {"part": "dense-layer", "forward": "1 us", "backward": "2 us"}
    block = {"recompute": "full", "recompute_num_layers": 2}
    assert [cost.recompute_ps for cost in costs(2, {"rows": [row]}, training=block)] == [2 * 10**6] * 2
    rows = [
        {"part": "dense-layer", "forward": "1 us", "backward": "2 us"},
        {"part": "moe-layer", "forward": "100 us", "backward": "1 ms"},
    ]
    mixed = costs(2, {"rows": rows}, model=GPT | MOE, training=block)  # the first layer of the first stage is dense
    assert [cost.recompute_ps for cost in mixed] == [101 * 10**6, 200 * 10**6]
    last = costs(2, {"rows": rows[1:]}, model=GPT | MOE, training=block)
    derived = costs(2, None, model=GPT | MOE, training=block | {"recompute_num_layers": 1})
    assert [cost.recompute_ps for cost in last] == [derived[0].recompute_ps + 100 * 10**6, 200 * 10**6]


def test_what_a_recomputation_s_time_holds_is_not_exchanged_again() -> None:
    row = {"part": "dense-layer", "forward": "1 us", "backward": "2 us"}
    inside = row | {"includes": ["tp"]}

    def again(rows: list[dict[str, Any]], **training: Any) -> list[int]:
        (cost,) = costs(1, {"rows": rows}, parallelism={"tp": 2, "pp": 1}, training=training)
        return [exchange.num_calls for exchange in cost.exchanges if exchange.kind is Kind.RECOMPUTE]

    assert again([row], recompute="full") == [12]
    assert again([inside], recompute="full") == []
    mlp = {"recompute": "selective", "recompute_modules": ["mlp"]}
    assert again([inside], **mlp) == [6]  # whose times are derived
    assert again([inside | {"recompute": "1 us"}], **mlp) == []


def test_the_optimizer_step_is_shared_by_the_stages_of_a_rank() -> None:
    rows = [{"part": "optimizer", "optimizer_step": "7 ps"}]
    looped = costs(6, {"rows": rows}, parallelism={"pp": 2, "vpp": 3}, schedule="interleaved-1f1b")
    assert [cost.optimizer_ps for cost in looped] == [3, 3, 2, 2, 2, 2]


def test_exchanges_that_the_times_hold_are_not_simulated() -> None:
    tp = {"parallelism": {"tp": 2, "pp": 1}}
    row = {"part": "dense-layer", "forward": "1 us", "backward": "2 us"}
    (apart,) = costs(1, {"rows": [row]}, **tp)
    (inside,) = costs(1, {"rows": [row | {"includes": ["tp"]}]}, **tp)
    assert [exchange.num_calls for exchange in apart.exchanges] == [13, 13]
    assert [exchange.num_calls for exchange in inside.exchanges] == [1, 1]  # the embedding's and the logits'


SEVERAL = """\
part,device,tp,micro_batch_size,forward_us,backward_us
dense-layer,,1,1,10,20
dense-layer,,2,1,6,12
dense-layer,,2,2,11,22
dense-layer,,2,4,21,42
"""


def test_the_row_of_the_configuration_is_chosen(tmp_path: Path) -> None:
    file = written(tmp_path, SEVERAL)
    chosen = {}
    for tp, size in ((1, 1), (2, 1), (2, 4)):
        scenario = scenario_from_mapping(
            document(
                file,
                cluster={"topology": "dgx-a100", "gpus": tp},
                parallelism={"tp": tp},
                batch={"num_microbatches": 4, "micro_batch_size": size},
            )
        )
        chosen[tp, size] = scenario.measured_rows()["dense-layer"].forward
    assert chosen == {(1, 1): 10**7, (2, 1): 6 * 10**6, (2, 4): 21 * 10**6}


def test_a_configuration_that_is_missing_is_refused_with_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario_from_mapping(
            document(written(tmp_path, SEVERAL), batch={"num_microbatches": 4, "micro_batch_size": 8})
        )
    text = str(caught.value)
    assert "profile: no row of dense-layer is for tp 1, micro_batch_size 8" in text
    assert "there are tp 1, micro_batch_size 1 (line 2); tp 2, micro_batch_size 1 (line 3)" in text
    both = written(tmp_path, "part,tp,seq_length,forward_us,backward_us\ndense-layer,1,,1,2\ndense-layer,,128,1,2\n")
    with pytest.raises(ScenarioError, match=r"line 2 and line 3 of dense-layer are all for tp 1, seq_length 128"):
        scenario_from_mapping(document(both))


MISTAKEN = """\
part,tp,forward_ms,input_grad_ms,weight_grad_ms,optimizer_step_ms
dense-layer,two,1,2,3,
dense_layer,2,1,2,3,
dense-layer,4,-1,2,3,
output,4,1,2,,
optimizer,,1,,,5
moe-layer,,1,2,3,5
"""


def test_all_mistakes_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario_from_mapping(document(written(tmp_path, MISTAKEN)))
    found = [
        (fault.position.line, fault.position.column, fault.where) for fault in caught.value.faults if fault.position
    ]
    assert found == [
        (2, 13, "profile.rows.0.tp"),
        (3, 1, "profile.rows.1.part"),
        (4, 15, "profile.rows.2.forward_ms"),
        (5, 1, "profile.rows.3.weight_grad"),
        (6, 12, "profile.rows.4.forward_ms"),
        (7, 18, "profile.rows.5.optimizer_step_ms"),
    ]
    assert "did you mean 'dense-layer'" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "times.csv:1:1: error: profile: the file is empty"),
        ("part,forward_ms\n", "times.csv:1:1: error: profile: there is no row"),
        ("part,forwards_ms\n", "times.csv:1:6: error: profile: unknown column 'forwards_ms'"),
        ("part,forward_ms,forward_us\n", "times.csv:1:17: error: profile: column 'forward_us' stands there twice"),
        ("tp,forward_ms\n1,2\n", "times.csv:1:1: error: profile: missing column: part"),
        ("part,tp\noutput,1,2\n", "times.csv:2:1: error: profile: 3 cells; the first line names 2 columns"),
        (
            "part,forward_ms,backward_ms\noutput,1,2\noutput,1,2\n",
            "times.csv:3:1: error: profile.rows.1.part: output as in line 2, for the same configuration",
        ),
        ("part,forward_ms,backward_ms\noutput,1 us,2\n", "got '1 us ms'"),
        ("part,forward_ms\noutput,1\n", "profile.rows.0.backward: missing"),
        ("part,forward_ms,backward_ms,input_grad_ms\noutput,1,2,1\n", "given beside its halves"),
        ("part\noptimizer\n", "optimizer_step: missing: optimizer has it"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_where_it_stands(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario_from_mapping(document(written(tmp_path, text)))
    assert told in str(caught.value)


def test_a_profile_goes_with_a_model_and_its_schedule(tmp_path: Path) -> None:
    file = written(tmp_path, SEVERAL)
    with pytest.raises(
        ScenarioError, match=r"times.csv:2:21: error: profile.rows.0.backward_us: zb-h1 runs the two halves"
    ):
        scenario_from_mapping(document(file, schedule="zb-h1"))
    beside = document(file, stage_costs={"forward": "1 ms", "backward": "2 ms"})
    del beside["model"]
    with pytest.raises(ScenarioError, match="profile: means nothing beside `stage_costs`"):
        scenario_from_mapping(beside)
    with pytest.raises(ScenarioError, match=r"profile: 'nowhere.csv': no such file"):
        scenario_from_mapping(document("nowhere.csv"))
    with pytest.raises(ScenarioError, match="profile: must be the path of a CSV file, or a mapping of keys; got 5"):
        scenario_from_mapping(document(5))  # type: ignore[arg-type]


def test_an_order_that_parts_the_backward_needs_its_halves(tmp_path: Path) -> None:
    (tmp_path / "order.csv").write_text("0F0,0I0,0W0\n")
    row = {"part": "dense-layer", "forward": "1 us", "backward": "2 us"}
    one = {
        "cluster": {"topology": "dgx-a100", "gpus": 1},
        "parallelism": {},
        "batch": {"num_microbatches": 1},
        "schedule": {"csv": str(tmp_path / "order.csv")},
    }
    scenario = scenario_from_mapping(document({"rows": [row]}, **one))
    with pytest.raises(ScenarioError, match=r"profile: .* runs the two halves of the backward apart"):
        cs.simulate(scenario)


def test_a_full_profile_asks_nothing_of_the_device(tmp_path: Path) -> None:
    """The catalogue does not say what kernels reach on this one."""
    on_tpu = {"cluster": {"topology": "tpu-v4", "gpus": 2}}
    result = cs.simulate(scenario_from_mapping(document(written(tmp_path, FULL), **on_tpu)))
    assert [row.compute_ps for row in result.ranks] == [4 * (3 * MS + MS // 4 + 15 * MS + MS // 2) + 7 * MS, 139 * MS]
    assert 0 < (result.throughput.mfu or 0) < 1


def test_a_profile_survives_being_written_out(tmp_path: Path) -> None:
    (tmp_path / "times.csv").write_text(FULL)
    (tmp_path / "job.yaml").write_text(
        "version: 1\nmodel: {num_layers: 2, hidden_size: 64, num_attention_heads: 4, vocab_size: 100, seq_length: 32}\n"
        "profile: times.csv\ncluster: {topology: dgx-a100, gpus: 1}\nbatch: {num_microbatches: 2}\nschedule: 1f1b\n"
    )
    scenario = load_scenario(tmp_path / "job.yaml")
    assert scenario.profile is not None
    assert (scenario.profile.file, len(scenario.profile.rows)) == ("times.csv", 4)
    assert scenario_from_mapping(resolved_mapping(scenario)).profile == scenario.profile
    other = load_scenario(tmp_path / "job.yaml", ["profile.rows.0.forward=9 ms"])
    assert other.profile is not None
    assert other.profile.rows[0].forward == 9 * MS


def test_the_file_in_the_readme_is_one(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (text,) = re.findall(r"```text\n(part,.*?)```", readme, re.DOTALL)
    one = {
        "model": "megatron-22b",
        "cluster": {"topology": "dgx-a100", "gpus": 8},
        "parallelism": {"tp": 8},
        "batch": {"num_microbatches": 1, "micro_batch_size": 4},
    }
    rows = scenario_from_mapping(document(written(tmp_path, text), **one)).measured_rows()
    assert set(rows) == {"dense-layer", "output", "optimizer"}
    assert rows["dense-layer"].includes == ("tp",)


def test_the_profiled_22b_model_takes_what_was_measured() -> None:
    """Korthikanti et al., MLSys 2023, table 5: 1.10 s a step."""
    result = cs.simulate("gpt-22b-profiled")
    assert result.step_time_s == pytest.approx(1.10, rel=0.06)
