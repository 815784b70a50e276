"""Orders from files in scenarios: they run like what they came from, and are refused where they do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import clustersim as cs
from clustersim.cli import main
from clustersim.errors import DeadlockError, ScenarioError, ScheduleError
from clustersim.ops import Shape
from clustersim.scenario.load import load_scenario, scenario_from_mapping, vary
from clustersim.scenario.schedule_choice import SCHEDULE_RULES
from clustersim.scenario.schema import scenario_schema
from clustersim.scenario.show import resolved
from clustersim.schedules.render import render_csv
from clustersim.schedules.table import SCHEDULES, build_schedule

FLUSHING = [name for name, rules in SCHEDULE_RULES.items() if not rules.is_continuous]
SMALL = "0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n"


COSTS = {
    "forward": "7 ms",
    "input_grad": "6 ms",
    "weight_grad": "5 ms",
    "forward_backward": "15 ms",
    "optimizer_step": "3 ms",
    "activation": "1001 MiB",
    "weight_grad_activation": "333 MiB",
    "message": "5 MiB",
    "weights": "10 GiB",
    "gradients": "5 GiB",
    "optimizer_state": "9 GiB",
}
LINK = {"bandwidth": "10 GB/s", "latency": "3 us"}


def mapping(**sections: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "version": 1,
        "stage_costs": COSTS,
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": 4, "link": LINK}},
        "parallelism": {"pp": 4},
        "batch": {"num_microbatches": 8},
        "steps": 2,
        "schedule": "1f1b",
    }
    return values | sections


def numbers(result: cs.Result) -> dict[str, Any]:
    return {key: value for key, value in result.to_dict().items() if key not in ("provenance", "schedule")}


def run_cli(*args: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(args))
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.mark.parametrize("name", FLUSHING)
def test_an_exported_schedule_gives_the_same_result_to_the_bit(name: str, tmp_path: Path) -> None:
    vpp = 2 if SCHEDULE_RULES[name].has_loops else 1
    shape = ["--pp", "4", "--microbatches", "8", "--vpp", str(vpp)]
    assert run_cli("schedule", name, *shape, "--format", "csv", "-o", str(tmp_path / "order.csv")) == 0
    sections = mapping(parallelism={"pp": 4, "vpp": vpp})
    chains = {"chains": 2} if SCHEDULE_RULES[name].is_bidirectional else {}
    own = cs.simulate(scenario_from_mapping(sections | {"schedule": name}))
    brought = scenario_from_mapping(sections | {"schedule": {"csv": "order.csv"} | chains}, tmp_path)
    found = cs.simulate(brought)
    assert numbers(found) == numbers(own)
    assert found.schedule == "csv:order.csv"
    unsaid = cs.simulate(vary(brought, {"parallelism": {"pp": 4}}))  # vpp is read off the file
    assert numbers(unsaid) == numbers(own)


def refusal(tmp_path: Path, text: str | None, **sections: Any) -> str:
    if text is not None:
        (tmp_path / "order.csv").write_text(text)
    small = {"parallelism": {"pp": 2}, "batch": {"num_microbatches": 2}, "schedule": {"csv": "order.csv"}}
    with pytest.raises(ScenarioError) as caught:
        cs.simulate(scenario_from_mapping(mapping(**small | sections), tmp_path))
    return str(caught.value)


def test_what_does_not_go_with_the_scenario_is_refused(tmp_path: Path) -> None:
    says = refusal(tmp_path, None)
    assert "schedule.csv: 'order.csv': no such file" in says
    says = refusal(tmp_path, SMALL, parallelism={"pp": 4})
    assert "csv:order.csv: the order has 2 rows, one a rank; pp = 4" in says
    says = refusal(tmp_path, SMALL, batch={"num_microbatches": 6})
    assert "the order has 2 micro-batches; 6 are to be run by each replica; take num_microbatches = 2" in says
    says = refusal(tmp_path, SMALL, parallelism={"pp": 2, "vpp": 2})
    assert "the order has 1 stages a rank; vpp = 2; leave vpp out" in says
    says = refusal(tmp_path, SMALL, stage_costs={"stages": [COSTS] * 3})
    assert "stage_costs.stages: 3 stages; csv:order.csv has 2 in a chain" in says
    says = refusal(tmp_path, SMALL, schedule={"csv": "order.csv", "group_size": 2})
    assert "schedule.group_size: means nothing to csv:order.csv" in says
    says = refusal(tmp_path, SMALL, runtime={"p2p": "blocking"})
    assert "runtime.p2p: csv:order.csv has no blocking form" in says
    split = SMALL.replace("0B0", "0I0,0W0")
    says = refusal(tmp_path, split, stage_costs={"forward": "1 ms", "backward": "2 ms"})
    assert "stage_costs.backward: csv:order.csv runs the two halves of the backward apart" in says


def test_replicas_with_different_numbers_of_micro_batches_need_one_order(tmp_path: Path) -> None:
    batch = {"global_batch_size": 5, "remainder": "short"}
    says = refusal(tmp_path, SMALL, parallelism={"pp": 2, "dp": 2}, batch=batch)
    assert "the order has 2 micro-batches; 3 are to be run by each replica" in says


def test_a_hint_tells_of_chains(tmp_path: Path) -> None:
    text = render_csv(build_schedule("chimera", Shape(2, 4)))
    says = refusal(tmp_path, text, batch={"num_microbatches": 4})
    assert "or `chains: 2` if the second half of the stages is a second replica" in says
    v_shaped = render_csv(build_schedule("zb-v", Shape(2, 4)))
    says = refusal(tmp_path, v_shaped, batch={"num_microbatches": 4}, schedule={"csv": "order.csv", "chains": 2})
    assert "the order has 8 micro-batches" in says
    assert "or leave `chains` out if a micro-batch passes all stages" in says


def test_mistakes_in_the_file_are_told_with_those_of_the_scenario(tmp_path: Path) -> None:
    says = refusal(tmp_path, "0F0,0X0\n?\n", seed="one")
    place = tmp_path / "order.csv"
    assert f"{place}:1:5: error: row 1, cell 2: '0X0' is no action" in says
    assert f"{place}:2:1: error: row 2, cell 1: '?' is no action" in says
    assert "seed: must be a whole number" in says


@pytest.mark.parametrize(
    ("schedule", "where"),
    [
        ({"csv": "order.csv", "name": "1f1b"}, "schedule.csv: given beside `name`"),
        ({"csv": "order.csv", "plugin": "mine"}, "schedule.plugin: given beside `csv`"),
        ({"group_size": 4}, "schedule.name: missing key"),
        ({}, "schedule.name: missing key"),
        (
            {"csv": "https://example.org/order.csv"},
            "schedule.csv: got 'https://example.org/order.csv'; an order",
        ),
        ({"csv": ""}, "schedule.csv: must have at least 1 characters"),
        ({"csv": 3}, "schedule.csv: must be text"),
        ({"name": "1f1b", "chains": 2}, "schedule.chains: means nothing to 1f1b; it is for a CSV file"),
        ({"csv": "order.csv", "chains": 3}, "schedule.chains: got 3; allowed: 1, 2"),
    ],
)
def test_a_schedule_has_one_source(schedule: dict[str, Any], where: str, tmp_path: Path) -> None:
    assert where in refusal(tmp_path, SMALL, schedule=schedule)


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("0F0,0F1,0B0,0B1\n1F0,1B0,1F1\n", ScheduleError, "rank 1: 1B1 (or its I and W) is missing"),
        ("0F0,0B0,0F1,0B1\n1B0,1F0,1F1,1B1\n", ScheduleError, "rank 1, step 0: 1B0 comes before its forward 1F0"),
        ("0F0,0B0,0F1,0B1\n1F1,1F0,1B0,1B1\n", DeadlockError, "rank 0 at 0B0 waits for 1B0 on rank 1"),
    ],
)
def test_an_order_from_a_file_passes_the_checker(text: str, error: type[Exception], says: str, tmp_path: Path) -> None:
    (tmp_path / "order.csv").write_text(text)
    values = mapping(parallelism={"pp": 2}, batch={"num_microbatches": 2}, schedule={"csv": "order.csv"})
    with pytest.raises(error) as caught:
        cs.simulate(scenario_from_mapping(values, tmp_path))
    assert says in str(caught.value)


def test_stages_may_live_anywhere_and_share_the_costs_of_their_rank(tmp_path: Path) -> None:
    """Two neighbouring stages on each rank: stage 0 takes the odd picosecond of rank 0, stage 2 that of rank 1."""
    (tmp_path / "order.csv").write_text("0F0,1F0,1B0,0B0\n2F0,3F0,3B0,2B0\n")
    costs = {"forward": "3 ps", "backward": "5 ps"}
    free = {"topology": {"fabric": "full-mesh", "gpus": 2}}
    values = mapping(parallelism={"pp": 2}, batch={"num_microbatches": 1}, schedule={"csv": "order.csv"}, steps=1)
    result = cs.simulate(scenario_from_mapping(values | {"stage_costs": costs, "cluster": free}, tmp_path))
    ops = result.trace.ops
    rows = list(zip(ops.stage.tolist(), ops.start_ps.tolist(), ops.end_ps.tolist(), strict=True))
    assert [row for row in rows if row[0] >= 0] == [
        (0, 0, 2),
        (1, 2, 3),
        (1, 11, 13),
        (0, 13, 16),
        (2, 3, 5),
        (3, 5, 6),
        (3, 6, 8),
        (2, 8, 11),
    ]


SCENARIO = """\
version: 1
stage_costs: {forward: 10 ms, backward: 20 ms}
cluster: {topology: {fabric: full-mesh, gpus: 2}}
parallelism: {pp: 2}
batch: {num_microbatches: 2}
schedule: {csv: orders/mine.csv}
"""


@pytest.fixture
def scenario_file(tmp_path: Path) -> Path:
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / "mine.csv").write_text(SMALL)
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO)
    return path


def test_the_path_starts_at_the_scenario_s_folder(
    scenario_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    scenario = load_scenario(scenario_file)
    result = cs.simulate(scenario)
    assert result.step_time_s == 0.09
    assert result.provenance["schedule"] == {
        "name": "csv:orders/mine.csv",
        "sha256": "32e76a83aff9923605bd357bac7fb352cef08e90ffa042e69c3e9aefad89b76a",
    }
    rows = {row.key: (row.value, row.origin) for row in resolved(scenario)}
    assert rows["schedule.csv"] == ("orders/mine.csv", f"{scenario_file}:6")
    assert "schedule.name" not in rows


def test_the_order_is_the_one_that_was_loaded(scenario_file: Path) -> None:
    scenario = load_scenario(scenario_file)
    (scenario_file.parent / "orders" / "mine.csv").write_text("0F0,0B0\n1F0,1B0\n")
    assert cs.simulate(scenario).step_time_s == 0.09
    assert cs.simulate(load_scenario(scenario_file, ["batch.num_microbatches=1"])).step_time_s == 0.06


def test_set_and_sweep_can_name_another_file(scenario_file: Path) -> None:
    folder = scenario_file.parent
    (folder / "gpipe.csv").write_text(render_csv(build_schedule("gpipe", Shape(2, 2))))
    peaks = {
        text: cs.simulate(scenario_file, [text]).memory.ranks[1].peak_live_microbatches
        for text in ("schedule.csv=gpipe.csv", "schedule.csv=orders/mine.csv", "schedule={csv: gpipe.csv}")
    }
    assert list(peaks.values()) == [2, 1, 2]
    found = cs.sweep(scenario_file, {"schedule": [{"csv": "gpipe.csv"}, "1f1b", {"csv": "none.csv"}]})
    assert [row.status for row in found.rows] == ["ok", "ok", "refused"]


def test_compare_sets_the_own_order_beside_others(scenario_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("compare", str(scenario_file), "--schedules", "csv:orders/mine.csv,gpipe", "--json") == 0
    assert '"schedule": "csv:orders/mine.csv",\n      "status": "ok"' in capsys.readouterr().out


def test_validate_reads_the_order(scenario_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("validate", str(scenario_file)) == 0
    order = scenario_file.parent / "orders" / "mine.csv"
    order.write_bytes(b"0F0,0B0,\xff\n")
    assert run_cli("validate", str(scenario_file)) == 2
    assert f"{order}:1:9: error: not UTF-8 text" in capsys.readouterr().err


def test_the_schema_asks_for_one_source() -> None:
    choice = scenario_schema()["$defs"]["ScheduleChoice"]
    assert choice["oneOf"] == [{"required": [source]} for source in ("name", "csv", "plugin", "policy")]
    assert "required" not in choice
    assert set(choice["properties"]["name"]["enum"]) == set(SCHEDULES)
