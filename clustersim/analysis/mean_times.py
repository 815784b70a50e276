"""Where the time of a step goes on average, in one row: what layouts of one job are set side by side by."""

from __future__ import annotations

from typing import NamedTuple

from clustersim.analysis.account import account_of
from clustersim.trace import Trace

_PS_PER_S = 10**12


class MeanTimes(NamedTuple):
    """Means per GPU and step. [s]"""

    step_time_s: float
    compute_s: float
    exposed_s: float
    bubble_s: float
    exposed_by_axis_s: dict[str, float]


def mean_times(trace: Trace) -> MeanTimes:
    """Return where the time of a run goes: compute, exposed communication, on each axis, and bubble."""
    account, num_ranks = account_of(trace), len(trace.ranks)

    def mean_s(total_ps: int) -> float:
        return total_ps / (_PS_PER_S * num_ranks * trace.num_steps)

    times = account.times
    return MeanTimes(
        trace.makespan_ps / (_PS_PER_S * trace.num_steps),
        mean_s(int(times.compute_ps.sum())),
        mean_s(int(times.exposed_ps.sum())),
        mean_s(int(times.bubble_ps.sum())),
        {axis: mean_s(traffic.exposed_ps) for axis, traffic in account.traffic.items()},
    )
