"""Plans: how options are compared, on which clusters and numbers of GPUs they are looked for, and what is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from small_plan import NARROW_FABRIC, SMALL, written

from clustersim.cli import main
from clustersim.errors import Fault, ScenarioError, TopologyError
from clustersim.planning import layout_work
from clustersim.planning.plan import Plan, plan
from clustersim.report.terminal_plan import plan_report
from clustersim.scenario.spec import Scenario

FEW: dict[str, Any] = {"schedules": ["1f1b", "gpipe"], "recompute": ["none"], "zero_stage": [1], "cp": [1]}
UNPRICED = NARROW_FABRIC | {"device": "H800-SXM5-80GB"}
PRICED = NARROW_FABRIC | {"device": "H100-SXM5-80GB"}
BUDGET = {"training": {"token_budget": "1B tokens"}}


def planned(folder: Path, objective: Any = None, /, **sections: Any) -> Plan:
    return plan(written(folder, **{"plan": FEW} | sections), objective, num_jobs=1)


def text_of(found: Plan) -> str:
    console = Console(file=StringIO(), width=200)
    with console.capture() as captured:
        console.print(plan_report(found.to_dict()))
    return " ".join(captured.get().split())


def sizes_of(found: Plan) -> list[tuple[str, int]]:
    return [(option.cluster, option.gpus) for option in found.options]


@pytest.mark.parametrize(("other", "compared_by"), [(PRICED, "cost"), (UNPRICED, "GPU-time")])
def test_dollars_stand_against_dollars_only(other: dict[str, Any], compared_by: str, tmp_path: Path) -> None:
    clusters = [{"topology": NARROW_FABRIC, "gpus": 4}, {"topology": other, "gpus": 4}]
    found = planned(tmp_path, "cost", plan=FEW | {"clusters": clusters})
    assert found.compared_by == found.to_dict()["compared_by"] == compared_by
    assert f"best by {compared_by}:" in text_of(found)
    gpu_s = {index: option.gpus * option.step_time_s for index, option in enumerate(found.options)}
    costs = {index: option.cost_usd for index, option in enumerate(found.options) if option.cost_usd is not None}
    by = costs if compared_by == "cost" else gpu_s
    assert len(by) == len(found.options) == 6
    assert found.winner == found.options[min(by, key=by.__getitem__)]
    assert len(costs) >= 3
    told = "no price is known of some of these GPUs: all are compared by GPU-time"
    assert any(told in text for text in found.assumptions) == (compared_by != "cost")


@pytest.mark.parametrize(
    ("gpus", "message"),
    [
        (-8, "cluster.gpus: must be at least 1; got -8"),
        ("16", "cluster.gpus: must be a whole number; got '16' (text)"),
        (12.5, "cluster.gpus: must be a whole number; got 12.5"),
        (0, "cluster.gpus: must be at least 1; got 0"),
        (99, "cluster.gpus: 99 GPUs asked for; the topology has 4"),
    ],
)
@pytest.mark.parametrize("objective", ["step-time", "cost"])
def test_a_wrong_number_of_gpus_is_told_where_it_stands(
    gpus: object, message: str, objective: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, cluster={"topology": NARROW_FABRIC, "gpus": gpus})
    column = path.read_text().index('"gpus": ' + json.dumps(gpus)) + len('"gpus": ') + 1
    with pytest.raises(SystemExit) as ended:
        main(["plan", str(path), "--objective", objective, "--jobs", "1"])
    assert ended.value.code == 2
    assert f"{path}:1:{column}: error: {message}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"gpus": [4, 5]}, r"plan.gpus.1: got 5; inline has 4"),
        ({"clusters": ["dgx-a100", {"topology": NARROW_FABRIC, "gpus": 9}]}, r"plan.clusters.1.gpus: 9 GPUs asked for"),
        ({"clusters": ["dgx-a100", {"topology": "dgx-a100", "gpus": -4}]}, r"plan.clusters.1.gpus: .* got -4"),
        ({"clusters": ["dgx-a1000"]}, r"plan.clusters.0.topology: no topology is called 'dgx-a1000'"),
    ],
)
def test_so_is_one_of_the_plan(spec: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=message):
        planned(tmp_path, plan=FEW | spec)
    path = written(tmp_path, plan=FEW | spec)
    without = {key: value for key, value in json.loads(path.read_text()).items() if key != "cluster"}
    if "clusters" in spec:
        path.write_text(json.dumps(without))
        with pytest.raises(ScenarioError, match=message):
            plan(path, num_jobs=1)


@pytest.mark.parametrize(
    ("objective", "spec", "sizes"),
    [
        ("step-time", {}, [4]),
        ("cost", {}, [4, 2, 1]),
        ("energy", {}, [4, 2, 1]),
        ("gpus", {}, [4, 2, 1]),
        ("step-time", {"limits": {"budget": "1 M USD"}} | BUDGET, [4, 2, 1]),
        ("step-time", {"limits": {"deadline": "300 days"}} | BUDGET, [4]),
        ("step-time", {"limits": {"gpus": 2}}, [2, 1]),
        ("cost", {"limits": {"gpus": 3}}, [2, 1]),  # of 3 GPUs no layout is legal
        ("cost", {"gpus": [4]}, [4]),
        ("step-time", {"gpus": [1, 2], "limits": {"gpus": 3}}, [1, 2]),
        ("step-time", {"gpus": [4, 2, 2], "limits": {"gpus": 2}}, [2]),
    ],
)
def test_numbers_of_gpus_that_are_looked_at(
    objective: str, spec: dict[str, Any], sizes: list[int], tmp_path: Path
) -> None:
    sections = {key: spec[key] for key in spec if key in BUDGET}
    asked = FEW | {key: spec[key] for key in spec if key not in BUDGET}
    found = planned(tmp_path, objective, plan=asked, **sections)
    assert sizes_of(found) == [("inline", number) for number in sizes]
    looked_at = next(text for text in found.assumptions if text.startswith("looked at: "))
    assert [int(number) for number in re.findall(r"\d+(?=[, ](?!\())", looked_at) if int(number) in sizes] == sizes
    assert not found.unmet


def test_no_number_keeps_to_a_limit_that_is_below_all_of_the_plan_s(tmp_path: Path) -> None:
    found = planned(tmp_path, plan=FEW | {"gpus": [4, 2], "limits": {"gpus": 1}})
    assert found.winner.gpus == 2
    assert "gpus 1: the nearest takes 2, 100 % more" in found.unmet
    assert [violation.limit for violation in found.winner.violations] == ["gpus"]


def test_every_cluster_that_was_searched_is_told(tmp_path: Path) -> None:
    clusters = ["dgx-a100", {"topology": "dgx-h100", "gpus": 2}, {"topology": NARROW_FABRIC, "gpus": 4}]
    found = planned(tmp_path, plan=FEW | {"clusters": clusters, "gpus": [4, 3, 2]})
    assert sizes_of(found) == [("dgx-a100", 4), ("dgx-a100", 2), ("dgx-h100", 2), ("inline", 4), ("inline", 2)]
    document, text = found.to_dict(), text_of(found)
    assert [(one["cluster"], one["gpus"]) for one in document["options"]] == sizes_of(found)
    table = text.split("Clusters and numbers of GPUs")[1].split("the fastest layout on each")[0]
    assert re.findall(r"dgx-a100|dgx-h100|inline", table) == [name for name, _ in sizes_of(found)]
    assert "4, 3 (no layout is legal), 2 GPUs of dgx-a100" in text


def test_a_plan_s_cluster_may_be_its_name_and_the_only_one(tmp_path: Path) -> None:
    spec = FEW | {"gpus": [2]}
    named = planned(tmp_path, plan=spec | {"clusters": ["dgx-h100"]})
    own = planned(tmp_path, plan=spec, cluster={"topology": "dgx-h100"})
    path = written(tmp_path, plan=spec | {"clusters": ["dgx-h100"]})
    path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "cluster"}))
    lacking = plan(path, num_jobs=1)
    for found in (named, lacking):
        assert (found.winner.layout, found.winner.step_time_s) == (own.winner.layout, own.winner.step_time_s)
        assert found.winner.cluster == "dgx-h100"


def without(key: str) -> Callable[[dict[str, Any]], None]:
    """Return what takes the value under a dotted key away."""

    def taken(values: dict[str, Any]) -> None:
        section, _, name = key.partition(".")
        del values[section][name]

    return taken


def with_gpus(number: int) -> Callable[[dict[str, Any]], None]:
    def put(values: dict[str, Any]) -> None:
        values["cluster"]["gpus"] = number

    return put


@pytest.mark.parametrize(
    "sections",
    [
        {"parallelism": {"tp": 3}},
        {"parallelism": {"tp": 2, "dp": 3}},
        {"parallelism": {"tp": 3, "dp": 5}},
        {"cluster": {"topology": NARROW_FABRIC, "gpus": 3}},
        {"cluster": {"topology": NARROW_FABRIC, "gpus": 3}, "parallelism": {"tp": 2}},
        {"plan": FEW | {"tp": [3, 5]}},
        {"parallelism": {"split": {"layers": [1, 1, 2]}}},
        {"batch": {"global_batch_size": 8, "micro_batch_size": 3}},
    ],
)
def test_where_no_layout_is_legal_each_way_out_gives_one(sections: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"no layout of . GPUs of inline is legal") as raised:
        planned(tmp_path, **sections)
    hint = str(raised.value).split("hint: ")[1]
    together = re.match(r"leave out (\S+(?: and \S+)+?);", hint)
    singles = re.match(r"leave out (\S+(?: or \S+)*?);", hint)
    ways = [[without(key)] for key in (singles[1].split(" or ") if singles else ())]
    ways += [[without(key) for key in together[1].split(" and ")]] if together else []
    ways += [[with_gpus(int(number))] for number in re.findall(r"use (\d+) GPUs", hint)]
    assert ways
    for way in ways:
        values = json.loads(json.dumps(SMALL | {"plan": FEW} | sections))
        for change in way:
            change(values)
        path = tmp_path / "mended.json"
        path.write_text(json.dumps(values))
        assert plan(path, num_jobs=1).winner


@pytest.mark.parametrize("is_all", [False, True])
def test_what_the_simulation_refuses_is_counted_and_told(
    is_all: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, run = planned(tmp_path), layout_work.simulate_representatives

    def refusing(scenario: Scenario) -> Any:
        if is_all or scenario.schedule.name == usual.winner.layout.schedule:
            raise TopologyError(Fault("cluster.topology", "no way from here to there"))
        return run(scenario)

    monkeypatch.setattr(layout_work, "simulate_representatives", refusing)
    if is_all:
        with pytest.raises(ScenarioError, match=r"could be simulated, the first as: cluster.topology: no way from"):
            planned(tmp_path)
        return
    found = planned(tmp_path)
    document = found.to_dict()
    assert usual.counts.refused == 0 < found.counts.refused == document["refused"]["layouts"]
    assert found.winner.layout.schedule != usual.winner.layout.schedule
    assert "no way from here to there" in document["refused"]["first"]
    assert document["legal"] == document["evaluated"] + document["pruned"]
    assert re.search(rf"\b{found.counts.refused} layouts? could not be simulated, the first as:", text_of(found))
