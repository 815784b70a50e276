"""Calibration: a device's constants fitted to measured times, a part of which is held out to tell how good they are."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from clustersim.errors import Fault, InputError
from clustersim.planning.constants import IN_TRAINING, PARAMETERS, Constants, usual_share
from clustersim.planning.fit import Fit, fit
from clustersim.planning.timed import Run, Runs, Timed
from clustersim.planning.validation import error_sizes
from clustersim.scenario.devices import Device
from clustersim.scenario.measured import Measured
from clustersim.scenario.units import PS_PER_S

CALIBRATION_SCHEMA = "clustersim/calibration/1"
_FEWEST_TO_PART = 4  # configurations
_NORMAL_95 = 1.96  # standard deviations on either side that hold 95% of a normal distribution

Status = Literal["fitted", "undetermined", "unused"]
"""Of a constant: told by the times; left at its start, as they do not tell it; left, as none depends on it."""


@dataclass(frozen=True, slots=True)
class HoldOut:
    """What is held out: a share of the configurations, drawn at random, or one source after the other."""

    share: float = 0.25
    by_source: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class FittedConstant:
    """A constant, before and after."""

    name: str
    unit: str
    start: float
    value: float
    low: float | None  # of an interval that holds 95% of what is probable; None: not fitted
    high: float | None
    status: Status


@dataclass(frozen=True, slots=True)
class FittedRow:
    """A measured time, and ours under three sets of constants."""

    measured: Measured
    start_ps: int
    fitted_ps: int
    held_out_ps: int | None  # under constants that were fitted without it; None: it was not held out
    is_fitted_to: bool

    def error(self, time_ps: int) -> float:
        """Return one of our times over the measured one, less one."""
        return time_ps / self.measured.time_ps - 1


@dataclass(frozen=True, slots=True)
class Calibration:
    """Fitted constants, and how far off they are."""

    constants: Constants
    fitted: tuple[FittedConstant, ...]
    rows: tuple[FittedRow, ...]

    def errors(self) -> dict[str, Any]:
        """Return how large errors are: before and after on the rows that were fitted to, and on those held out."""
        fitted = [row for row in self.rows if row.is_fitted_to]
        held_out = [(row, row.held_out_ps) for row in self.rows if row.held_out_ps is not None]
        return {
            "fitted": {
                "num_rows": len(fitted),
                "before": asdict(error_sizes([row.error(row.start_ps) for row in fitted])),
                "after": asdict(error_sizes([row.error(row.fitted_ps) for row in fitted])),
            },
            "held_out": {
                "num_rows": len(held_out),
                "before": asdict(error_sizes([row.error(row.start_ps) for row, _ in held_out])),
                "after": asdict(error_sizes([row.error(time_ps) for row, time_ps in held_out])),
            }
            if held_out
            else None,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``calibrate --json``, but for the files."""
        return {
            "schema": CALIBRATION_SCHEMA,
            "device": self.constants.device.name,
            "constants": [asdict(constant) for constant in self.fitted],
            "errors": self.errors(),
            "rows": [
                {
                    "name": row.measured.label,
                    "source": row.measured.source,
                    "held_out": row.held_out_ps is not None,
                    "measured_s": row.measured.time_ps / PS_PER_S,
                    "start_s": row.start_ps / PS_PER_S,
                    "fitted_s": row.fitted_ps / PS_PER_S,
                    "error_before": row.error(row.start_ps),
                    "error": row.error(row.fitted_ps),
                    "held_out_error": None if row.held_out_ps is None else row.error(row.held_out_ps),
                }
                for row in self.rows
            ],
        }


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
    weights = _weights(rows, is_balanced)
    parts = _parts(rows, hold_out) if hold_out else []
    everything = tuple(range(len(rows)))
    fitted_to = everything if hold_out is None or hold_out.by_source or not parts else _without(everything, parts[0])
    say(f"fitting {len(names)} constants to {len(fitted_to)} rows")
    found = _fit(runs, fitted_to, weights)
    constants = _constants(runs, found)
    held_out_ps: dict[int, int] = {}
    for number, part in enumerate(parts):
        other = constants
        if hold_out and hold_out.by_source:
            say(f"fitting without source {number + 1} of {len(parts)}")
            other = _constants(runs, _fit(runs, _without(everything, part), weights))
        held_out_ps |= dict(zip(part, runs.times_ps(part, [other])[:, 0].tolist(), strict=True))
    times_ps = runs.times_ps(everything, [start, constants])
    return Calibration(
        constants,
        tuple(_fitted_constants(runs, found)),
        tuple(
            FittedRow(row, int(before), int(after), held_out_ps.get(index), index in fitted_to)
            for index, (row, (before, after)) in enumerate(zip(rows, times_ps, strict=True))
        ),
    )


def _names(rows: Sequence[Measured], device: Device) -> tuple[str, ...]:
    """Return all parameters, but a rate in fp8 that the device does not tell and no row asks for."""
    tells_fp8 = device.kernels is not None and device.kernels.gemm_fp8 is not None
    has_fp8 = tells_fp8 or any(row.scenario.training.precision == "fp8" for row in rows)
    return tuple(name for name in PARAMETERS if name != "gemm_fp8" or has_fp8)


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


def _fit(runs: Runs, indices: Sequence[int], weights: Sequence[float]) -> Fit:
    priors = [PARAMETERS[name].prior(runs.start.value(name)) for name in runs.names]
    return fit(Timed(runs, tuple(indices)), priors, [weights[index] for index in indices])


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
