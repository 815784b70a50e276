"""Schedules of a user's own: what a function may return, what is told when it fails, and how it is bound."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import clustersim as cs
from clustersim.cli import main
from clustersim.errors import DeadlockError, ScenarioError, ScheduleError
from clustersim.ops import Action, Kind, Schedule, Shape, StageCosts
from clustersim.planning.compare import compare
from clustersim.scenario.gallery import gallery_path
from clustersim.scenario.load import scenario_from_mapping
from clustersim.schedules.brought import plugin_schedule
from clustersim.schedules.table import SCHEDULES, build_schedule

EXAMPLE = "plugin-example"
ROWS = [["0F0", "0F1", "0B0", "0B1"], ["1F0", "1B0", "1F1", "1B1"]]
SHAPE = Shape(2, 2)


def returning(value: Any) -> Callable[..., Any]:
    return lambda _shape, _costs: value


def scenario(**sections: Any) -> cs.Scenario:
    mapping: dict[str, Any] = {
        "version": 1,
        "stage_costs": {"forward": "8 s", "input_grad": "8 s", "weight_grad": "8 s", "message": "1 GiB"},
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": 4, "link": {"bandwidth": "1 GB/s"}}},
        "parallelism": {"pp": 4},
        "batch": {"num_microbatches": 8},
        "schedule": {"plugin": "mine"},
    }
    return scenario_from_mapping(mapping | sections)


@pytest.mark.parametrize("name", [name for name in SCHEDULES if build_schedule(name, Shape(4, 8)).flush])
def test_a_function_like_our_own_gives_the_same_result(name: str) -> None:
    own = cs.simulate(scenario(schedule=name)).to_dict()
    brought = cs.simulate(scenario(), plugins={"mine": SCHEDULES[name]}).to_dict()
    assert brought["schedule"] == "plugin:mine"
    differ = [key for key in own if own[key] != brought[key]]
    assert differ == ["provenance", "schedule"]


@pytest.mark.parametrize(
    "returned",
    [
        ROWS,
        tuple(map(tuple, ROWS)),
        [["0F0", "0F1", None, "", "0B0", "0B1"], ROWS[1]],
        [[Action(Kind.F, 0, 0), Action(Kind.F, 0, 1), "0B0", "0B1"], ROWS[1]],
    ],
)
def test_rows_are_read_like_those_of_a_file(returned: Any) -> None:
    schedule = plugin_schedule("mine", returning(returned), SHAPE)
    assert [list(map(str, order)) for order in schedule.orders] == ROWS
    assert (schedule.name, schedule.shape, schedule.rank_by_stage) == ("mine", SHAPE, (0, 1))


def test_it_is_told_the_shape_and_the_costs() -> None:
    told: list[tuple[Shape, Sequence[StageCosts] | None]] = []

    def plugin(shape: Shape, costs: Sequence[StageCosts] | None) -> Schedule:
        told.append((shape, costs))
        return build_schedule("interleaved-1f1b", shape, costs)

    cs.simulate(scenario(parallelism={"pp": 4, "vpp": 2}), plugins={"mine": plugin})
    ((shape, costs),) = told
    assert shape == Shape(4, 8, 2)
    assert costs is not None
    assert [cost.forward_ps for cost in costs] == [4 * 10**12] * 8


def own(name: str = "1f1b", **changes: Any) -> Schedule:
    return replace(build_schedule(name, Shape(2, 4)), **changes)


WANTED = "wanted: a Schedule, or a list of actions for each rank"


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        (None, f"mine: the plugin returned None (NoneType); {WANTED}"),
        ("0F0", f"mine: the plugin returned '0F0' (str); {WANTED}"),
        (["0F0 0B0"], f"mine: the plugin returned '0F0 0B0' (str) for rank 0; {WANTED}"),
        ([[1]], "mine: row 1, cell 1: the plugin returned 1 (int); wanted: an action such as '0F0'"),
        ([["0F0", "0X0"]], "row 1, cell 2: '0X0' is no action"),
        ([], "mine: no rows"),
        ([["0F0", "0B0"]] * 2, "row 2, cell 1: 0F0: stage 0 has ops in row 1 too"),
        (ROWS[:1], "mine: the order has 1 rows, one a rank; pp = 2"),
        ([row[:1] for row in ROWS], "mine: the order has 1 micro-batches; 4 are to be run"),
        (own(flush=False), "mine: a plugin orders one training step, which ends with a flush"),
        (own(weight_versions=(1, 1)), "mine: a plugin orders one training step"),
        (own(rank_by_stage=(1, 0)), "mine: the plugin's schedule says rank_by_stage = (1, 0); its orders mean (0, 1)"),
        (own(chains=((1, 0),)), "mine: the plugin's schedule says chains = ((1, 0),); its orders mean ((0, 1),)"),
        (own(chains=((0,), (1,), ())), "mine: the plugin's schedule has 3 chains; allowed: 1 or 2"),
        (own(orders=((Action(0, 0, 0),), ())), "mine: row 1, cell 1: the plugin returned Action(kind=0, stage=0"),  # type: ignore[arg-type]
        (own(orders=None), f"mine: the plugin returned None (NoneType); {WANTED}"),
    ],
)
def test_what_is_no_order_is_refused_with_what_is_wanted(returned: Any, says: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        plugin_schedule("mine", returning(returned), Shape(2, 4))
    assert says in str(caught.value)


def failing(error: BaseException) -> Callable[..., Any]:
    def plugin(_shape: Shape, _costs: object) -> Any:
        raise error

    return plugin


FAILS_AT = f"test_plugin.py:{failing.__code__.co_firstlineno + 2}"


@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        (failing(ValueError("no idea")), f"{FAILS_AT}: ValueError: no idea"),
        (failing(SystemExit(3)), f"{FAILS_AT}: SystemExit: 3"),
        (failing(ZeroDivisionError()), f"{FAILS_AT}: ZeroDivisionError"),
        (failing(ScheduleError("m must be even; take 8")), "plugin:mine: m must be even; take 8"),
        (lambda: None, "plugin:mine: the plugin failed: TypeError: "),
        (returning([["0F0"], ["1F0"]]), "plugin:mine: the order has 2 rows, one a rank; pp = 4"),
    ],
)
def test_a_plugin_that_fails_is_told_with_its_place(plugin: Any, says: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        cs.simulate(scenario(), plugins={"mine": plugin})
    assert says in str(caught.value)


def test_an_order_of_a_plugin_passes_the_checker() -> None:
    sections = {"parallelism": {"pp": 2}, "batch": {"num_microbatches": 2}}
    incomplete = [ROWS[0], ROWS[1][:3]]
    with pytest.raises(ScheduleError, match=r"plugin:mine: rank 1: 1B1 \(or its I and W\) is missing"):
        cs.simulate(scenario(**sections), plugins={"mine": returning(incomplete)})
    stuck = [["0F0", "0B0", "0F1", "0B1"], ["1F0", "1F1", "1B0", "1B1"]]
    with pytest.raises(DeadlockError, match="rank 0 at 0B0 waits for 1B0 on rank 1"):
        cs.simulate(scenario(**sections), plugins={"mine": returning(stuck)})


def test_a_plugin_must_be_bound() -> None:
    with pytest.raises(ScenarioError) as caught:
        cs.simulate(scenario(), plugins={"mines": returning(ROWS)})
    assert "schedule.plugin: no plugin is bound as 'mine'" in str(caught.value)
    assert "did you mean 'mines'? bind it: --plugin mine=module:function" in str(caught.value)


def test_compare_runs_bound_plugins_by_their_names() -> None:
    found = compare(scenario(schedule="gpipe"), ["mine", "gpipe"], plugins={"mine": SCHEDULES["gpipe"]})
    assert [row.schedule for row in found.rows] == ["mine", "gpipe"]
    assert found.rows[0].step_time_s == found.rows[1].step_time_s
    own_and_bound = compare(scenario(), ["plugin:mine", "mine"], plugins={"mine": SCHEDULES["gpipe"]})
    assert [row.status for row in own_and_bound.rows] == ["ok", "ok"]


# --- the command line


@pytest.fixture
def in_gallery(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(gallery_path("scenarios"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield
    sys.modules.pop("my_schedule", None)


def run_cli(*args: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(args))
    assert isinstance(caught.value.code, int)
    return caught.value.code


EAGER = ("--plugin", "eager=my_schedule:eager_1f1b")


@pytest.mark.usefixtures("in_gallery")
def test_the_example_hides_its_messages() -> None:
    assert run_cli("run", f"{EXAMPLE}.yaml", "--check", *EAGER) == 0
    from my_schedule import eager_1f1b  # type: ignore[import-not-found]

    times = {
        name: cs.simulate(EXAMPLE, [f"schedule={name}"], plugins={"eager": eager_1f1b})
        for name in ("{plugin: eager}", "1f1b")
    }
    assert [run.step_time_s for run in times.values()] == [0.404, 0.492]
    assert [run.memory.ranks[0].peak_live_microbatches for run in times.values()] == [7, 4]


@pytest.mark.usefixtures("in_gallery")
def test_compare_and_schedule_take_plugins_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("compare", EXAMPLE, "--schedules", "eager,1f1b", *EAGER) == 0
    assert "eager     best" in capsys.readouterr().out
    assert run_cli("schedule", "eager", "--pp", "2", "--microbatches", "3", "--format", "csv", *EAGER) == 0
    assert capsys.readouterr().out == "0F0,0F1,0F2,0B0,0B1,0B2\n1F0,1B0,1F1,1B1,1F2,1B2\n"
    assert run_cli("schedule", "eager", "--pp", "2", "--microbatches", "3", "--vpp", "2", *EAGER) == 2
    assert "eager: vpp must be 1" in capsys.readouterr().err


@pytest.mark.usefixtures("in_gallery")
def test_nothing_is_imported_unless_it_is_bound(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("validate", "show", "run"):
        run_cli(verb, EXAMPLE)
    assert "schedule.plugin: no plugin is bound as 'eager'" in capsys.readouterr().err
    assert "my_schedule" not in sys.modules


@pytest.mark.usefixtures("in_gallery")
@pytest.mark.parametrize(
    ("binding", "says"),
    [
        ("eager", "not a binding; write --plugin name=module:function"),
        ("eager=my_schedule", "not a binding"),
        ("eager=os:system('x')", "not a binding"),
        ("eager=my_scedule:f", "there is no module 'my_scedule', neither in "),
        ("eager=my_schedule:eager", "there is no 'eager'; did you mean 'eager_1f1b'?"),
        ("eager=my_schedule:__doc__", "'__doc__' in my_schedule is not a function"),
        ("1f1b=my_schedule:eager_1f1b", "'1f1b' is a schedule already; take another name"),
    ],
)
def test_a_binding_that_does_not_work_is_told(binding: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("run", EXAMPLE, "--plugin", binding) == 2
    error = capsys.readouterr().err
    assert f"error: --plugin {binding}: {says}" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import no_such_thing", "the module can't be imported: ModuleNotFoundError: No module named 'no_such_thing'"),
        ("def f(:", "the module can't be imported: SyntaxError: "),
        ("1 / 0", "the module can't be imported: ZeroDivisionError: division by zero"),
        ("raise SystemExit('bye')", "the module can't be imported: SystemExit: bye"),
    ],
)
def test_a_module_that_can_t_be_imported(
    source: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken_plugin.py").write_text(source + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert run_cli("run", EXAMPLE, "--plugin", "eager=broken_plugin:f") == 2
    assert f"error: --plugin eager=broken_plugin:f: {says}" in capsys.readouterr().err
    assert "broken_plugin" not in sys.modules
