"""What comes of a calibration: constants before and after, and how far off times are with them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from clustersim.planning.constants import Constants
from clustersim.planning.validation import error_sizes
from clustersim.scenario.measured import Measured
from clustersim.scenario.units import PS_PER_S

CALIBRATION_SCHEMA = "clustersim/calibration/1"

Status = Literal["fitted", "undetermined", "unused"]
"""Of a constant: told by the times; left at its start, as they do not tell it; left, as none depends on it."""


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
