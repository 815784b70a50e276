"""Plans: the winner and the front that simulating every layout gives, limits, counts, and what a file may say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_plan import SMALL, written

import clustersim as cs
from clustersim.cli import main
from clustersim.errors import ScenarioError
from clustersim.planning.layouts import layouts
from clustersim.planning.plan import Plan, plan
from clustersim.planning.plan_job import jobs_of
from clustersim.planning.validation import read_measurements


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, int, int, Any]]:
    """Every layout simulated as a whole: GPUs, makespan, peak, layout."""
    found = []
    for job in jobs_of(written(tmp_path_factory.mktemp("every")), (), None):
        setting = job.setting()
        assert setting is not None
        for layout in layouts(job.space):
            result = cs.simulate(setting.scenario_of(layout))
            found.append((job.num_gpus, result.trace.makespan_ps, result.memory.peak_bytes, layout))
    return found


def front_of(every: list[tuple[int, int, int, Any]]) -> list[tuple[int, int]]:
    """Return GPUs and makespan of what nothing beats in step time, energy (GPUs times step time, here) and GPUs."""
    values = {(gpus, makespan_ps) for gpus, makespan_ps, _, _ in every}
    axes = {value: (value[1], -(-value[0] // 2) * value[1], value[0]) for value in values}
    return sorted(
        value
        for value in values
        if not any(
            axes[other] != axes[value] and all(a <= b for a, b in zip(axes[other], axes[value], strict=True))
            for other in values
        )
    )


def test_simulating_every_layout_gives_the_same_winner_and_front(
    every: list[tuple[int, int, int, Any]], tmp_path: Path
) -> None:
    assert len(every) >= 300
    found = plan(written(tmp_path), num_jobs=1)
    gpus, makespan_ps, peak_bytes, layout = min(every, key=lambda one: (one[1], one[0], one[2], one[3]))
    winner = found.winner
    assert (winner.layout, winner.gpus, winner.peak_bytes) == (layout, gpus, peak_bytes)
    assert winner.step_time_s == makespan_ps / 10**12
    front = sorted((option.gpus, round(option.step_time_s * 10**12)) for option in found.pareto)
    assert front == front_of(every)
    assert len(front) == 2
    assert found.counts.legal == len(every) == found.counts.evaluated + found.counts.pruned
    assert found.counts.evaluated < len(every)
    assert found.counts.simulated < 10


@pytest.mark.parametrize(
    "kept",
    [
        {},
        {"gpus": [2]},
        {"schedule": ["1f1b", "zb-v"]},
        {"zero_stage": [0, 3], "micro_batch_size": [4]},
        {"pp": [2, 4], "recompute": ["full"]},
    ],
)
def test_the_runner_up_is_the_fastest_of_all_other_shapes(
    kept: dict[str, list[Any]], every: list[tuple[int, int, int, Any]], tmp_path: Path
) -> None:
    spec = SMALL["plan"] | {"schedules" if name == "schedule" else name: values for name, values in kept.items()}
    found = plan(written(tmp_path, plan=spec), num_jobs=1)
    layout, runner_up = found.winner.layout, found.runner_up
    times_ps: dict[Any, int] = {}  # of the fastest layout of each shape
    for gpus, makespan_ps, _, other in every:
        asked = all(getattr(other, name) in values for name, values in kept.items() if name != "gpus")
        if gpus == found.winner.gpus and asked:
            times_ps[other.shape] = min(makespan_ps, times_ps.get(other.shape, makespan_ps))
    best_ps = times_ps.pop(layout.shape)
    assert runner_up is not None
    assert runner_up.is_proven
    assert runner_up.step_time_s == min(times_ps.values()) / 10**12 >= best_ps / 10**12
    assert times_ps[runner_up.layout.shape] == min(times_ps.values())
    assert found.near[0] is runner_up
    shapes = [option.layout.shape for option in found.near]
    assert len({layout.shape, *shapes}) == 1 + len(shapes)
    for option in found.near[1:]:  # bounds, which no simulation is below
        exact_ps = [makespan_ps for _, makespan_ps, _, other in every if other == option.layout]
        assert not option.is_proven
        assert [option.step_time_s <= one / 10**12 for one in exact_ps] == [True]


def test_of_layouts_that_fit_the_fastest_wins(every: list[tuple[int, int, int, Any]], tmp_path: Path) -> None:
    peaks = sorted(peak for _, _, peak, _ in every)
    limit = peaks[len(peaks) // 4]
    spec = SMALL["plan"] | {"limits": {"memory": f"{limit} B"}}
    found = plan(written(tmp_path, plan=spec), num_jobs=1)
    fitting = [one for one in every if one[2] <= limit]
    assert found.winner.layout == min(fitting, key=lambda one: (one[1], one[0], one[2], one[3]))[3]
    assert not found.unmet


def test_if_none_fits_the_leanest_is_the_nearest(every: list[tuple[int, int, int, Any]], tmp_path: Path) -> None:
    spec = SMALL["plan"] | {"limits": {"memory": "1 MiB"}, "gpus": [4]}
    path = written(tmp_path, plan=spec)
    found = plan(path, num_jobs=1)
    assert found.winner.peak_bytes == min(peak for gpus, _, peak, _ in every if gpus == 4)
    assert "memory" in found.unmet


def test_fewest_gpus_that_keep_to_a_limit(every: list[tuple[int, int, int, Any]], tmp_path: Path) -> None:
    best_ps = {gpus: min(one[1] for one in every if one[0] == gpus) for gpus in (4, 2)}
    between_us = (best_ps[4] + best_ps[2]) // 2 // 10**6
    asked = {"loose": f"{best_ps[2] // 10**6 + 1} us", "tight": f"{between_us} us", "too tight": "1 us"}
    found: dict[str, Plan] = {}
    for name, limit in asked.items():
        spec = SMALL["plan"] | {"limits": {"step_time": limit}}
        found[name] = plan(written(tmp_path, plan=spec), "gpus", num_jobs=1)
    assert {name: one.winner.gpus for name, one in found.items()} == {"loose": 2, "tight": 4, "too tight": 4}
    assert [name for name, one in found.items() if one.unmet] == ["too tight"]


def test_the_command_prints_one_document_and_ends_with_3_if_a_limit_can_not_be_met(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = SMALL["plan"] | {"gpus": [2], "limits": {"step_time": "1 us"}}
    path, output = written(tmp_path, plan=spec), tmp_path / "winner.yaml"
    with pytest.raises(SystemExit) as ended:
        main(["plan", str(path), "--json", "--jobs", "1", "-o", str(output)])
    assert ended.value.code == 3
    streams = capsys.readouterr()
    document = json.loads(streams.out)
    assert document["legal"] == document["evaluated"] + document["pruned"]
    assert "step_time" in document["unmet"]
    assert "step_time" in streams.err
    again = cs.simulate(output)
    assert again.step_time_s == document["winner"]["step_time_s"]
    assert again.memory.peak_bytes == document["winner"]["peak_bytes"]
    assert any("published dense configurations" in text for text in document["assumptions"])


def test_what_the_scenario_says_is_kept(tmp_path: Path) -> None:
    kept = {"parallelism": {"tp": 2, "zero_stage": 1}, "schedule": "zb-h1", "training": {"recompute": "full"}}
    found = plan(written(tmp_path, **kept), num_jobs=1)
    layout = found.winner.layout
    assert (layout.tp, layout.zero_stage, layout.schedule, layout.recompute) == (2, 1, "zb-h1", "full")
    assert found.counts.legal < 30


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"batch": {"num_microbatches": 8}}, "global_batch_size"),
        ({"plan": {"limits": {"deadline": "3 days"}}}, "token_budget"),
        ({"plan": {"schedules": ["zb-h9"]}}, "zb-h9"),
        ({"schedule": {"csv": "order.csv"}}, "schedules by their names"),
        ({"parallelism": {"tp": 3}}, "no layout"),
    ],
)
def test_what_can_not_be_planned_is_refused(sections: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=message):
        plan(written(tmp_path, **sections), num_jobs=1)


def test_the_plan_of_a_measured_sweep_is_among_its_best(tmp_path: Path) -> None:
    rows = [row for row in read_measurements() if row.name.startswith("vtrain-3.6b") and not row.changes]
    measured_s = {
        (
            *(row.scenario["parallelism"][axis] for axis in ("tp", "pp", "dp")),
            row.scenario["batch"]["micro_batch_size"],
        ): (row.step_time_s)
        for row in rows
        if row.scenario["runtime"]["p2p"] == "asynchronous"
    }
    sections = {**rows[0].scenario, "batch": {"global_batch_size": 512}}
    sections["parallelism"] = {"cp": 1, "sequence_parallel": False, "zero_stage": 0}
    names = ("tp", "pp", "dp", "micro_batch_size")
    sections["plan"] = {
        name: sorted(set(values)) for name, values in zip(names, zip(*measured_s, strict=True), strict=True)
    }
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps(sections))
    found = plan(path, num_jobs=1)
    assert len(measured_s) >= 20
    layout = found.winner.layout
    ours_s = measured_s[layout.tp, layout.pp, layout.dp, layout.micro_batch_size]
    assert ours_s <= 1.05 * min(measured_s.values())
