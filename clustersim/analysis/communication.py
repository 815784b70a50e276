"""Communication: bytes, busy and exposed time by parallelism axis, and how busy each link was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.analysis.waits import Waits
from clustersim.trace import AXES, FlowTrace, Trace


@dataclass(frozen=True, slots=True)
class AxisTraffic:
    """Traffic of one axis, over all GPUs and the whole run."""

    size_bytes: int
    busy_ps: int  # durations of its transfers, from queued to arrived, summed
    exposed_ps: int  # waits for them that no compute hid, summed


@dataclass(frozen=True, slots=True)
class LinkLoad:
    """How one link was used over the run."""

    name: str
    utilization: float  # share of the makespan in which a message held it; of its bandwidth, if it was shared fairly
    size_bytes: int
    queued_ps: int  # time that messages waited for it, summed
    slowed_ps: int  # time that flows lost by sharing while it was their bottleneck, summed


def traffic_by_axis(trace: Trace, waits: Waits) -> dict[str, AxisTraffic]:
    """Return the traffic of every axis, zeros where there was none."""
    transfers = trace.transfers
    waited = waits.transfer >= 0
    axis_of_wait = np.full(len(waits.transfer), -1, dtype=np.int64)
    axis_of_wait[waited] = transfers.axis[waits.transfer[waited]]
    traffic = {}
    for number, axis in enumerate(AXES):
        mine = transfers.axis == number
        traffic[axis] = AxisTraffic(
            int(transfers.size_bytes[mine].sum()),
            int((transfers.end_ps - transfers.queued_ps)[mine].sum()),
            int(waits.exposed_ps[axis_of_wait == number].sum()),
        )
    return traffic


def busiest_links(trace: Trace | FlowTrace, limit: int | None = None) -> list[LinkLoad]:
    """Return links by descending use; equally busy ones in the order of the topology."""
    links = trace.links
    order = np.argsort(-links.busy_ps, kind="stable")[:limit]
    utilization = links.busy_ps / (trace.makespan_ps or 1)
    columns = (utilization, links.size_bytes, links.queued_ps, links.slowed_ps)
    return [LinkLoad(links.name[n], *row) for n, *row in zip(order, *(c[order].tolist() for c in columns), strict=True)]
