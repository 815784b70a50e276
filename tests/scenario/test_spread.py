"""Spreads: lists in short and draws, with units and without."""

from __future__ import annotations

from typing import Any

import pytest

from clustersim.scenario.spread import Spread, draw_of, is_spread, spread_of


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ({"range": {"start": 8, "stop": 24, "step": 8}}, (8, 16, 24)),
        ({"range": {"start": 8, "stop": 23, "step": 8}}, (8, 16)),
        ({"range": {"start": 0.0, "stop": 0.3, "step": 0.1}}, (0.0, 0.1, 0.2, 0.3)),
        ({"range": {"start": 1, "stop": 64, "factor": 4}}, (1, 4, 16, 64)),
        ({"range": {"start": "500 us", "stop": "1.5 ms", "step": "0.5 ms"}}, ("500 us", "1000 us", "1500 us")),
        ({"range": {"start": "1 MiB", "stop": "4 MiB", "factor": 2}}, ("1 MiB", "2 MiB", "4 MiB")),
        ({"linspace": {"start": 1, "stop": 10, "num": 4}}, (1, 4, 7, 10)),
        ({"linspace": {"start": 1, "stop": 2, "num": 5}}, (1, 2)),
        ({"linspace": {"start": 1.0, "stop": 2, "num": 3}}, (1.0, 1.5, 2.0)),
        ({"linspace": {"start": "100 Gbps", "stop": "50 GB/s", "num": 3}}, ("100 Gbps", "250 Gbps", "400 Gbps")),
        ({"geomspace": {"start": 1, "stop": 1000, "num": 4}}, (1, 10, 100, 1000)),
        ({"geomspace": {"start": "1 MiB", "stop": "1 GiB", "num": 3}}, ("1 MiB", "32 MiB", "1024 MiB")),
        ({"linspace": {"start": 3, "stop": 5, "num": 1}}, (3,)),
    ],
)
def test_lists_in_short_have_both_ends(written: dict[str, Any], values: tuple[Any, ...]) -> None:
    found = spread_of(written).values()
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ({}, "an axis is a list of values, or one of range"),
        ({"rnge": {}}, "did you mean 'range'?"),
        ({"range": {"start": 1, "stop": 2}}, "range is written range: {start: 8"),
        ({"range": {"start": 1, "stop": 2, "step": 0}}, "step is above zero"),
        ({"range": {"start": 1, "stop": 2, "step": 0.5}}, "whole between whole numbers"),
        ({"range": {"start": 1, "stop": 2, "factor": 1}}, "factor is a number above one"),
        ({"range": {"start": 1, "stop": 10**9, "step": 1}}, "at most 100000 values"),
        ({"range": {"start": 9, "stop": 1, "step": 1}}, "starts above its end"),
        ({"linspace": {"start": 1, "stop": "2 ms", "num": 2}}, "one end is a plain number and the other a time"),
        ({"linspace": {"start": "1 MiB", "stop": "2 ms", "num": 2}}, "one end is a size and the other a time"),
        ({"linspace": {"start": "1f1b", "stop": "gpipe", "num": 2}}, "an end is a number"),
        ({"linspace": {"start": 1, "stop": 2, "num": 2.0}}, "num is a whole number"),
        ({"geomspace": {"start": 0, "stop": 2, "num": 2}}, "must start above zero"),
        ({"uniform": [1]}, "uniform takes its two ends"),
        ({"loguniform": [0, 1]}, "must start above zero"),
        ({"uniform": [float("nan"), 1]}, "an end is a number"),
    ],
)
def test_mistakes_say_how_it_is_written(written: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what.replace("{", r"\{").replace("?", r"\?")):
        spread_of(written)


@pytest.mark.parametrize("kind", ["uniform", "loguniform"])
def test_whole_numbers_are_drawn_between_the_ends_only(kind: str) -> None:
    spread = spread_of({kind: [3, 8]})
    drawn = [spread.drawn(share / 1000) for share in range(1000)]
    assert drawn == sorted(drawn, key=float)
    assert set(drawn) == {3, 4, 5, 6, 7, 8}
    if kind == "uniform":
        assert all(166 <= drawn.count(value) <= 167 for value in set(drawn))


def test_lists_are_drawn_from_evenly() -> None:
    draw = draw_of(("a", "b", "c", "d"))
    assert [draw(share / 8) for share in range(8)] == ["a", "a", "b", "b", "c", "c", "d", "d"]


def test_a_schedule_with_parameters_is_no_spread() -> None:
    assert not is_spread({"name": "zb-h1"})
    assert is_spread({"uniform": [1, 2]})
    assert isinstance(spread_of({"uniform": [1, 2]}), Spread)
