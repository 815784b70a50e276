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


class LinkUses(NamedTuple):
    """How flows use links: a row for each link that flows of one kind cross."""

    link: Ints
    rate: Ints  # of all streams of a flow there, were it alone; in units that make capacities and rates whole
    is_late: Flags  # whether the link that holds it, were it alone, does not stand before this one


class Crossings(NamedTuple):
    """Flows on links: a row for each flow and link."""

    flow: Ints
    use: Ints  # row of `uses`
    begin_ps: Ints
    end_ps: Ints
    uses: LinkUses

    def of(self, rows: Ints | Flags) -> Crossings:
        """Return some rows."""
        return Crossings(self.flow[rows], self.use[rows], self.begin_ps[rows], self.end_ps[rows], self.uses)


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
    crossings = _crowded(crossings)
    if not len(crossings.flow):
        return crossings.flow
    link, rate, is_late = crossings.uses
    use = crossings.use
    begin, end = _keys(link[use], crossings)
    num = len(begin)
    # Ends come before what begins at the same time.
    order = np.argsort(np.concatenate([2 * begin + 1, 2 * end]), kind="stable")
    sign, use = np.where(order < num, 1, -1), use[order % num]
    # All of them are 0 at the end of each link.
    rates, num_late, num_flows = (np.cumsum(column) for column in (sign * rate[use], sign * is_late[use], sign))
    room = capacities.of(link[use])
    is_overfull = (num_flows > 1) & ((rates > room) | ((rates == room) & (num_late > 0)))
    num_overfull = np.append(0, np.cumsum(is_overfull))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    meets = num_overfull[place[num:]] > num_overfull[place[:num]]  # since it began, up to just before it ends
    return np.unique(crossings.flow[meets])


def _crowded(crossings: Crossings) -> Crossings:
    """Return what crosses those links that more than one flow is on at some time."""
    link = crossings.uses.link[crossings.use]
    begin, end = _keys(link, crossings)
    order = np.argsort(begin, kind="stable")
    # The latest end so far; that on another link comes before all that begins on this one.
    meets = begin[order[1:]] < np.maximum.accumulate(end[order])[:-1]
    is_crowded = np.zeros(int(link.max(initial=-1)) + 1, dtype=np.bool_)
    is_crowded[link[order[1:][meets]]] = True
    return crossings.of(np.flatnonzero(is_crowded[link]))


def _keys(link: Ints, crossings: Crossings) -> tuple[Ints, Ints]:
    """Return a number for each begin and each end, in the order of links and, on a link, of times."""
    begin, end = crossings.begin_ps, crossings.end_ps
    if not len(link):
        return begin, end
    first_ps, last_ps = int(begin.min()), int(end.max())
    if (int(link.max()) + 1) * (last_ps - first_ps + 1) > _LARGEST_KEY:  # what matters of times is their order
        _, rank = np.unique(np.concatenate([begin, end]), return_inverse=True)
        begin, end = np.split(rank.reshape(-1), 2)
        first_ps, last_ps = 0, int(rank.max())
    start = link * (last_ps - first_ps + 1) - first_ps
    return start + begin, start + end


_LARGEST_KEY = 2**61


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
