"""The points of a sweep: which values they have, in an order that the scenario and its seed decide alone.

So whoever resumes a sweep, or runs a part of it, has the same list.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clustersim.errors import Fault, LimitError, ScenarioError
from clustersim.planning.identity import canonical_json
from clustersim.planning.point_values import PointValues
from clustersim.scenario.condition import Condition, ConditionError
from clustersim.scenario.spec import Scenario
from clustersim.scenario.spread import Spread, draw_of
from clustersim.scenario.sweep import Sweep, conditions_of
from clustersim.scenario.text import Text

Values = dict[str, Any]
"""The value of each axis at one point."""

_LOOKED_AT = 1000  # candidates for each point allowed, before a sweep whose conditions hardly ever hold is given up


@dataclass(frozen=True, slots=True)
class Points:
    """The points of a sweep, and the values that its axes have in all."""

    axes: Mapping[str, tuple[Any, ...]]
    points: tuple[Values, ...]


def points_of(scenario: Scenario, sweep: Sweep, max_points: int) -> Points:
    """Return the points of a sweep over a scenario: all combinations, the last axis varying fastest, or samples.

    Raises
    ------
    ScenarioError
        No combination meets the conditions, or one of them makes no sense for a point.
    LimitError
        There are more than `max_points`.
    """
    _check_number(sweep, max_points)
    wanted = None if sweep.samples is None else sum(sweep.samples.values())
    number = _num_combinations(sweep)
    is_every = wanted is None or (number is not None and number <= wanted)  # samples that are all there are
    candidates = _combinations(sweep) if is_every else _samples(sweep, scenario.seed)
    kept = _kept(candidates, _filter(scenario, sweep), wanted, max_points)
    if not kept:
        what = "no combination of the axes' values meets all conditions"
        raise ScenarioError(Fault("sweep.where", what, hint="loosen one of: " + "; ".join(sweep.where)))
    return Points({axis: _seen(sweep, axis, kept) for axis in sweep.axes}, tuple(kept))


def _check_number(sweep: Sweep, max_points: int) -> None:
    """Refuse a sweep that has too many points, before any of them is made."""
    if sweep.samples is not None:
        sizes = list(sweep.samples.values())
    else:
        sizes = [len(_listed(sweep, group[0])) for group in sweep.groups()]
    number = math.prod(sizes)
    allowed = max_points * (_LOOKED_AT if sweep.where else 1)
    if number > allowed:
        written = " * ".join(map(str, sizes))
        counted = f"{written} = {number}" if len(sizes) > 1 else written
        raise LimitError(f"the sweep has {counted} points; allowed: --max-sweep-points {max_points}")


def _num_combinations(sweep: Sweep) -> int | None:
    """Return how many combinations the axes have; None where values of one are drawn."""
    if any(isinstance(sweep.values_of(axis), Spread) for axis in sweep.axes):
        return None
    return math.prod(len(_listed(sweep, group[0])) for group in sweep.groups())


def _listed(sweep: Sweep, axis: str) -> tuple[Any, ...]:
    """Return the values of an axis, which is no distribution where there are no samples."""
    values = sweep.values_of(axis)
    return values.values() if isinstance(values, Spread) else values


def _combinations(sweep: Sweep) -> Iterator[Values]:
    choices = [[*zip(*(_listed(sweep, axis) for axis in group), strict=True)] for group in sweep.groups()]
    axes = [axis for group in sweep.groups() for axis in group]
    for combination in itertools.product(*choices):
        values = dict(zip(axes, itertools.chain.from_iterable(combination), strict=True))
        yield {axis: values[axis] for axis in sweep.axes}


def _samples(sweep: Sweep, seed: int) -> Iterator[Values]:
    """Yield samples: independent ones without an end, or those of one Latin hypercube."""
    ((kind, number),) = (sweep.samples or {}).items()
    groups = sweep.groups()
    rng = np.random.default_rng(seed)
    if kind == "random":
        shares: Iterator[Sequence[float]] = (rng.random(len(groups)).tolist() for _ in range(_LOOKED_AT * number))
    else:
        shares = iter(latin_hypercube(rng, number, len(groups)).tolist())
    draws = {axis: draw_of(sweep.values_of(axis)) for axis in sweep.axes}
    group_of = {axis: index for index, group in enumerate(groups) for axis in group}
    for drawn in shares:
        yield {axis: draw(drawn[group_of[axis]]) for axis, draw in draws.items()}


def latin_hypercube(
    rng: np.random.Generator, number: int, num_axes: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return so many samples of the unit cube (``[sample][axis]``), one in each of as many slices of every axis.

    References
    ----------
    McKay, Beckman and Conover, "A Comparison of Three Methods for Selecting Values of Input Variables in the Analysis
    of Output from a Computer Code", Technometrics 21(2), 1979.

    Examples
    --------
    >>> samples = latin_hypercube(np.random.default_rng(0), 4, 2)
    >>> np.sort(np.floor(4 * samples), axis=0).T.tolist()
    [[0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0]]
    """
    slices = np.argsort(rng.random((number, num_axes)), axis=0, kind="stable")
    return (slices + rng.random((number, num_axes))) / number


def _filter(scenario: Scenario, sweep: Sweep) -> Callable[[Values], bool]:
    """Return whether a point meets all conditions."""
    conditions = conditions_of(sweep)
    if not conditions:
        return lambda _values: True
    looked_up = PointValues(scenario, tuple(sweep.axes))
    return lambda values: all(_holds(condition, looked_up, values) for condition in conditions)


def _holds(condition: Condition, looked_up: PointValues, values: Values) -> bool:
    try:
        return condition.holds(lambda key: looked_up.value(key, values))
    except ConditionError as error:
        raise Text("sweep.where", condition.text).error(error.offset, error.what) from None


def _kept(
    candidates: Iterator[Values], meets: Callable[[Values], bool], wanted: int | None, max_points: int
) -> list[Values]:
    """Return the candidates that meet the conditions, each once; of samples as many as are wanted, if there are."""
    kept: dict[str, Values] = {}
    for values in candidates:
        if meets(values):
            kept.setdefault(canonical_json(values), values)
        if len(kept) == wanted:
            break
        if len(kept) > max_points:
            raise LimitError(f"the conditions leave more points than allowed: --max-sweep-points {max_points}")
    return list(kept.values())


def _seen(sweep: Sweep, axis: str, points: Sequence[Values]) -> tuple[Any, ...]:
    """Return the values of an axis: as they are listed; those that were drawn, from the smallest to the largest."""
    values = sweep.values_of(axis)
    if not isinstance(values, Spread):
        return values
    drawn = dict.fromkeys(values[axis] for values in points)
    return tuple(sorted(drawn, key=lambda value: float(str(value).partition(" ")[0])))
