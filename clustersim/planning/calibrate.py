"""Calibration: a device's constants fitted to measured times, a part of which is held out to tell how good they are."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.errors import Fault, InputError
from clustersim.planning.calibration import Calibration, FittedConstant, FittedRow, Status
from clustersim.planning.constants import IN_TRAINING, PARAMETERS, Constants, usual_share
from clustersim.planning.fit import Fit, Vector, fit
from clustersim.planning.timed import Run, Runs, Timed
from clustersim.scenario.devices import Device
from clustersim.scenario.measured import Measured
from clustersim.scenario.precision import NARROW

_FEWEST_TO_PART = 4  # configurations
_MAX_ROUNDS = 2
_SAME = 0.005  # of the logarithm of a factor: less than times are known to
_NORMAL_95 = 1.96  # standard deviations on either side that hold 95% of a normal distribution


@dataclass(frozen=True, slots=True)
class HoldOut:
    """What is held out: a share of the configurations, drawn at random, or one source after the other."""

    share: float = 0.25
    by_source: bool = False
    seed: int = 0


def calibrate(
    rows: Sequence[Measured],
    device: Device,
    run: Run,
    names: Sequence[str] = (),
    hold_out: HoldOut | None = None,
    is_balanced: bool = False,
    say: Callable[[str], None] = lambda _text: None,
) -> Calibration:
    """Return the constants of a device, fitted to measured times.

    Parameters
    ----------
    rows
        Times that were measured on this device.
    device
        Where the fit starts: a device whose kernels are known.
    run
        Runs configurations; see :func:`clustersim.planning.timed.runner`.
    names
        Which of `PARAMETERS` are fitted; none: all that the times can tell anything of.
    hold_out
        What is held out; None: nothing.
    is_balanced
        Whether every source counts the same, however many rows it has.
    say
        Told what goes on.

    Raises
    ------
    InputError
        Rows that can't be run; all of them.

    Notes
    -----
    With a share held out, the constants are those fitted to the rest. Source by source, each row is told by a fit to
    all other sources, and the constants are those fitted to all.
    """
    names = tuple(names) or _names(rows, device)
    start = Constants(device, usual_share(rows) if IN_TRAINING in names else None)
    runs = Runs(rows, names, start, run)
    say(f"running {len(rows)} rows")
    refused = [Fault(rows[index].label, reason) for index, reason in runs.runnable().items()]
    if refused:
        raise InputError(refused)
    weights, everything = _weights(rows, is_balanced), tuple(range(len(rows)))
    parts = _parts(rows, hold_out) if hold_out else []
    by_source = hold_out is not None and hold_out.by_source
    fitted_to = _without(everything, parts[0]) if parts and not by_source else everything
    say(f"fitting {len(names)} constants to {len(fitted_to)} rows")
    found, sharing = _fit(runs, fitted_to, weights)
    constants = _constants(runs, found)
    held_out_ps: dict[int, int] = {}
    for number, part in enumerate(parts):
        others = constants
        if by_source:
            say(f"fitting without source {number + 1} of {len(parts)}")
            others = _constants(runs, _fit_once(runs, _without(everything, part), weights, sharing))
        held_out_ps |= dict(zip(part, runs.times_ps(part, [others])[:, 0].tolist(), strict=True))
    times_ps = runs.times_ps(everything, [start, constants])
    fitted_rows = (
        FittedRow(row, int(before), int(after), held_out_ps.get(index), index in fitted_to)
        for index, (row, (before, after)) in enumerate(zip(rows, times_ps, strict=True))
    )
    return Calibration(constants, tuple(_fitted_constants(runs, found)), tuple(fitted_rows))


def _names(rows: Sequence[Measured], device: Device) -> tuple[str, ...]:
    """Return all parameters, but rates in fp8 and fp4 that the device does not tell and no row asks for."""
    asked = {f"gemm_{NARROW.get(row.scenario.training.precision)}" for row in rows}
    return tuple(
        name
        for name in PARAMETERS
        if name not in ("gemm_fp8", "gemm_fp4") or name in asked or getattr(device.kernels, name, None) is not None
    )


def _weights(rows: Sequence[Measured], is_balanced: bool) -> list[float]:
    counts = Counter(row.source for row in rows)
    return [1 / counts[row.source] if is_balanced else 1.0 for row in rows]


def _without(indices: Sequence[int], part: Sequence[int]) -> tuple[int, ...]:
    return tuple(index for index in indices if index not in set(part))


def _parts(rows: Sequence[Measured], hold_out: HoldOut) -> list[list[int]]:
    """Return the rows of each part that is held out; the times of one configuration stay together."""
    if hold_out.by_source:
        sources = list(dict.fromkeys(row.source for row in rows))
        if len(sources) < 2:
            hint = "give rows a column `source`, or hold out a share"
            raise InputError(Fault("--hold-out-by", f"all rows have one source, {sources[0]!r}", hint=hint))
        return [[index for index, row in enumerate(rows) if row.source == source] for source in sources]
    configurations = list(dict.fromkeys(row.name for row in rows))
    if len(configurations) < _FEWEST_TO_PART or not hold_out.share:
        return []
    number = min(max(1, round(hold_out.share * len(configurations))), len(configurations) - 1)
    drawn = set(random.Random(hold_out.seed).sample(configurations, number))
    return [[index for index, row in enumerate(rows) if row.name in drawn]]


def _fit(runs: Runs, indices: Sequence[int], weights: Sequence[float]) -> tuple[Fit, Vector]:
    """Return the fit to some rows, and what sharing NICs adds to all rows under its constants."""
    sharing = runs.sharing(runs.start)
    found = _fit_once(runs, indices, weights, sharing)
    for _ in range(_MAX_ROUNDS):
        before, sharing = sharing, runs.sharing(_constants(runs, found))
        if np.abs(sharing - before).max() < _SAME:
            break
        found = _fit_once(runs, indices, weights, sharing, found.values)
    return found, sharing


def _fit_once(
    runs: Runs,
    indices: Sequence[int],
    weights: Sequence[float],
    sharing: Vector,
    begin: Sequence[float] | None = None,
) -> Fit:
    priors = [PARAMETERS[name].prior(runs.start.value(name)) for name in runs.names]
    return fit(Timed(runs, tuple(indices), sharing), priors, [weights[index] for index in indices], begin)


def _constants(runs: Runs, found: Fit) -> Constants:
    return runs.start.with_values(dict(zip(runs.names, found.values, strict=True)))


def _fitted_constants(runs: Runs, found: Fit) -> list[FittedConstant]:
    after = _constants(runs, found)
    result = []
    for name, spread, is_used in zip(runs.names, found.spreads, found.is_used, strict=True):
        known, start, value = PARAMETERS[name], runs.start.value(name), after.value(name)
        low = high = None
        if spread is not None:
            factor = math.exp(_NORMAL_95 * spread)
            low, high = float(np.clip(value / factor, known.lowest, None)), float(min(value * factor, known.highest))
        status: Status = "undetermined" if is_used else "unused"
        status = status if spread is None else "fitted"
        result.append(FittedConstant(name, known.unit, start, value, low, high, status))
    return result
