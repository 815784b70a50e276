"""The search for the best order: proven against every order there is, and a schedule like any other."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from every_order import best_makespan_ps

import clustersim as cs
from clustersim.cli import main
from clustersim.errors import ClustersimError, ScenarioError
from clustersim.ops import StageCosts
from clustersim.planning.optimize import Optimum, optimize
from clustersim.scenario.load import load_scenario, scenario_from_mapping
from clustersim.schedules.check import check_schedule
from clustersim.schedules.render import render_csv

ORTOOLS = "ortools is not installed: pip install 'clustersim[optimize]'"


def scenario(p: int, m: int, times: tuple[int, int, int], hop_ms: int = 0, **sections: Any) -> cs.Scenario:
    forward, input_grad, weight_grad = times
    link = {"latency": f"{hop_ms} ms"}
    document = {
        "version": 1,
        "stage_costs": {
            "forward": f"{forward} ms",
            "input_grad": f"{input_grad} ms",
            "weight_grad": f"{weight_grad} ms",
            "activation": "2 GiB",
            "weight_grad_activation": "1 GiB",
        },
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": 8, "link": link}},
        "parallelism": {"pp": p},
        "batch": {"num_microbatches": m},
        "schedule": "zb-h1",
    }
    return scenario_from_mapping(document | sections)


def makespan_ms(optimum: Optimum) -> float:
    return optimum.result.makespan_s * 1000


def zb_auto(**limit: object) -> dict[str, Any]:
    return {"name": "zb-auto", "limit": limit}


@pytest.mark.parametrize(("p", "m", "limit"), [(2, 2, 2), (2, 3, 1), (2, 3, 2), (3, 2, 1), (3, 2, 2)])
@pytest.mark.parametrize("times", [(7, 9, 20), (10, 11, 12), (5, 8, 3)])
def test_a_proven_optimum_is_the_best_of_all_orders(p: int, m: int, limit: int, times: tuple[int, int, int]) -> None:
    pytest.importorskip("ortools", reason=ORTOOLS)
    found = optimize(scenario(p, m, times, hop_ms=3, schedule=zb_auto(microbatches=limit)), time_limit_s=20)
    assert (found.proven, found.gap) == (True, 0)
    assert makespan_ms(found) == pytest.approx(best_makespan_ps([StageCosts(*times, sum(times))] * p, m, 3, limit))


@pytest.mark.parametrize(("p", "m"), [(2, 3), (3, 4), (4, 4)])
def test_zb_h1_is_proven_within_its_memory(p: int, m: int) -> None:
    pytest.importorskip("ortools", reason=ORTOOLS)
    found = optimize(scenario(p, m, (12, 11, 5), schedule=zb_auto(microbatches=p)), time_limit_s=20)
    assert found.proven
    assert makespan_ms(found) == pytest.approx(m * 28 + (p - 1) * (12 + 11 - 5))


def test_without_a_limit_the_last_rank_never_idles() -> None:
    pytest.importorskip("ortools", reason=ORTOOLS)
    found = optimize(scenario(4, 4, (12, 11, 5)), time_limit_s=20)
    assert found.proven
    # rank 3 starts after 36 ms and computes 4 * 28; its last I, if W waits, comes 4 * 5 before; 33 ms and W of rank 0
    assert makespan_ms(found) == pytest.approx(36 + 4 * 28 + max(0, 33 + 5 - 4 * 5))


def test_the_search_goes_beyond_what_is_known() -> None:
    pytest.importorskip("ortools", reason=ORTOOLS)
    given = scenario(4, 7, (12, 9, 19), 1, schedule=zb_auto(microbatches=4))
    found = optimize(given, time_limit_s=30)
    assert found.proven
    assert found.result.makespan_s < cs.simulate(given).makespan_s
    assert max(rank.peak_live_microbatches for rank in found.result.memory.ranks) <= 4
    check_schedule(found.schedule)


@pytest.mark.parametrize(
    ("schedule", "held"),
    [(zb_auto(activations=2), 4), (zb_auto(bytes="5 GiB"), 5)],
)
def test_a_limit_in_bytes_holds(schedule: dict[str, Any], held: int) -> None:
    pytest.importorskip("ortools", reason=ORTOOLS)
    found = optimize(scenario(3, 4, (10, 10, 10), 1, schedule=schedule), time_limit_s=10)
    assert max(rank.activations_peak_bytes for rank in found.result.memory.ranks) <= held * 2**30
    assert found.proven


def test_the_limit_of_a_policy_holds_too() -> None:
    pytest.importorskip("ortools", reason=ORTOOLS)
    given = scenario(3, 4, (10, 10, 10), 1, schedule={"policy": "memory-bounded", "limit": {"microbatches": 2}})
    found = optimize(given, time_limit_s=20)
    assert found.proven
    assert found.result.makespan_s <= cs.simulate(given).makespan_s
    assert max(rank.peak_live_microbatches for rank in found.result.memory.ranks) <= 2


def test_stages_stay_where_the_schedule_places_them() -> None:
    pytest.importorskip("ortools", reason=ORTOOLS)
    given = scenario(2, 3, (10, 10, 10), schedule="zb-v", parallelism={"pp": 2})
    found = optimize(given, time_limit_s=20)
    assert found.schedule.rank_by_stage == (0, 1, 1, 0)
    assert found.proven
    assert found.result.makespan_s <= cs.simulate(given).makespan_s


def test_a_backward_that_can_t_be_parted_stays_whole() -> None:
    pytest.importorskip("ortools", reason=ORTOOLS)
    costs = {"forward": "10 ms", "backward": "20 ms"}
    found = optimize(scenario(2, 3, (1, 1, 1), schedule="gpipe", stage_costs=costs), time_limit_s=20)
    assert found.proven
    assert makespan_ms(found) == pytest.approx((3 + 2 - 1) * 30)  # as 1F1B and GPipe
    assert "I" not in render_csv(found.schedule)


def test_the_order_runs_like_any_other(tmp_path: Path) -> None:
    pytest.importorskip("ortools", reason=ORTOOLS)
    given = scenario(3, 4, (10, 14, 9), 1, schedule=zb_auto(microbatches=2))
    found = optimize(given, time_limit_s=20)
    (tmp_path / "best.csv").write_text(render_csv(found.schedule))
    document = json.loads(given.model_dump_json(exclude_unset=True)) | {"schedule": {"csv": "best.csv"}}
    (tmp_path / "scenario.json").write_text(json.dumps(document))
    assert cs.simulate(load_scenario(tmp_path / "scenario.json")).makespan_s == found.result.makespan_s


def test_out_of_time_it_tells_how_far_off_it_may_be() -> None:
    pytest.importorskip("ortools", reason=ORTOOLS)
    found = optimize(scenario(4, 7, (12, 9, 19), 1, schedule=zb_auto(microbatches=4)), time_limit_s=0.01)
    assert not found.proven
    assert found.gap is not None
    assert found.to_dict()["gap"] == pytest.approx(found.result.makespan_s * 1000 / (found.bound_ps / 10**9) - 1)


@pytest.mark.parametrize(
    ("sections", "what"),
    [
        ({"schedule": "pipedream"}, "pipedream has no flush"),
        ({"schedule": "1f1b", "runtime": {"p2p": "blocking"}}, "optimize orders asynchronous messages"),
        ({"batch": {"global_batch_size": 7, "micro_batch_size": 2, "remainder": "short"}}, "differ in size"),
        (
            {
                "stage_costs": {
                    "forward": "2 ms",
                    "input_grad": "2 ms",
                    "weight_grad": "2 ms",
                    "forward_backward": "5 ms",
                }
            },
            "does not order overlapped pairs",
        ),
    ],
)
def test_what_it_does_not_order_is_refused(sections: dict[str, Any], what: str) -> None:
    with pytest.raises(ScenarioError, match=what):
        optimize(scenario(2, 4, (1, 1, 1), **sections))


def test_without_or_tools_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    with pytest.raises(ClustersimError, match=r"pip install 'clustersim\[optimize\]'"):
        optimize(scenario(4, 7, (12, 9, 19), 1, schedule=zb_auto(microbatches=4)))


def run_verb(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["optimize", *args])
    captured = capsys.readouterr()
    return caught.value.code, captured.out, captured.err


def test_the_verb_prints_the_order_and_how_good_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ortools", reason=ORTOOLS)
    given = scenario(2, 2, (10, 10, 10), schedule=zb_auto(microbatches=2))
    file, order = tmp_path / "scenario.json", tmp_path / "order.csv"
    file.write_text(given.model_dump_json(exclude_unset=True))
    code, out, err = run_verb(capsys, str(file), "--time-limit", "20s")
    assert (code, err) == (0, "")
    csv = render_csv(optimize(given, time_limit_s=20).schedule)
    assert out == f"makespan 70.00 ms · lower bound 70.00 ms · largest span 70.00 ms\nno order is better\n{csv}"
    code, out, err = run_verb(capsys, str(file), "--json", "-o", str(order))
    document = json.loads(out)
    assert (code, err, document["csv"]) == (0, "", csv)
    assert (document["schema"], document["proven"], document["gap"]) == ("clustersim/optimize/1", True, 0)
    assert order.read_text() == csv


def test_the_verb_refuses_a_time_without_sense(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_verb(capsys, "scenario.yaml", "--time-limit", "soon")
    assert (code, out) == (2, "")
    assert "--time-limit" in err


def test_host_gaps_are_refused_where_a_backward_may_be_parted() -> None:
    with pytest.raises(ScenarioError, match="optimize orders I and W apart"):
        optimize(scenario(2, 2, (1, 1, 1), runtime={"host_gap": "1 ms"}), time_limit_s=5)
