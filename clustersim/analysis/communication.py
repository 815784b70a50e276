"""Communication: bytes, busy and exposed time by parallelism axis, and how busy each link was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.analysis.collisions import Losses, slowed_by_axis_ps
from clustersim.analysis.waits import Waits
from clustersim.ops import BUS_SHARES
from clustersim.sums import total, totals
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


def traffic_by_axis(trace: Trace, exposed_ps: Sequence[int], losses: Losses) -> dict[str, AxisTraffic]:
    """Return the traffic of every axis, zeros where there was none, given for how long each was waited for."""
    slowed_ps = slowed_by_axis_ps(trace, losses)
    sent, shared = _sent_by_axis(trace), _shared_by_axis(trace)
    return {
        axis: AxisTraffic(
            sent[number][0] + shared[number][0],
            sent[number][1] + shared[number][1],
            exposed_ps[number],
            slowed_ps[number],
        )
        for number, axis in enumerate(AXES)
    }


def _sent_by_axis(trace: Trace) -> list[tuple[int, int]]:
    """Return what the messages on each axis come to: bytes, and the time that they took. [bytes, ps]"""
    transfers = trace.transfers
    num_sent = np.bincount(transfers.axis, minlength=len(AXES)).tolist()
    found = []
    for number, count in enumerate(num_sent):
        if not count:
            found.append((0, 0))
            continue
        # As a rule all messages are on one axis, and none on the others.
        rows = np.flatnonzero(transfers.axis == number) if count < len(transfers) else slice(None)
        senders = None if trace.copies is None else trace.gpus_by_rank[transfers.source[rows]]
        took_ps = transfers.end_ps[rows] - transfers.queued_ps[rows]
        found.append((total(transfers.size_bytes[rows], senders), total(took_ps, senders)))
    return found


def _shared_by_axis(trace: Trace) -> list[tuple[int, int]]:
    """Return what the collectives on each axis come to: bytes, and the time that they took all members. [bytes, ps]"""
    collectives, num_groups = trace.collectives, len(trace.groups)
    found = [(0, 0)] * len(AXES)
    if not len(collectives):
        return found
    members = np.array([len(group) for group in trace.groups], dtype=np.int64)
    place = collectives.axis * num_groups + collectives.group
    num_places, of_members = len(AXES) * num_groups, np.rint(bus_bytes(trace) * members[collectives.group])
    size_bytes = totals(place, of_members.astype(np.int64), num_places)
    # From its start: while one waits for those before it, those are what the group is busy with.
    lasted_ps = totals(place, collectives.end_ps - collectives.start_ps, num_places)
    copies = trace.num_groups
    for filled in np.flatnonzero(np.bincount(place)).tolist():
        axis, group = divmod(filled, num_groups)
        size, time_ps, num_copies = size_bytes[filled], lasted_ps[filled], int(copies[group])
        found[axis] = found[axis][0] + size * num_copies, found[axis][1] + time_ps * num_copies * int(members[group])
    return found


def exposed_by_axis_ps(trace: Trace, waits: Waits) -> list[int]:
    """Return how long GPUs waited for what was sent on each axis, summed. [ps]"""
    rows = np.flatnonzero(waits.exposed_ps != 0)
    exposed_ps, collective, transfer = (
        column.take(rows) for column in (waits.exposed_ps, waits.collective, waits.transfer)
    )
    gpus = None if trace.copies is None else trace.gpus_by_rank[waits.rank_index[rows]]
    sent, shared = np.flatnonzero(transfer >= 0), np.flatnonzero(collective >= 0)
    axis = np.empty(len(rows), dtype=np.int64)  # nothing is exposed that was not sent
    # Indexed: `take` would first copy a column that has one number throughout, as large as all messages, each time.
    axis[sent] = trace.transfers.axis[transfer.take(sent)]
    axis[shared] = trace.collectives.axis[collective.take(shared)]
    return totals(axis, exposed_ps, len(AXES), gpus)


def bus_bytes(trace: Trace) -> Floats:
    """Return what each member of a collective has to send, whatever the algorithm. [bytes]

    References
    ----------
    NVIDIA, nccl-tests, doc/PERFORMANCE.md, "Bus bandwidth".
    """
    collectives = trace.collectives
    members = np.array([len(group) for group in trace.groups], dtype=np.int64)[collectives.group]
    operation = collectives.operation
    num_shares = np.array([BUS_SHARES[word] for word in operation.words], dtype=np.float64).take(operation.number)
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
