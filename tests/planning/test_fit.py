"""The fit: known constants are found again, strange rows bend little, and what rows don't tell is left and named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from clustersim.planning.fit import Prior, Vector, fit

TRUE = np.array([0.6, 0.5, 0.8])
PRIORS = [Prior(0.7, 0.3, 0.02, 1.0)] * 3


@dataclass(frozen=True)
class Shares:
    """Times that are sums of work over shares: ``work[row, constant]``."""

    work: Vector
    measured: Vector

    def errors(self, values: Sequence[float]) -> Vector:
        return np.log(self.work @ (1 / np.array(values)) / self.measured)

    def slopes(self, values: Sequence[float], which: Sequence[int]) -> Vector:
        parts = self.work / np.array(values)
        slopes: Vector = -(parts / parts.sum(axis=1, keepdims=True))[:, list(which)]
        return slopes


def shares(num_rows: int = 40, noise: float = 0.0, seed: int = 1) -> Shares:
    random = np.random.default_rng(seed)
    work = random.uniform(0, 1, (num_rows, 3))
    return Shares(work, work @ (1 / TRUE) * np.exp(noise * random.standard_normal(num_rows)))


def test_constants_are_found_again() -> None:
    found = fit(shares(), PRIORS, [1.0] * 40)
    assert found.values == pytest.approx(TRUE, rel=0.005)
    assert all(found.is_used)


@pytest.mark.parametrize("noise", [0.02, 0.08])
def test_intervals_hold_the_truth_about_as_often_as_they_say(noise: float) -> None:
    inside = []
    for seed in range(40):
        found = fit(shares(noise=noise, seed=seed), PRIORS, [1.0] * 40)
        for value, spread, true in zip(found.values, found.spreads, TRUE, strict=True):
            assert spread is not None
            inside.append(abs(np.log(value / true)) < 1.96 * spread)
    assert 0.9 < np.mean(inside) <= 1.0


def test_strange_rows_bend_little() -> None:
    rows = shares(noise=0.01)
    rows.measured[:5] *= 3.0
    found = fit(rows, PRIORS, [1.0] * 40)
    assert found.values == pytest.approx(TRUE, rel=0.06)
    squares = np.linalg.lstsq(rows.work, rows.measured, rcond=None)[0]
    assert np.abs(1 / squares / TRUE - 1).max() > 0.15  # least squares are far off


def test_what_no_time_depends_on_stays_where_it_was() -> None:
    rows = shares()
    rows.work[:, 1] = 0.0
    found = fit(Shares(rows.work, rows.work @ (1 / TRUE)), PRIORS, [1.0] * 40)
    assert found.is_used == (True, False, True)
    assert (found.values[1], found.spreads[1]) == (0.7, None)
    assert found.values[0] == pytest.approx(0.6, rel=0.01)


def test_of_constants_that_rows_can_not_tell_apart_one_is_left() -> None:
    alike = np.repeat([[1.0, 1.0, 0.1]], 20, axis=0)
    found = fit(Shares(alike, alike @ (1 / TRUE)), PRIORS, [1.0] * 20)
    assert found.is_used == (True, True, True)
    assert sum(spread is None for spread in found.spreads) == 2
    assert found.values[2] == 0.7


def test_bounds_hold() -> None:
    rows = shares()
    faster = Shares(rows.work, rows.work.sum(axis=1) * 0.8)  # no shares up to 1 are as fast
    assert fit(faster, PRIORS, [1.0] * 40).values == pytest.approx([1.0] * 3)
    fixed = [Prior(0.7, 0.3, 0.7, 0.7), *PRIORS[1:]]
    assert fit(rows, fixed, [1.0] * 40).values[0] == 0.7


def test_rows_count_as_their_weights_say() -> None:
    work = np.ones((4, 1))
    measured = np.array([1 / 0.5, 1 / 0.9, 1 / 0.9, 1 / 0.9])
    (light,) = fit(Shares(work, measured), PRIORS[:1], [1.0] * 4).values
    (heavy,) = fit(Shares(work, measured), PRIORS[:1], [30.0, 1.0, 1.0, 1.0]).values
    assert light == pytest.approx(0.9, rel=0.06)
    assert heavy == pytest.approx(0.5, rel=0.06)
