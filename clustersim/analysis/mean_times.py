"""Where the time of a step goes on average, in one row: what layouts of one job are set side by side by."""

from __future__ import annotations

from typing import NamedTuple

from clustersim.analysis.account import account_of
from clustersim.trace import PS_PER_S, Trace


class MeanTimes(NamedTuple):
    """Means per GPU and step. [s]"""

    step_time_s: float
    compute_s: float
    exposed_s: float
    bubble_s: float
    exposed_by_axis_s: dict[str, float]


def mean_times(trace: Trace) -> MeanTimes:
    """Return where the time of a run goes: compute, exposed communication, on each axis, and bubble."""
    account = account_of(trace)
    compute_ps, exposed_ps, bubble_ps = account.ranks.times.of_all_ps()
    return MeanTimes(
        trace.makespan_ps / (PS_PER_S * trace.num_steps),
        mean_s(trace, compute_ps),
        mean_s(trace, exposed_ps),
        mean_s(trace, bubble_ps),
        {axis: mean_s(trace, traffic.exposed_ps) for axis, traffic in account.traffic.items()},
    )


def mean_s(trace: Trace, total_ps: int) -> float:
    """Return a sum over all GPUs and steps as the mean per GPU and step. [s]"""
    return total_ps / (PS_PER_S * len(trace.ranks) * trace.num_steps)
