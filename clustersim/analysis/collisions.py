"""Collisions: what flows lost by sharing links, and whose flows they shared them with.

A flow at half the rate that it would have alone loses half of that time. Whoever else was on the link that held it back
has its part in the loss, in proportion to the bytes that it carried over it meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.trace import AXES, Floats, Ints, Trace

_PS_PER_S = 10**12


@dataclass(frozen=True, slots=True)
class Collision:
    """What flows of one axis lost to flows of another, or of the same, and where most of it."""

    axis: str
    by: str
    lost_ps: float  # summed over flows
    link: str
    lost_there_ps: float


@dataclass(frozen=True, slots=True)
class _Losses:
    """The stretches of time in which a flow was slower than alone, one row each."""

    axis: Ints  # of the flow
    by: Floats  # lost to the flows of each axis; by[row][axis]. [ps]
    link: Ints  # row of Links that held it back


def collisions(trace: Trace) -> list[Collision]:
    """Return who lost time to whom, the largest loss first."""
    losses = _losses(trace)
    found = []
    for axis, name in enumerate(AXES):
        for by, other in enumerate(AXES):
            lost_ps = losses.by[:, by] * (losses.axis == axis)
            by_link = np.bincount(losses.link, lost_ps, minlength=len(trace.links))
            if by_link.sum() >= 1:
                worst = int(by_link.argmax())
                found.append(
                    Collision(name, other, float(by_link.sum()), trace.links.name[worst], float(by_link[worst]))
                )
    return sorted(found, key=lambda collision: -collision.lost_ps)


def slowed_by_axis_ps(trace: Trace) -> Ints:
    """Return what the flows of each axis lost. [ps]"""
    losses = _losses(trace)
    return np.rint(np.bincount(losses.axis, losses.by.sum(axis=1), minlength=len(AXES))).astype(np.int64)


def axis_of_flow(trace: Trace) -> Ints:
    """Return the axis of each flow, as an index into AXES."""
    return np.concatenate([trace.transfers.axis, trace.collectives.axis[trace.phases.collective]])


def alone_bytes_per_s(trace: Trace) -> Floats:
    """Return the rate at which each flow would drain with nothing in its way."""
    links = trace.links.bytes_per_s
    alone = [(links[list(way.links)] / np.array(way.streams)).min(initial=np.inf) for way in trace.ways]
    return np.array(alone, dtype=np.float64)[trace.flows.way]


def _losses(trace: Trace) -> _Losses:
    rates, flows = trace.rates, trace.flows
    until_ps = rates.until_ps(flows.end_ps)
    lost_ps = (until_ps - rates.start_ps) * (1 - rates.bytes_per_s / alone_bytes_per_s(trace)[rates.flow])
    rows = np.flatnonzero(lost_ps >= 1)
    axis = axis_of_flow(trace)[rates.flow[rows]]
    by = np.zeros((len(rows), len(AXES)))
    link = rates.bottleneck[rows]
    for number in np.unique(link):
        mine = np.flatnonzero(link == number)
        by[mine] = _carried_by_others(trace, int(number), rows[mine], until_ps)
    total = by.sum(axis=1, keepdims=True)
    # Who shares with nobody that was noted shared with its own axis.
    nobody = np.flatnonzero(total[:, 0] <= 0)
    by[nobody, axis[nobody]] = total[nobody, 0] = 1
    return _Losses(axis, by / total * lost_ps[rows, np.newaxis], link)


def _carried_by_others(trace: Trace, link: int, rows: Ints, until_ps: Ints) -> Floats:
    """Return the bytes that flows of each axis, the row's own left out, carried over a link while each rate held."""
    rates, way = trace.rates, trace.flows.way
    streams_of_way = np.array([dict(zip(*crossed, strict=True)).get(link, 0) for crossed in trace.ways])
    streams = streams_of_way[way[rates.flow]]
    on_link = np.flatnonzero(streams)
    bytes_per_s = rates.bytes_per_s[on_link] * streams[on_link]
    axis = axis_of_flow(trace)[rates.flow[on_link]]
    carried = np.zeros((len(rows), len(AXES)))
    for number in range(len(AXES)):
        mine = axis == number
        if mine.any():
            carried[:, number] = _carried(
                rates.start_ps[on_link][mine],
                until_ps[on_link][mine],
                bytes_per_s[mine],
                rates.start_ps[rows],
                until_ps[rows],
            )
    own = (until_ps[rows] - rates.start_ps[rows]) / _PS_PER_S * rates.bytes_per_s[rows] * streams[rows]
    own_axis = axis_of_flow(trace)[rates.flow[rows]]
    carried[np.arange(len(rows)), own_axis] -= own
    return np.maximum(carried, 0)


def _carried(start_ps: Ints, end_ps: Ints, bytes_per_s: Floats, since_ps: Ints, until_ps: Ints) -> Floats:
    """Return what streams of given rates carried together between each two times. [bytes]"""
    time_ps = np.concatenate([start_ps, end_ps])
    order = np.argsort(time_ps, kind="stable")
    time_ps = time_ps[order]
    rate = np.cumsum(np.concatenate([bytes_per_s, -bytes_per_s])[order])
    total = np.concatenate([[0.0], np.cumsum(rate[:-1] * np.diff(time_ps) / _PS_PER_S)])
    sums: Floats = np.interp(until_ps, time_ps, total) - np.interp(since_ps, time_ps, total)
    return sums
