"""One variant of a scenario, simulated; what keeps it from running is an answer, not an exception."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from clustersim.errors import ClustersimError, InputError, InvariantError
from clustersim.limits import Limits
from clustersim.ops import Plugin
from clustersim.result import Result
from clustersim.scenario.load import vary
from clustersim.scenario.spec import Scenario
from clustersim.simulation import simulate

Status = Literal["ok", "unfit", "refused", "failed"]
"""It ran and fits in memory (or nobody knows); it ran and does not fit; it can't be run; something went wrong, a defect
or the end of its process (in sweeps only)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a variant; there is no result of a refused one."""

    status: Status
    reason: str
    result: Result | None


def run_variant(
    scenario: Scenario,
    changes: Mapping[str, Any],
    limits: Limits | None = None,
    plugins: Mapping[str, Plugin] | None = None,
) -> Outcome:
    """Return the outcome of `scenario` with values replaced under their dotted keys."""
    try:
        result = simulate(vary(scenario, changes) if changes else scenario, limits=limits, plugins=plugins)
    except InvariantError:
        raise
    except ClustersimError as error:
        return Outcome("refused", reason_of(error), None)
    if result.memory.fits is False:
        return Outcome("unfit", "does not fit in memory", result)
    return Outcome("ok", "", result)


def reason_of(error: ClustersimError) -> str:
    """Return what an error says, on one line."""
    if isinstance(error, InputError):
        faults = dict.fromkeys(f"{fault.where}: {fault.what}" if fault.where else fault.what for fault in error.faults)
        return "; ".join(faults)
    return str(error).partition("\n")[0]
