"""Which flows meet others: those that are on a link together with more than it has room for, each as fast as alone.

As long as what flows could take alone fits on every link, each has what it could take: it fills some link by itself, so
that nobody else is there, and such rates are the max-min fair ones. So flows that meet nobody need no solver.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import lcm
from typing import NamedTuple

import numpy as np

from clustersim.engine.group_vectors import GroupVector
from clustersim.engine.network import Network
from clustersim.engine.way_vectors import WayVector
from clustersim.topology.cluster import Cluster
from clustersim.trace import Flags, Ints


class Crossings(NamedTuple):
    """Flows on links: a row for each flow and link."""

    flow: Ints
    link: Ints
    begin_ps: Ints
    end_ps: Ints
    rate: Ints  # of all its streams there, were it alone; in units that make capacities and rates whole
    is_late: Flags  # whether the link that holds it, were it alone, does not stand before this one

    def of(self, rows: Ints) -> Crossings:
        """Return some rows."""
        flow, link, begin_ps = self.flow[rows], self.link[rows], self.begin_ps[rows]
        return Crossings(flow, link, begin_ps, self.end_ps[rows], self.rate[rows], self.is_late[rows])


_LARGEST = 2**46  # so that those of 100,000 flows on one link still add up within 64 bits


class Capacities:
    """Rates and capacities as whole numbers, in the largest unit in which all of them are."""

    def __init__(self, cluster: Cluster, links: Iterable[int], rates: Iterable[Fraction]) -> None:
        self._numbers = np.array(sorted(links), dtype=np.int64)
        bandwidths = [cluster.link(number).bandwidth_bytes_per_s or Fraction(0) for number in self._numbers.tolist()]
        known = {id(rate): rate for rate in (*bandwidths, *rates)}
        scale = lcm(*{rate.denominator for rate in known.values()})
        self._known = known  # whose objects are told apart: to convert a fraction takes long
        self._whole = {key: int(rate * scale) for key, rate in known.items()}
        self.fits_64_bits = max(self._whole.values(), default=0) < _LARGEST
        capacities = [self._whole[id(rate)] for rate in bandwidths]
        self._of_link: dict[int, int] = dict(zip(self._numbers.tolist(), capacities, strict=True))
        self._capacity = np.array(capacities if self.fits_64_bits else [], dtype=np.int64)

    def rate(self, rate: Fraction) -> int:
        """Return one of the rates that were given, as the same object, in the unit."""
        return self._whole[id(rate)]

    def of_link(self, number: int) -> int:
        """Return the capacity of a link in the unit."""
        return self._of_link[number]

    def of(self, links: Ints) -> Ints:
        """Return the capacity of links in the unit."""
        capacities: Ints = self._capacity[np.searchsorted(self._numbers, links)]
        return capacities


def meeting_flows(crossings: Crossings, capacities: Capacities) -> Ints:
    """Return the flows that meet others, in rising order.

    A link that flows just fill is of no account if what holds them stands before it; else it may hold them itself.
    """
    links, crossings = _crowded(crossings)
    if not len(links):
        return links
    order, is_begin, row, link = _in_order(crossings)
    change = np.where(is_begin, crossings.rate[row], -crossings.rate[row])
    late = np.where(is_begin, 1, -1) * crossings.is_late[row]
    here = np.where(is_begin, 1, -1)
    rate, num_late, num_flows = (np.cumsum(column) for column in (change, late, here))  # 0 at the end of each link
    room = capacities.of(link)
    is_overfull = (num_flows > 1) & ((rate > room) | ((rate == room) & (num_late > 0)))
    num_overfull = np.append(0, np.cumsum(is_overfull))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    begin, end = place[: len(crossings.flow)], place[len(crossings.flow) :]
    meets = num_overfull[end] > num_overfull[begin]  # since it began, up to just before it ends
    return np.unique(crossings.flow[meets])


def _in_order(crossings: Crossings) -> tuple[Ints, Flags, Ints, Ints]:
    """Return all begins and ends by link and time, ends first: their order, and for each what it is, of what, where."""
    num = len(crossings.flow)
    is_begin = np.repeat([True, False], num)
    time = np.concatenate([crossings.begin_ps, crossings.end_ps])
    link = np.concatenate([crossings.link, crossings.link])
    order = np.lexsort((is_begin, time, link))
    return order, is_begin[order], order % num, link[order]


def _crowded(crossings: Crossings) -> tuple[Ints, Crossings]:
    """Return the links that more than one flow is on at some time, and what crosses them."""
    order = np.lexsort((crossings.begin_ps, crossings.link))
    link, begin_ps, end_ps = crossings.link[order], crossings.begin_ps[order], crossings.end_ps[order]
    first_of_link = np.flatnonzero(np.append(True, link[1:] != link[:-1]) if len(link) else np.empty(0, dtype=np.bool_))
    # The latest end so far on the same link: to tell links apart, the times of each lie beyond those of the one before.
    span_ps = int(end_ps.max(initial=0)) + 1
    place = np.repeat(np.arange(len(first_of_link)), np.diff(np.append(first_of_link, len(link))))
    meets = np.zeros(len(link), dtype=np.bool_)
    at_once = max(1, _FAR // span_ps)
    for low in range(0, len(first_of_link), at_once):
        rows = slice(*np.searchsorted(place, [low, low + at_once]).tolist())
        shift = (place[rows] - low) * span_ps
        latest = np.maximum.accumulate(end_ps[rows] + shift)
        meets[rows][1:] = begin_ps[rows][1:] + shift[1:] < latest[:-1]
    crowded = np.unique(link[meets])
    is_there = np.isin(link, crowded)
    return crowded, crossings.of(order[is_there])


_FAR = 2**62


def links_to_watch(network: Network, groups: Iterable[GroupVector], capacities: Capacities) -> frozenset[int]:
    """Return the fair links that could ever be full with more than one flow.

    What crosses a link has come over the links before it, and goes on over those after it. If those have no more room
    together than it, or on the other side less, it holds nobody.
    """
    before, after = network.links_beside(-1), network.links_beside(1)
    by_groups = _most_by_groups(groups, capacities)
    watched = []
    for number in sorted(before.keys() | by_groups.keys()):
        capacity, of_groups = capacities.of_link(number), by_groups.get(number, 0)
        coming = _room(network, before.get(number, ()), capacities)
        going = _room(network, after.get(number, ()), capacities)
        if coming is not None and (coming + of_groups < capacity or (coming == capacity and not of_groups)):
            continue
        if going is None or going + of_groups >= capacity:
            watched.append(number)
    return frozenset(watched)


def _room(network: Network, links: Iterable[int], capacities: Capacities) -> int | None:
    """Return the capacity of some links together; None if that of one is not known."""
    if any(number not in network.fair_links for number in links):
        return None
    return sum(map(capacities.of_link, links))


def _most_by_groups(groups: Iterable[GroupVector], capacities: Capacities) -> dict[int, int]:
    """Return the most that groups together could send over each link, each what it can alone."""
    most: dict[int, int] = {}
    for vector in groups:
        for group in np.flatnonzero(~vector.has_own_links).tolist():
            own: dict[int, int] = {}
            for plan in vector.plans.values():
                for phase, alone in zip(plan.plans[group].phases, plan.alone[group], strict=True):
                    rate = capacities.rate(alone.rate)
                    for number, streams in zip(phase.links, phase.streams, strict=True):
                        own[number] = max(own.get(number, 0), rate * streams)
            for number, rate in own.items():
                most[number] = most.get(number, 0) + rate
    return most


def rates_of(ways: Iterable[WayVector], groups: Iterable[GroupVector]) -> Iterable[Fraction]:
    """Return the rates of all flows that are alone."""
    for way in ways:
        yield from (alone.rate for alone in way.alone)
    for vector in groups:
        for plan in vector.plans.values():
            yield from (alone.rate for own in plan.alone for alone in own)
