"""Max-min fair rates of flows that share links: exact, and found again from where they were when flows come and go.

Rates are max-min fair if no flow can be given more without taking from one that has no more than it. Every link then
has a *level*: what it grants each flow that asks for so much; a flow gets the lowest level on its route, and the link
that sets it is its *bottleneck*. The level of a link is the least share at which its flows, each at most at the lowest
level elsewhere on its route, fill its capacity; a link that its flows can't fill has none (infinite).

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
from math import gcd, inf, lcm
from typing import TypeAlias

# Shared evenly by up to so many flows, a capacity is a whole number of units without another look at the scale.
_COMMON_COUNTS = lcm(*range(1, 17))

Level: TypeAlias = "int | float"  # a float only where it is infinite


class SharedLink:
    """A link: its capacity, its level, the share that follows from the levels elsewhere, and the flows on it."""

    __slots__ = ("capacity", "flows", "level", "number", "share")

    def __init__(self, number: int, capacity: int) -> None:
        self.number, self.capacity = number, capacity
        self.level: Level = inf
        self.share: Level = inf
        self.flows: dict[Flow, None] = {}  # a set that keeps its order


class Flow:
    """A flow: its links, the lowest level among them, which link sets it, and the lowest level of the others."""

    __slots__ = ("bottleneck", "limit", "links", "next_limit")

    def __init__(self, links: tuple[SharedLink, ...]) -> None:
        self.links = links
        self.bottleneck = links[0]
        self.limit: Level = inf
        self.next_limit: Level = inf


class MaxMin:
    """The flows of a network and their rates; :meth:`settle` once after all that changed at one time.

    Parameters
    ----------
    capacities
        Capacity of each link by its number. [bytes/s]

    Examples
    --------
    Two flows share a link of 3 bytes/s; where a third takes all but 1 byte/s of the next link, the other gets 2.

    >>> network = MaxMin({0: Fraction(3), 1: Fraction(4), 2: Fraction(3)})
    >>> near, far = network.add((0,)), network.add((0, 1))
    >>> crossing = [network.add((1, 2)) for _ in range(3)]
    >>> moved = network.settle()
    >>> [str(network.rate(flow)) for flow in (near, far, *crossing)]
    ['2', '1', '1', '1', '1']
    >>> network.remove(near)
    >>> moved = network.settle()
    >>> str(network.rate(far)), far.bottleneck.number, len(moved)
    ('1', 1, 0)
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

    def add(self, links: Iterable[int]) -> Flow:
        """Return a new flow over `links`, at least one, each once."""
        flow = Flow(tuple(self.links[number] for number in links))
        self.flows[flow] = None
        for link in flow.links:
            link.flows[flow] = None
            self._changed[link] = None
        _look_around(flow)
        self._moved[flow] = None
        return flow

    def remove(self, flow: Flow) -> None:
        """Take a flow out."""
        del self.flows[flow]
        self._moved.pop(flow, None)
        for link in flow.links:
            del link.flows[flow]
            self._changed[link] = None

    def settle(self) -> list[Flow]:
        """Make all rates max-min fair again; return the flows whose rate or bottleneck may have moved."""
        self._update_shares()
        while self._queue:
            key, number = heappop(self._queue)
            link = self.links[number]
            if link.level == link.share or key != min(link.level, link.share):
                continue  # it has been mended, or stands in the queue anew
            # Too high: the share is final. Too low: what it granted is taken back before anything is granted anew.
            link.level = link.share if link.share < link.level else inf
            self._pass_on(link)
            if link.level != link.share:
                heappush(self._queue, (link.share, number))
            self._update_shares()
        moved, self._moved = list(self._moved), {}
        return moved

    def _pass_on(self, link: SharedLink) -> None:
        """Tell the flows of a link its new level, and note the other links to which that makes a difference."""
        changed, moved = self._changed, self._moved
        for flow in link.flows:
            limit, next_limit, bottleneck = flow.limit, flow.next_limit, flow.bottleneck
            _look_around(flow)
            if flow.bottleneck is not bottleneck:
                touched = flow.links
            elif flow.limit != limit:
                touched = flow.links if flow.next_limit != next_limit else (*_others(flow, bottleneck),)
            elif flow.next_limit != next_limit:
                touched = (bottleneck,)
            else:
                continue
            moved[flow] = None
            for other in touched:
                if other is not link:  # of its own level a share does not depend
                    changed[other] = None

    def _update_shares(self) -> None:
        changed, self._changed = self._changed, {}
        for link in changed:
            link.share = inf  # so that growing the scale leaves it alone
            link.share = self._share(link)
            if link.share != link.level:
                heappush(self._queue, (min(link.share, link.level), link.number))

    def _share(self, link: SharedLink) -> Level:
        """Return the least share at which the flows of `link` fill it, each held to its limit elsewhere."""
        limits = [flow.next_limit if flow.bottleneck is link else flow.limit for flow in link.flows]
        left = link.capacity
        if inf not in limits and sum(limits) < left:  # nothing infinite is added to integers that have no bound
            return inf
        limits.sort()
        num_left = len(limits)
        for limit in limits:
            if limit * num_left >= left:
                break
            assert isinstance(limit, int)
            left -= limit
            num_left -= 1
        if left % num_left:
            missing = num_left // gcd(left, num_left)
            self._grow_scale(missing)
            left *= missing
        return left // num_left

    def _grow_scale(self, factor: int) -> None:
        self.scale *= factor
        for link in self.links.values():
            link.capacity *= factor
            link.level *= factor
            link.share *= factor
        for flow in self.flows:
            flow.limit *= factor
            flow.next_limit *= factor
        self._queue = [(key * factor, number) for key, number in self._queue]
        heapify(self._queue)


def _look_around(flow: Flow) -> None:
    """Find the two lowest levels on a flow's route; of equal ones the first on the way is the bottleneck."""
    bottleneck, limit, next_limit = flow.links[0], inf, inf
    for link in flow.links:
        level = link.level
        if level < limit:
            bottleneck, limit, next_limit = link, level, limit
        elif level < next_limit:
            next_limit = level
    flow.bottleneck, flow.limit, flow.next_limit = bottleneck, limit, next_limit


def _others(flow: Flow, link: SharedLink) -> Iterable[SharedLink]:
    return (other for other in flow.links if other is not link)
