"""What the critical path is spent on, added up, and what it promises if a resource were better.

Along one path the times of a resource scale together: made `factor` times as good, T of the path's time becomes
T / factor. Other paths stay or get shorter too, so that the run ends no sooner than this path: the promise is a bound,
and exact as long as the path stays critical. Where flows share links a change moves who shares with whom, and the
promise is a first-order estimate.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from clustersim.analysis.critical_path import Cause, CriticalPath
from clustersim.analysis.waits import PHASES, Waits
from clustersim.trace import AXES, Ints, Trace

COMPUTE, SCALE_UP, NETWORK, LATENCY = RESOURCES = ("compute", "scale-up", "network", "latency")
"""What can be better: all compute; bandwidth inside scale-up domains; that of all other links; all latencies."""


@dataclass(frozen=True, slots=True)
class Blame:
    """A part of the critical path: what it is spent on, for which axis, and where."""

    cause: Cause
    axis: str | None
    resource: str | None
    time_ps: int


def blame(trace: Trace, waits: Waits, path: CriticalPath) -> list[Blame]:
    """Return what the path is spent on, the largest part first; the parts add up to the makespan.

    Compute is told by phase, what links take by axis and by the role of the link, latency by axis.
    """
    axis = _axis(trace, path)
    detail = np.full(len(path), -1, dtype=np.int64)
    computes, crosses = path.cause == Cause.COMPUTE, path.link >= 0
    detail[computes] = waits.phase[path.op[computes]]
    roles = list(dict.fromkeys(trace.links.role))
    role_of_link = np.array([roles.index(role) for role in trace.links.role], dtype=np.int64)
    detail[crosses] = role_of_link[path.link[crosses]]
    shape = (len(Cause), len(AXES) + 1, max(len(PHASES), len(roles)) + 1)
    number = np.ravel_multi_index((path.cause, axis + 1, detail + 1), shape)
    time_ps = np.zeros(shape, dtype=np.int64)
    np.add.at(time_ps.reshape(-1), number, path.duration_ps)
    found = []
    for cause, on_axis, which in np.argwhere(time_ps) - (0, 1, 1):
        part_ps = int(time_ps[cause, on_axis + 1, which + 1])
        names = PHASES if cause == Cause.COMPUTE else roles
        found.append(
            Blame(
                Cause(cause),
                AXES[on_axis] if on_axis >= 0 else None,
                names[which] if which >= 0 else None,
                part_ps,
            )
        )
    return sorted(found, key=lambda part: -part.time_ps)


def resource_times_ps(trace: Trace, path: CriticalPath) -> dict[str, int]:
    """Return for how long of the path each of RESOURCES is responsible. [ps]"""
    is_scale_up = np.array([role == SCALE_UP for role in trace.links.role], dtype=np.bool_)
    crosses = path.link >= 0
    inside = np.zeros(len(path), dtype=np.bool_)
    inside[crosses] = is_scale_up[path.link[crosses]]
    masks = {
        COMPUTE: path.cause == Cause.COMPUTE,
        SCALE_UP: crosses & inside,
        NETWORK: crosses & ~inside,
        LATENCY: path.cause == Cause.LATENCY,
    }
    return {resource: int(path.duration_ps[mask].sum()) for resource, mask in masks.items()}


def promised_ps(makespan_ps: int, resource_ps: int, factor: Fraction) -> Fraction:
    """Return how long a path takes if `resource_ps` of it becomes `factor` times as fast, unrounded. [ps]

    Examples
    --------
    >>> promised_ps(100, 44, Fraction("1.1"))
    Fraction(96, 1)
    """
    return makespan_ps - resource_ps * (1 - 1 / factor)


def _axis(trace: Trace, path: CriticalPath) -> Ints:
    axis = np.full(len(path), -1, dtype=np.int64)
    sent, shared = path.transfer >= 0, path.collective >= 0
    axis[sent] = trace.transfers.axis[path.transfer[sent]]
    axis[shared] = trace.collectives.axis[path.collective[shared]]
    return axis
