"""Limits of a plan, and by how much an option misses them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from clustersim.economics import Rates
from clustersim.scenario.plan import PlanLimits
from clustersim.scenario.units import DAY_S, PS_PER_S

if TYPE_CHECKING:
    from clustersim.planning.plan_option import Option

_GIB = 2**30
_J_PER_MWH = 3.6e9


@dataclass(frozen=True, slots=True)
class Violation:
    """A limit that an option does not keep to, or of which nobody can say whether it does."""

    limit: str  # its name
    excess: float  # the value over the limit, less one; infinite if the value is not known
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Return the violation as ``plan --json`` has it, whose excess is null if the value is not known."""
        return {"limit": self.limit, "excess": None if self.excess == inf else self.excess, "text": self.text}


def violations_of(option: Option, limits: PlanLimits, rates: Rates) -> Iterator[Violation]:
    """Yield the limits that an option misses.

    Parameters
    ----------
    option
        A layout, and what it takes; limits of the whole training count its number of steps.
    limits
        What a plan has to keep to.
    rates
        What its GPUs cost and draw: where that is not known, a budget or an energy is no limit that is kept.
    """
    step_time_s = None if limits.step_time is None else limits.step_time / PS_PER_S
    no_price = rates.power_basis if rates.gpus_usd_per_h is not None else rates.price_basis
    for name, limit, value, unit, scale, unknown in (
        ("memory", option.capacity_bytes, option.peak_bytes, " GiB", _GIB, ""),
        ("gpus", limits.gpus, option.gpus, "", 1, ""),
        ("step_time", step_time_s, option.step_time_s, " s a step", 1, ""),
        ("deadline", limits.deadline, option.of_training(option.step_time_s), " days", DAY_S, ""),
        ("budget", limits.budget, option.of_training(option.cost_usd), " USD", 1, no_price),
        ("energy", limits.energy, option.of_training(option.energy_j), " MWh", _J_PER_MWH, rates.power_basis),
    ):
        if limit is None:
            continue
        allowed = f"{name} {_number(float(limit) / scale)}{unit}"
        if value is None:
            yield Violation(name, inf, f"{allowed}: not known, as {unknown}")
        elif value > limit:
            excess = float(value) / float(limit) - 1 if limit else inf
            more = "" if excess == inf else f", {_number(100 * excess)} % more"
            yield Violation(name, excess, f"{allowed}: the nearest takes {_number(value / scale)}{unit}{more}")


def _number(value: float) -> str:
    """Return a number of four digits, as people write it.

    Examples
    --------
    >>> _number(10_000.0), _number(1_234_567.0), _number(0.000125), _number(76.0)
    ('10,000', '1,235,000', '0.000125', '76')
    """
    return f"{float(f'{value:.4g}'):,.15g}"
