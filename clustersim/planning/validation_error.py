"""How far off step times are for jobs of a kind, from the packaged measurements, and the interval that this makes.

The figures are written by ``tests/planning/write_errors.py`` and held against a run of all measurements by the tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from clustersim.planning.validation import GROUPS, Deviation, error_sizes
from clustersim.scenario.gallery import gallery_path
from clustersim.scenario.spec import Scenario

INTERVAL = 0.9
"""Share of the errors that an interval holds: the twentieth at each end is left out."""
_WIDE_FORMATS = ("bf16", "fp16", "fp32")
_NUM_DIGITS = 4


@dataclass(frozen=True, slots=True)
class ClassError:
    """Errors of step times, ours over the measured less one, over the published configurations of one kind."""

    group: str  # dense (16 bits), fp8, or moe
    num_rows: int
    median: float  # of their absolute values, as the ninth decile
    ninth_decile: float
    low: float  # with their sign: a twentieth is below
    high: float  # and a twentieth above

    def interval_s(self, step_time_s: float) -> tuple[float, float]:
        """Return between which times a step is that we say takes `step_time_s`. [s]

        Examples
        --------
        >>> ClassError("dense", 20, 0.1, 0.2, -0.2, 0.25).interval_s(1.0)
        (0.8, 1.25)
        """
        return step_time_s / (1 + self.high), step_time_s / (1 + self.low)


def class_errors(found: Iterable[Deviation]) -> list[ClassError]:
    """Return the errors of each kind that has any."""
    rows = list(found)
    result = []
    for group in GROUPS:
        errors = [row.step_time_error for row in rows if row.measurement.group == group]
        known = [error for error in errors if error is not None]
        if known:
            sizes = error_sizes(known)
            low, high = np.quantile(known, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2]).tolist()
            shown = (round(value, _NUM_DIGITS) for value in (sizes.median, sizes.ninth_decile, low, high))
            result.append(ClassError(group, len(known), *shown))
    return result


@lru_cache(maxsize=1)
def packaged_errors() -> dict[str, ClassError]:
    """Return the errors over the packaged measurements, by kind."""
    text = (gallery_path("measurements") / "errors.json").read_text(encoding="utf-8")
    return {row["group"]: ClassError(**row) for row in json.loads(text)}


def class_error_of(scenario: Scenario) -> ClassError | None:
    """Return how far off step times of jobs like this one were; None where costs were given without a model."""
    if scenario.model is None:
        return None
    wide = scenario.training.precision in _WIDE_FORMATS
    return packaged_errors()["moe" if scenario.model.moe else "dense" if wide else "fp8"]


def error_text(error: ClassError | None) -> str:
    """Return in words how far off step times of a kind were.

    Examples
    --------
    >>> error_text(ClassError("dense", 170, 0.045, 0.13, -0.1, 0.12))
    'step times of 170 published dense configurations were met to 4.5 % (median) and 13 % (nine of ten)'
    """
    if error is None:
        return "the costs of stages are as given: no measurement says how far off they are"
    return (
        f"step times of {error.num_rows} published {error.group} configurations were met to "
        f"{100 * error.median:.2g} % (median) and {100 * error.ninth_decile:.2g} % (nine of ten)"
    )
