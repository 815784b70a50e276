"""The points of a sweep: which there are, in which order, and that everyone finds the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_sweep import scenario

import clustersim as cs
from clustersim.errors import LimitError, ScenarioError
from clustersim.planning.points import Points, latin_hypercube, points_of
from clustersim.planning.sweep import merged_sweep


def points(axes: dict[str, Any], max_points: int = 10_000, seed: int = 0, **parts: Any) -> Points:
    base = scenario(seed=seed)
    return points_of(base, merged_sweep(base, axes, **parts), max_points)


def values(found: Points, *axes: str) -> list[tuple[Any, ...]]:
    return [tuple(point[axis] for axis in axes) for point in found.points]


def test_linked_axes_go_together_and_the_others_are_crossed() -> None:
    axes = {"seed": [1, 2], "steps": {"range": {"start": 1, "stop": 2, "step": 1}}, "name": ["a", "b"]}
    found = points(axes, linked=[["seed", "name"]])
    assert values(found, "seed", "steps", "name") == [(1, 1, "a"), (1, 2, "a"), (2, 1, "b"), (2, 2, "b")]


def test_conditions_look_at_axes_at_what_the_scenario_says_and_at_defaults() -> None:
    axes = {"batch.num_microbatches": [1, 2, 4, 8], "schedule": ["gpipe", {"name": "zb-h1"}]}
    where = [
        "batch.gradient_accumulation_steps * parallelism.pp <= 8",
        "batch.num_microbatches > parallelism.dp and batch.micro_batch_size == 1",
        "schedule.name == 'gpipe' or schedule == 'zb-h1' and stage_costs.forward >= '1 ms'",
    ]
    found = points(axes, where=where)
    assert values(found, "batch.num_microbatches") == [(2,), (2,), (4,), (4,)]
    assert found.axes["batch.num_microbatches"] == (1, 2, 4, 8)


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ({"where": ["seed > 9"]}, "no combination of the axes' values meets all conditions"),
        ({"where": ["seed > schedule"]}, r"sweep.where:1:1: error: 1 can't be compared with '1f1b'"),
        ({"where": ["sed > 1"]}, "'sed' is no key of a scenario"),
        ({"where": ["seed >"]}, "column 7 of `seed >`: no expression"),
        ({"linked": [["seed", "step"]]}, "'step' is no axis of the sweep"),
        ({"linked": [["seed", "steps"]]}, "as many values as one another; got seed 2, steps 3"),
        ({"linked": [["seed", "name"], ["name", "steps"]]}, "'name' is linked twice"),
        ({"samples": {"sobol": 4}}, "samples are written {random: 100} or {latin-hypercube: 100}"),
        ({"samples": {"random": 0}}, "a whole number from 1 to"),
        ({"axes": {"seed": {"uniform": [1, 4]}}}, "nothing says how many"),
        ({"axes": {"seed": [np.int64(1)]}}, "is no value of a scenario"),
    ],
)
def test_mistakes(parts: dict[str, Any], what: str) -> None:
    axes = {"seed": [1, 2], "steps": [1, 2, 3], "name": ["a", "b"]} | parts.pop("axes", {})
    with pytest.raises(ScenarioError) as caught:
        points(axes, **parts)
    assert what in str(caught.value)


def test_only_points_that_meet_the_conditions_count_against_the_limit() -> None:
    axes = {"seed": list(range(100)), "steps": list(range(1, 21))}
    assert len(points(axes, 20, where=["seed + 1 == steps"]).points) == 20
    with pytest.raises(LimitError, match="the conditions leave more points than allowed: --max-sweep-points 19"):
        points(axes, 19, where=["seed + 1 == steps"])
    with pytest.raises(LimitError, match="the sweep has 1000 points; allowed"):
        points(axes, 99, samples={"random": 1000})


SPREADS = {"seed": {"uniform": [0, 10**9]}, "stage_costs.forward": {"loguniform": ["1 us", "1 s"]}, "steps": [1, 2]}


@pytest.mark.parametrize("kind", ["random", "latin-hypercube"])
def test_samples_follow_from_the_seed(kind: str) -> None:
    found = points(SPREADS, samples={kind: 50})
    assert found == points(SPREADS, samples={kind: 50})
    assert found != points(SPREADS, samples={kind: 50}, seed=1)
    assert len(set(values(found, *SPREADS))) == 50
    assert list(found.axes["seed"]) == sorted(found.axes["seed"])


def test_random_samples_are_drawn_until_as_many_meet_the_conditions() -> None:
    found = points(SPREADS, samples={"random": 40}, where=["steps == 2", "stage_costs.forward < '1 ms'"])
    assert len(found.points) == 40
    assert {point["steps"] for point in found.points} == {2}


def test_no_sample_is_there_twice_where_there_are_but_few() -> None:
    assert sorted(values(points({"steps": [1, 2, 3]}, samples={"random": 5}), "steps")) == [(1,), (2,), (3,)]


def test_linked_axes_are_drawn_together() -> None:
    axes = {"seed": [1, 2, 3], "steps": [1, 2, 3], "name": {"uniform": [1, 100]}}
    found = points(axes, samples={"random": 20}, linked=[["seed", "steps"]])
    assert all(seed == steps for seed, steps in values(found, "seed", "steps"))


def test_a_latin_hypercube_has_one_sample_in_each_slice_of_each_axis() -> None:
    samples = latin_hypercube(np.random.default_rng(5), 37, 4)
    assert (np.sort(np.floor(37 * samples), axis=0) == np.arange(37)[:, None]).all()
    assert len({tuple(np.argsort(column)) for column in samples.T}) == 4  # no two axes go together


def test_the_file_says_all_of_it() -> None:
    sweep = {
        "axes": {"seed": {"uniform": [1, 1000]}, "steps": [1, 2]},
        "where": "seed % 2 == 0",
        "samples": {"latin-hypercube": 30},
    }
    rows = cs.sweep(scenario(sweep=sweep)).rows
    assert 5 < len(rows) < 30
    assert all(row.values["seed"] % 2 == 0 and row.status == "ok" for row in rows)
