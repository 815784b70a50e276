"""Max-min fair rates of flows that share links: exact, and found again from where they were when flows come and go.

Rates are max-min fair if no flow can be given more without taking from one that has no more than it. Every link then
has a *level*: what it grants each flow that asks for so much; a flow gets the lowest level on its route, and the link
that sets it is its *bottleneck*. The level of a link is the least share at which its flows, each at most at the lowest
level elsewhere on its route, fill its capacity; a link that its flows can't fill has none (infinite).

A flow has a *weight* on each of its links: how many streams of its rate it is there. A message has weight 1 everywhere;
the streams of a collective all go at one rate, and several of them may cross one link.

That a level depends only on levels below it gives both the unique answer, filled from the lowest level up, and the way
to mend it after a change: of all links whose level is not the share that follows from the others, the one at which the
lower of the two is lowest goes first. What lies below is settled, so nothing is raised or lowered more than once, and
flows whose bottleneck still holds are never looked at.

Arithmetic is exact: levels are integers, in units of 1/scale bytes/s, and the scale grows by what a division needs. So
the rates are a function of the flows alone, whatever came and went before, and in whatever order.

References
----------
D. Bertsekas and R. Gallager, Data Networks, 2nd ed., 1992, section 6.5.2 (max-min fairness, bottlenecks).
G. Ramalingam and T. Reps, "An incremental algorithm for a generalization of the shortest-path problem", Journal of
Algorithms 21(2), 1996 (the order in which to mend).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from heapq import heapify, heappop, heappush
from itertools import repeat
from math import gcd, inf, lcm
from typing import TypeAlias

# Shared evenly by up to so many flows, a capacity is a whole number of units without another look at the scale.
_COMMON_COUNTS = lcm(*range(1, 17))

Level: TypeAlias = "int | float"  # a float only where it is infinite


class SharedLink:
    """A link: its capacity and level, and the flows on it, with what they ask for as far as other links let them."""

    __slots__ = ("capacity", "demand", "flows", "is_fresh", "level", "num_unlimited", "number", "share", "weight")

    def __init__(self, number: int, capacity: int) -> None:
        self.number, self.capacity = number, capacity
        self.level: Level = inf
        self.share: Level = inf  # the level that follows from those of other links, as long as it is fresh
        self.is_fresh = True
        self.flows: dict[Flow, int] = {}  # with the weight of each, in order of arrival
        self.weight = 0  # of all flows together
        self.demand = 0  # limits elsewhere of its flows, times their weights, summed over those that have one
        self.num_unlimited = 0  # weight of the flows that no other link limits

    def expect(self, limit: Level, times: int) -> None:
        """Take note of the limit elsewhere of a flow whose weight is `times`, or, below 0, that it is no longer so."""
        if limit == inf:
            self.num_unlimited += times
        else:
            assert isinstance(limit, int)
            self.demand += times * limit

    def lowest_share(self) -> Level:
        """Return what the share can't lie below; it costs nothing to know."""
        if not self.num_unlimited and self.demand < self.capacity:
            return inf
        return self.capacity // self.weight


class Flow:
    """A flow: its links, the lowest level among them, which link sets it, and the lowest level of the others."""

    __slots__ = ("bottleneck", "limit", "links", "next_limit")

    def __init__(self, links: tuple[SharedLink, ...]) -> None:
        self.links = links
        self.bottleneck = links[0]
        self.limit: Level = inf
        self.next_limit: Level = inf

    def look_around(self) -> None:
        """Find the two lowest levels on the route; of equal ones the first on the way is the bottleneck."""
        bottleneck, limit, next_limit = self.links[0], inf, inf
        for link in self.links:
            level = link.level
            if level < limit:
                bottleneck, limit, next_limit = link, level, limit
            elif level < next_limit:
                next_limit = level
        self.bottleneck, self.limit, self.next_limit = bottleneck, limit, next_limit

    def limit_beside(self, link: SharedLink) -> Level:
        """Return the lowest level on the route without that of `link`."""
        return self.next_limit if link is self.bottleneck else self.limit


class MaxMin:
    """The flows of a network and their rates; :meth:`settle` once after all that changed at one time.

    Parameters
    ----------
    capacities
        Capacity of each link by its number. [bytes/s]

    Examples
    --------
    Of two flows on a link of 3 bytes/s one goes on to a link where four get 1 byte/s each; the other has the rest.

    >>> network = MaxMin({0: Fraction(3), 1: Fraction(4), 2: Fraction(3)})
    >>> near, far = network.add((0,)), network.add((0, 1))
    >>> crossing = [network.add((1, 2)) for _ in range(3)]
    >>> moved = network.settle()
    >>> [str(network.rate(flow)) for flow in (near, far, *crossing)]
    ['2', '1', '1', '1', '1']
    >>> network.remove(near)
    >>> moved = network.settle()
    >>> str(network.rate(far)), far.bottleneck.number
    ('1', 1)
    """

    def __init__(self, capacities: Mapping[int, Fraction]) -> None:
        self.scale = lcm(_COMMON_COUNTS, *(capacity.denominator for capacity in capacities.values()))
        self.links = {number: SharedLink(number, int(capacity * self.scale)) for number, capacity in capacities.items()}
        self.flows: dict[Flow, None] = {}
        self._changed: dict[SharedLink, None] = {}  # links whose share may not be what it was
        self._moved: dict[Flow, None] = {}  # flows whose limit or bottleneck may not be what it was
        self._queue: list[tuple[Level, int]] = []

    def rate(self, flow: Flow) -> Fraction:
        """Return the rate of a flow. [bytes/s]"""
        assert isinstance(flow.limit, int)  # settled, so that some link on its route limits it
        return Fraction(flow.limit, self.scale)

    def add(self, links: Iterable[int], weights: Iterable[int] = repeat(1)) -> Flow:
        """Return a new flow over `links`, at least one, each once, with its weight on each of them."""
        weight_by_link = {self.links[number]: weight for number, weight in zip(links, weights, strict=False)}
        flow = Flow(tuple(weight_by_link))
        flow.look_around()
        self.flows[flow] = self._moved[flow] = None
        for link, weight in weight_by_link.items():
            link.flows[flow] = weight
            link.weight += weight
            link.expect(flow.limit_beside(link), weight)
            self._changed[link] = None
        return flow

    def remove(self, flow: Flow) -> None:
        """Take a flow out."""
        del self.flows[flow]
        self._moved.pop(flow, None)
        for link in flow.links:
            weight = link.flows.pop(flow)
            link.weight -= weight
            link.expect(flow.limit_beside(link), -weight)
            self._changed[link] = None

    def settle(self) -> list[Flow]:
        """Make all rates max-min fair again; return the flows whose rate or bottleneck may have moved."""
        self._enqueue_changed()
        while self._queue:
            key, number = heappop(self._queue)
            link = self.links[number]
            if not link.is_fresh:
                self._refresh(link)
            if link.level == link.share:
                continue
            if key < min(link.level, link.share):
                heappush(self._queue, (min(link.level, link.share), number))
                continue
            # Too high: the share is final. Too low: what it granted is taken back before anything is granted anew.
            link.level = link.share if link.share < link.level else inf
            if link.level != link.share:
                heappush(self._queue, (link.share, number))
            self._pass_on(link)
            self._enqueue_changed()
        moved, self._moved = list(self._moved), {}
        return moved

    def _enqueue_changed(self) -> None:
        """Put the links that changed in the queue, for the earliest that their turn can come."""
        changed, self._changed = self._changed, {}
        for link in changed:
            lowest = link.lowest_share()
            if lowest == link.level == inf:
                link.share, link.is_fresh = inf, True
                continue
            link.is_fresh = False
            heappush(self._queue, (min(lowest, link.level), link.number))

    def _pass_on(self, link: SharedLink) -> None:
        """Tell the flows of a link its new level, and note the other links to which that makes a difference."""
        for flow in link.flows:
            before = flow.limit, flow.next_limit, flow.bottleneck
            flow.look_around()
            limit, next_limit, bottleneck = before
            if bottleneck is flow.bottleneck and limit == flow.limit and next_limit == flow.next_limit:
                continue
            self._moved[flow] = None
            for other in flow.links:
                limit_before = next_limit if other is bottleneck else limit
                limit_now = flow.limit_beside(other)
                if limit_before != limit_now:
                    weight = other.flows[flow]
                    other.expect(limit_before, -weight)
                    other.expect(limit_now, weight)
                    self._changed[other] = None

    def _refresh(self, link: SharedLink) -> None:
        """Find the least share at which the flows of `link` fill it, each held to its limit elsewhere."""
        link.is_fresh, link.share = True, inf
        left, num_left = link.capacity, link.weight
        if link.lowest_share() == inf:
            return
        for limit, weight in sorted((flow.limit_beside(link), weight) for flow, weight in link.flows.items()):
            if limit * num_left >= left:
                break
            assert isinstance(limit, int)
            left -= limit * weight
            num_left -= weight
        if left % num_left:
            missing = num_left // gcd(left, num_left)
            self._grow_scale(missing)
            left *= missing
        link.share = left // num_left

    def _grow_scale(self, factor: int) -> None:
        self.scale *= factor
        for link in self.links.values():
            link.capacity *= factor
            link.level *= factor
            link.share *= factor
            link.demand *= factor
        for flow in self.flows:
            flow.limit *= factor
            flow.next_limit *= factor
        self._queue = [(key * factor, number) for key, number in self._queue]
        heapify(self._queue)
