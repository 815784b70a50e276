"""Collisions: what flows lost by sharing links, and whose flows they shared them with.

A flow at half the rate that it would have alone loses half of that time; of a collective, each member loses it. Whoever
else was on the link that held it back has its part in the loss, in proportion to the bytes that it carried over it
meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np

from clustersim.sorting import order_by
from clustersim.sums import lost_at_links, total, totals
from clustersim.trace import AXES, PS_PER_S, Floats, Ints, Trace

_PARTS = 2**30


@dataclass(frozen=True, slots=True)
class Collision:
    """What flows of one axis lost to flows of another, or of the same, and where most of it."""

    axis: str
    by: str
    lost_ps: int  # summed over messages, and over the members of collectives
    link: str
    lost_there_ps: int


@dataclass(frozen=True, slots=True)
class Losses:
    """The stretches of time in which a flow was slower than alone, one row each."""

    rate: Ints  # row of Rates
    axis: Ints  # of the flow
    link: Ints  # row of Links that held it back
    lost_ps: Ints


def collisions(trace: Trace, losses: Losses) -> list[Collision]:
    """Return who lost time to whom, the largest loss first, given the losses of the sample of a trace."""
    trace = trace.sample
    if not len(losses.rate):
        return []
    links = trace.links if trace.copies is None else trace.copies.links
    lost_to = _lost_to_axes(trace, losses)
    found = []
    for axis, name in enumerate(AXES):
        for by, other in enumerate(AXES):
            mine = np.flatnonzero((losses.axis == axis) & (lost_to[:, by] != 0))
            if len(mine):
                by_link = _at_links(trace, losses.rate[mine], lost_to[mine, by])
                worst = int(by_link.argmax())
                found.append(Collision(name, other, total(by_link), links.name[worst], int(by_link[worst])))
    return sorted(found, key=lambda collision: -collision.lost_ps)


def slowed_by_axis_ps(trace: Trace, losses: Losses) -> list[int]:
    """Return what the flows of each axis lost. [ps]"""
    return totals(losses.axis, losses.lost_ps, len(AXES), _num_flows(trace)[trace.rates.flow[losses.rate]])


def _at_links(trace: Trace, rate: Ints, lost_ps: Ints) -> Ints:
    """Return what flows lost while each rate held, all that they stand for included, by the link that set it. [ps]"""
    if trace.copies is not None:
        return trace.copies.at_links(trace.rates.flow[rate], trace.rates.bottleneck[rate], lost_ps)
    return lost_at_links(trace.rates.bottleneck[rate], lost_ps, len(trace.links))


def _num_flows(trace: Trace) -> Ints:
    """Return how many flows each one stands for."""
    of_phases = trace.num_groups[trace.collectives.group[trace.phases.collective]]
    return np.concatenate([trace.gpus_by_rank[trace.transfers.source], of_phases])


def alone_bytes_per_s(trace: Trace) -> Floats:
    """Return the rate at which each flow would drain with nothing in its way."""
    of_link = trace.links.bytes_per_s.tolist()
    alone = [
        min([of_link[link] / count for link, count in zip(way.links, way.streams, strict=True)], default=np.inf)
        for way in trace.ways
    ]
    return np.array(alone, dtype=np.float64).take(trace.flows.way)


def losses_of(trace: Trace) -> Losses:
    """Return where flows were slower than alone."""
    rates = trace.rates
    if not len(rates):
        nothing = np.empty(0, dtype=np.int64)
        return Losses(nothing, nothing, nothing, nothing)
    lost_ps = (trace.rates_until_ps - rates.start_ps) * (1 - rates.bytes_per_s / alone_bytes_per_s(trace)[rates.flow])
    rows = np.flatnonzero(lost_ps >= 1)
    flow = rates.flow[rows]
    # Whole numbers, so that their sums depend on no order.
    of_one_ps = np.rint(lost_ps[rows]).astype(np.int64)
    return Losses(rows, trace.axis_of_flow[flow], rates.bottleneck[rows], of_one_ps * _num_losers(trace)[flow])


def _num_losers(trace: Trace) -> Ints:
    """Return how many GPUs are held up by each flow, as busy time counts them: one, or all members of a group."""
    members = np.array([len(group) for group in trace.groups], dtype=np.int64)
    of_phases = members[trace.collectives.group[trace.phases.collective]]
    return np.concatenate([np.ones(len(trace.transfers), dtype=np.int64), of_phases])


def _lost_to_axes(trace: Trace, losses: Losses) -> Ints:
    """Return what each row of `losses` lost to the flows of each axis. [ps]"""
    crossers = _Crossers(trace, losses.link)
    by = np.zeros((len(losses.rate), len(AXES)))
    order = np.argsort(losses.link, kind="stable")
    first = np.flatnonzero(np.append(True, np.diff(losses.link[order]) != 0)[: len(order)])
    for mine in np.split(order, first[1:]) if len(order) else ():
        by[mine] = crossers.carried_by_others(int(losses.link[mine[0]]), losses.rate[mine])
    of_all = by.sum(axis=1, keepdims=True)
    # Who shares with nobody that was noted shared with its own axis.
    nobody = np.flatnonzero(of_all[:, 0] <= 0)
    by[nobody, losses.axis[nobody]] = of_all[nobody, 0] = 1
    # Shares such as a half are what they are whatever the order in which bytes were added up.
    shares = np.rint(by / of_all * _PARTS) / _PARTS
    return np.asarray(np.rint(shares * losses.lost_ps[:, np.newaxis]), dtype=np.int64)


class _Crossers:
    """Which rates held on which of some links; found once, as a run has many of them."""

    def __init__(self, trace: Trace, links: Ints) -> None:
        ways, rates = trace.ways, trace.rates
        self.start_ps, self.until_ps, self.bytes_per_s = rates.start_ps, trace.rates_until_ps, rates.bytes_per_s
        self.axis = trace.axis_of_flow
        self.flow, self.way = rates.flow, trace.flows.way
        self.streams = [dict(zip(way.links, way.streams, strict=True)) for way in ways]
        self.all_streams = self.streams if trace.copies is None else trace.copies.streams
        self.ways_of_link: dict[int, list[int]] = {link: [] for link in np.unique(links).tolist()}
        for number, streams in enumerate(self.streams):
            for link in streams:
                if link in self.ways_of_link:
                    self.ways_of_link[link].append(number)
        is_crossing = np.zeros(len(ways), dtype=np.bool_)
        is_crossing[list(chain.from_iterable(self.ways_of_link.values()))] = True
        crossing = np.flatnonzero(is_crossing[self.way].take(rates.flow))
        way = self.way.take(rates.flow.take(crossing))
        order = order_by(way)
        self.by_way = crossing.take(order)
        self.first_of_way = np.searchsorted(way.take(order), np.arange(len(ways) + 1))

    def carried_by_others(self, link: int, rows: Ints) -> Floats:
        """Return the bytes that flows of each axis, the row's own left out, carried over a link while each rate held.

        `rows` are rates of flows over that link.
        """
        ways = self.ways_of_link[link]
        parts = [self.by_way[self.first_of_way[way] : self.first_of_way[way + 1]] for way in ways]
        streams = np.repeat([self.all_streams[way][link] for way in ways], [len(part) for part in parts])
        on_link = np.concatenate(parts)
        bytes_per_s = self.bytes_per_s[on_link] * streams
        carried = np.zeros((len(rows), len(AXES)))
        since_ps, until_ps = self.start_ps[rows], self.until_ps[rows]
        axis = self.axis[self.flow[on_link]]
        for number in np.unique(axis).tolist():
            mine = on_link[axis == number]
            rate = bytes_per_s[axis == number]
            carried[:, number] = _carried(self.start_ps[mine], self.until_ps[mine], rate, since_ps, until_ps)
        flow = self.flow[rows]
        own_streams = np.array([self.streams[way][link] for way in self.way[flow].tolist()])
        own = (until_ps - since_ps) / PS_PER_S * self.bytes_per_s[rows] * own_streams
        carried[np.arange(len(rows)), self.axis[flow]] -= own
        return np.maximum(carried, 0)


def _carried(start_ps: Ints, end_ps: Ints, bytes_per_s: Floats, since_ps: Ints, until_ps: Ints) -> Floats:
    """Return what streams of given rates carried together between each two times. [bytes]"""
    time_ps = np.concatenate([start_ps, end_ps])
    order = np.argsort(time_ps, kind="stable")
    time_ps = time_ps[order]
    rate = np.cumsum(np.concatenate([bytes_per_s, -bytes_per_s])[order])
    carried = np.concatenate([[0.0], np.cumsum(rate[:-1] * np.diff(time_ps) / PS_PER_S)])
    sums: Floats = np.interp(until_ps, time_ps, carried) - np.interp(since_ps, time_ps, carried)
    return sums
