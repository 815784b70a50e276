"""A robust fit of a few positive constants to many times, and what the times do not tell of them.

Errors are logarithms of ours over theirs, so that twice and half are as far off. They follow a distribution with heavy
tails (pseudo-Huber: a few strange rows bend nothing), whose scale is taken from the errors themselves, and for few of
them from what is usual. Each constant has a prior, a log-normal around its start, so that times which say little of it
leave it where it was. The most probable constants are found by Gauss-Newton steps, each the bounded solution of the
linearised problem by iteratively reweighted least squares.

A constant counts as determined when the times narrow its variance to half of the prior's or less. The others are put
back to their starts, one after the other, and the fit is made again without them.

References
----------
P. J. Huber, E. M. Ronchetti, "Robust Statistics", 2nd ed., 2009, chapter 7 (regression, scale, reweighting).
C. G. Broyden, "A class of methods for solving nonlinear simultaneous equations", Math. Comp. 19, 1965.
W. N. Venables, B. D. Ripley, "Modern Applied Statistics with S", 4th ed., 2002, section 6.5 (median absolute error).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

_MAX_STEPS = 15
_LONGEST_STEP = 0.6  # of a logarithm; beyond it slopes say little
_SMALLEST_STEP = 2e-3
_MAX_SHORTENED = 3
_FRESH = 0.15  # as far from where they were taken, slopes still hold
_NORMAL_MAD = 1.4826  # a normal distribution's standard deviation over its median absolute error
_SMALLEST_SCALE = 0.005  # two runs of one job differ by as much
_USUAL_SCALE, _USUAL_ROWS = 0.05, 2  # how far off a model is that was fitted, and how many rows that is worth
_HUBER = 1.345  # scales beyond which an error counts linearly: 95% efficient where errors are normal
_DETERMINED = 0.5  # of the prior's variance


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known of a constant before anything was measured."""

    start: float
    spread: float  # standard deviation of its logarithm
    lowest: float
    highest: float


class Model(Protocol):
    """Something whose times depend on constants."""

    def errors(self, values: Sequence[float]) -> Vector:
        """Return the logarithm of ours over theirs, by row."""

    def slopes(self, values: Sequence[float], which: Sequence[int]) -> Vector:
        """Return ``slopes[row, index]``: changes of the errors by those of the logarithms of some constants."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The most probable constants."""

    values: tuple[float, ...]
    spreads: tuple[float | None, ...]  # standard deviation of each logarithm; None: left at its start
    is_used: tuple[bool, ...]  # whether any time depends on it
    scale: float  # of the errors, a standard deviation where they are normal


def fit(model: Model, priors: Sequence[Prior], weights: Sequence[float], begin: Sequence[float] | None = None) -> Fit:
    """Return the most probable constants, those that the times do not determine at their starts.

    Parameters
    ----------
    model
        What is fitted.
    priors
        Of each constant.
    weights
        How much each row counts.
    begin
        Where the search begins; None: at the starts of the priors.
    """
    search = _Search(model, priors, np.array(weights, dtype=float))
    free = [index for index, prior in enumerate(priors) if prior.lowest < prior.highest]
    logs = search.starts if begin is None else np.clip(np.log(begin), search.lowest, search.highest)
    used, spreads, scale = [False] * len(priors), np.zeros(0), _SMALLEST_SCALE
    while free:
        logs, slopes, errors, scale = search.descend(logs, free)
        for index, column in zip(free, slopes.T, strict=True):
            used[index] |= bool(np.any(np.abs(column) > 0))
        determined, spreads = search.determined(slopes, errors, scale, free)
        if determined == free:
            break
        logs = np.where(np.isin(np.arange(len(priors)), determined), logs, search.starts)
        free = determined
    by_index = dict(zip(free, spreads.tolist(), strict=True))
    values = [prior.start for prior in priors]
    for index in free:
        values[index] = float(np.exp(logs[index]))
    return Fit(tuple(values), tuple(by_index.get(index) for index in range(len(priors))), tuple(used), scale)


class _Search:
    """One problem, in logarithms.

    Slopes cost as many runs as there are constants: they are taken at the start, brought up to date with what each step
    shows (Broyden's rank-one update), and taken anew where the search ends far from there or does not get on.
    """

    def __init__(self, model: Model, priors: Sequence[Prior], weights: Vector) -> None:
        self.model, self.weights = model, weights / weights.mean()
        self.lowest, self.highest = (np.log([getattr(p, name) for p in priors]) for name in ("lowest", "highest"))
        self.starts = np.clip(np.log([p.start for p in priors]), self.lowest, self.highest)
        self.precisions = np.array([p.spread**-2.0 for p in priors])
        self._slopes = np.zeros((len(weights), len(priors)))
        self._taken_at = np.full(len(priors), np.inf)  # nowhere yet

    def descend(self, logs: Vector, free: Sequence[int]) -> tuple[Vector, Vector, Vector, float]:
        """Return the best logarithms with only some free, and slopes, errors and their scale there."""
        errors = self.model.errors(np.exp(logs).tolist())
        if not np.isfinite(self._taken_at).all():
            self._take_slopes(logs, free)
        scale = _USUAL_SCALE  # errors before the first step tell more of the start than of the scale
        for _ in range(_MAX_STEPS):
            found = self._better(logs, errors, scale, free)
            if found is not None:
                step, tried = found
                self._slopes += np.outer(tried - errors - self._slopes @ step, step) / (step @ step)
                logs, errors = logs + step, tried
                scale = self.scale(errors, self._slopes[:, free], free)
            elif np.abs(logs - self._taken_at).max() > _FRESH:
                self._take_slopes(logs, free)
            else:
                break
        slopes = self._slopes[:, free]
        return logs, slopes, errors, self.scale(errors, slopes, free)

    def _take_slopes(self, logs: Vector, free: Sequence[int]) -> None:
        self._slopes[:, free] = self.model.slopes(np.exp(logs).tolist(), free)
        self._taken_at = logs

    def _better(self, logs: Vector, errors: Vector, scale: float, free: Sequence[int]) -> tuple[Vector, Vector] | None:
        """Return a step to a more probable place, and the errors there; None if there is none that is worth it."""
        step = self.step(logs, errors, self._slopes[:, free], scale, free)
        known = self.cost(logs, errors, scale)
        for _ in range(_MAX_SHORTENED):
            if np.abs(step).max() < _SMALLEST_STEP:
                return None
            tried = self.model.errors(np.exp(logs + step).tolist())
            if self.cost(logs + step, tried, scale) < known:
                return step, tried
            step = step / 4
        return None

    def step(self, logs: Vector, errors: Vector, slopes: Vector, scale: float, free: Sequence[int]) -> Vector:
        """Return the step to the bounded solution of the linearised problem."""
        step, precisions = np.zeros(len(free)), self.precisions[free]
        low = np.maximum(self.lowest[free] - logs[free], -_LONGEST_STEP)
        high = np.minimum(self.highest[free] - logs[free], _LONGEST_STEP)
        for _ in range(20):
            weighted = slopes * self.row_weights(errors + slopes @ step, scale)[:, None]
            matrix = slopes.T @ weighted / scale**2 + np.diag(precisions)
            pull = -(weighted.T @ errors) / scale**2 - precisions * (logs - self.starts)[free]
            step = _bounded(matrix, pull, low, high)
        whole = np.zeros(len(logs))
        whole[list(free)] = step
        return whole

    def row_weights(self, errors: Vector, scale: float) -> Vector:
        """Return how much each row counts at these errors."""
        counting: Vector = self.weights / np.sqrt(1 + (errors / (_HUBER * scale)) ** 2)
        return counting

    def cost(self, logs: Vector, errors: Vector, scale: float) -> float:
        """Return the negative logarithm of the probability, up to a constant."""
        threshold = _HUBER * scale
        rows = threshold**2 * (np.sqrt(1 + (errors / threshold) ** 2) - 1) / scale**2
        return float(self.weights @ rows + self.precisions @ (logs - self.starts) ** 2 / 2)

    def scale(self, errors: Vector, slopes: Vector, free: Sequence[int]) -> float:
        """Return the scale of the errors: their median size, larger for what was fitted to them, and the usual one."""
        scale = max(_SMALLEST_SCALE, _NORMAL_MAD * _weighted_median(np.abs(errors), self.weights))
        data = slopes.T @ (slopes * self.row_weights(errors, scale)[:, None]) / scale**2
        num_fitted = float(np.trace(np.linalg.solve(data + np.diag(self.precisions[free]), data)))
        squares = len(errors) * scale**2 + _USUAL_ROWS * _USUAL_SCALE**2
        return float(np.sqrt(squares / (len(errors) - num_fitted + _USUAL_ROWS)))

    def determined(self, slopes: Vector, errors: Vector, scale: float, free: Sequence[int]) -> tuple[list[int], Vector]:
        """Return which of the free constants the times determine, and their spreads; the least known go first."""
        data = slopes.T @ (slopes * self.row_weights(errors, scale)[:, None]) / scale**2
        kept = list(range(len(free)))
        while kept:
            prior = self.precisions[[free[index] for index in kept]]
            variances = np.linalg.inv(data[np.ix_(kept, kept)] + np.diag(prior)).diagonal()
            worst = int(np.argmax(variances * prior))
            if variances[worst] * prior[worst] <= _DETERMINED:
                return [free[index] for index in kept], np.sqrt(variances)
            del kept[worst]
        return [], np.zeros(0)


def _bounded(matrix: Vector, pull: Vector, low: Vector, high: Vector) -> Vector:
    """Return the solution of ``matrix @ step = pull`` with what would leave its bounds held there.

    Examples
    --------
    >>> _bounded(np.eye(2), np.array([3.0, 0.5]), np.array([-1.0, -1.0]), np.array([1.0, 1.0])).tolist()
    [1.0, 0.5]
    """
    step, inside = np.zeros(len(pull)), np.ones(len(pull), dtype=bool)
    while inside.any():
        rest = pull[inside] - matrix[np.ix_(inside, ~inside)] @ step[~inside]
        step[inside] = np.linalg.solve(matrix[np.ix_(inside, inside)], rest)
        outside = inside & ((step < low) | (step > high))
        if not outside.any():
            break
        step[outside] = np.clip(step[outside], low[outside], high[outside])
        inside &= ~outside
    return step


def _weighted_median(values: Vector, weights: Vector) -> float:
    """Return the value below which half of the weight lies.

    Examples
    --------
    >>> _weighted_median(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 1.0]))
    2.0
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])
