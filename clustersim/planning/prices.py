"""What a training step costs in money and energy."""

from __future__ import annotations

from typing import NamedTuple


class Spending(NamedTuple):
    """What one step of a job takes; None where nobody knows."""

    cost_usd: float | None
    energy_j: float | None


def spending_of(step_time_s: float, power_w: float | None) -> Spending:
    """Return what a step takes at the power that its GPUs may draw; prices of GPUs are not known.

    Parameters
    ----------
    step_time_s
        Time of the step. [s]
    power_w
        Power of the whole job. [W]

    Examples
    --------
    >>> spending_of(2.0, 1000.0)
    Spending(cost_usd=None, energy_j=2000.0)
    """
    return Spending(None, None if power_w is None else power_w * step_time_s)
