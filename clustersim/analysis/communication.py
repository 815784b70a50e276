"""Communication: bytes, busy and exposed time by parallelism axis, and how busy each link was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.analysis.collisions import Losses, slowed_by_axis_ps
from clustersim.analysis.waits import Waits
from clustersim.ops import BUS_SHARES
from clustersim.trace import AXES, Floats, FlowTrace, Ints, Trace


@dataclass(frozen=True, slots=True)
class AxisTraffic:
    """Traffic of one axis, over all GPUs and the whole run."""

    size_bytes: int  # of messages; of collectives what their members have to send, as bus bandwidth counts it
    busy_ps: int  # durations of its transfers, from queued to done, and of each member's collectives, summed
    exposed_ps: int  # waits for them that no compute hid, summed
    slowed_ps: int  # of the busy time, what was lost by sharing links, against an idle fabric


@dataclass(frozen=True, slots=True)
class LinkLoad:
    """How one link was used over the run."""

    name: str
    utilization: float  # share of the makespan in which a message held it; of its bandwidth, if it was shared fairly
    size_bytes: int
    queued_ps: int  # time that messages waited for it, summed
    slowed_ps: int  # time that flows lost by sharing while it was their bottleneck, summed


def traffic_by_axis(trace: Trace, waits: Waits, losses: Losses) -> dict[str, AxisTraffic]:
    """Return the traffic of every axis, zeros where there was none."""
    transfers, collectives = trace.transfers, trace.collectives
    members = np.array([len(group) for group in trace.groups], dtype=np.int64)[collectives.group]
    sent_bytes = np.rint(bus_bytes(trace) * members).astype(np.int64)
    exposed_ps, slowed_ps = _exposed_by_axis_ps(trace, waits), slowed_by_axis_ps(trace, losses)
    num_sent = np.bincount(transfers.axis, minlength=len(AXES))
    senders, copies = trace.gpus_by_rank[transfers.source], trace.num_groups[collectives.group]
    traffic = {}
    for number, axis in enumerate(AXES):
        shared = collectives.axis == number
        # As a rule all messages are on one axis, and none on the others.
        sent = transfers.axis == number if 0 < num_sent[number] < len(transfers) else slice(num_sent[number])
        busy_ps = int(((transfers.end_ps[sent] - transfers.queued_ps[sent]) * senders[sent]).sum())
        # From its start: while one waits for those before it, those are what the group is busy with.
        lasted_ps = (collectives.end_ps - collectives.start_ps) * copies
        for size in np.unique(members[shared]).tolist():  # a product in Python: that of long runs is beyond an int64
            busy_ps += int(lasted_ps[shared & (members == size)].sum()) * size
        traffic[axis] = AxisTraffic(
            int((transfers.size_bytes[sent] * senders[sent]).sum() + (sent_bytes * copies)[shared].sum()),
            busy_ps,
            exposed_ps[number],
            int(slowed_ps[number]),
        )
    return traffic


def _exposed_by_axis_ps(trace: Trace, waits: Waits) -> list[int]:
    """Return how long GPUs waited for what was sent on each axis, summed. [ps]"""
    rows = np.flatnonzero(waits.exposed_ps)
    exposed_ps, collective = waits.exposed_ps[rows], waits.collective[rows]
    if trace.copies is not None:
        exposed_ps *= trace.gpus_by_rank[waits.rank_index[rows]]
    axis = np.append(trace.transfers.axis, -1)[waits.transfer[rows]]
    shared = np.flatnonzero(collective >= 0)
    axis[shared] = trace.collectives.axis[collective[shared]]
    sums_ps = np.zeros(len(AXES), dtype=np.int64)
    np.add.at(sums_ps, axis, exposed_ps)  # nothing is exposed that was not sent
    return sums_ps.tolist()


def bus_bytes(trace: Trace) -> Floats:
    """Return what each member of a collective has to send, whatever the algorithm. [bytes]

    References
    ----------
    NVIDIA, nccl-tests, doc/PERFORMANCE.md, "Bus bandwidth".
    """
    collectives = trace.collectives
    members = np.array([len(group) for group in trace.groups], dtype=np.int64)[collectives.group]
    num_shares = np.array([BUS_SHARES[operation] for operation in collectives.operation], dtype=np.float64)
    share = np.where(num_shares > 0, num_shares * (members - 1) / members, 1.0)
    return np.asarray(share * collectives.size_bytes * collectives.num_repeats, dtype=np.float64)


def axis_of_wait(trace: Trace, waits: Waits) -> Ints:
    """Return the axis of what each wait was for, as an index into AXES; -1 where it was for nothing that was sent."""
    axis = np.full(len(waits.transfer), -1, dtype=np.int64)
    sent, shared = waits.transfer >= 0, waits.collective >= 0
    axis[sent] = trace.transfers.axis[waits.transfer[sent]]
    axis[shared] = trace.collectives.axis[waits.collective[shared]]
    return axis


def busiest_links(trace: Trace | FlowTrace, limit: int | None = None) -> list[LinkLoad]:
    """Return links by descending use; equally busy ones in the order of the topology."""
    links = trace.links
    order = np.argsort(-links.busy_ps, kind="stable")[:limit]
    utilization = links.busy_ps / (trace.makespan_ps or 1)
    columns = (utilization, links.size_bytes, links.queued_ps, links.slowed_ps)
    return [LinkLoad(links.name[n], *row) for n, *row in zip(order, *(c[order].tolist() for c in columns), strict=True)]
