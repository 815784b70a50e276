"""What a shared link and a flow keep: levels, who holds whom, and, exactly, what is left of a link; and its share.

A link knows what passes it as one exact sum, so that a new rate costs one addition a link, and a level is compared with
the share that follows by three products. Flows are looked at only where the share may lie on the other side of theirs.
"""

from __future__ import annotations

from fractions import Fraction
from math import inf
from typing import TypeAlias

from clustersim.engine.rate import INFINITE, Rate, refined

Limited: TypeAlias = "tuple[SharedLink, Flow, int]"  # a flow limited by another link, and its weight here


class SharedLink:
    """A link: its level, the flows that it *holds* to it, and those that *pass*, held elsewhere to no more.

    Attributes
    ----------
    held, passing
        The flows with their weights, in the order in which they came to be held or to pass.
    weight, held_weight
        Of all flows together, and of those that are held.
    ahead
        Number of flows that pass before they come to the link that holds them: those it would hold instead, were it as
        low.
    left, unit
        What the flows that pass leave of the capacity is left / unit; below 0 while flows are still to be slowed down.
        Where a rate needs a finer unit, the two are put into lowest terms first: their size goes by the flows that are
        here, not by those that were. [bytes/s]
    top
        What passes is no faster than this, to the nearest float. [bytes/s]
    floor
        The share is no lower than this, to the nearest float, until a flow that passes gets faster. [bytes/s]
    turn
        The key under which the link waits to be mended, if it waits. [bytes/s]
    """

    __slots__ = (
        "ahead",
        "capacity",
        "floor",
        "held",
        "held_weight",
        "left",
        "level",
        "number",
        "passing",
        "top",
        "turn",
        "unit",
        "weight",
    )

    def __init__(self, number: int, capacity: Fraction) -> None:
        self.number, self.capacity = number, Rate(capacity.numerator, capacity.denominator)
        self.level = INFINITE
        self.held: dict[Flow, int] = {}
        self.passing: dict[Flow, int] = {}
        self.weight = self.held_weight = self.ahead = 0
        self.left, self.unit = capacity.numerator, capacity.denominator
        self.top = self.floor = 0.0
        self.turn: float | None = None

    def take(self, weight: int, rate: Rate) -> None:
        """Let as many streams of a rate pass as `weight` says, or, below 0, so many fewer."""
        denominator = rate.denominator
        if self.unit % denominator:
            self.left, self.unit = refined(self.left, self.unit, denominator)
        self.left -= weight * rate.numerator * (self.unit // denominator)

    def balance(self) -> int:
        """Return 0 if the level is the share, a number above 0 if it is too low, and one below 0 if it is too high."""
        level = self.level
        if self.held_weight:
            return self.left * level.denominator - level.numerator * self.held_weight * self.unit
        if self.left > 0 or not (self.left or self.ahead):
            return level.denominator  # the share is infinite, and 0 the denominator of an infinite level
        if self.left < 0 or not level.denominator:
            return -1
        # Full to the byte with what passes: the fastest of it is the level.
        return -1 + any(flow.bottleneck.level == level for flow in self.passing)

    def least_share(self) -> float:
        """Return what the share is not below, to the nearest float, as far as one sees without looking at the flows."""
        least = max(self.floor, self.capacity.approx / self.weight)
        if self.held_weight and self.left > 0:
            return max(least, self.left / (self.held_weight * self.unit))
        return least

    def falling_share(self) -> tuple[Rate, list[Limited], float]:
        """Return the share, if the level is too high, the flows that pass at least so fast, and the others' `top`."""
        least, top = self.least_share() * (1 - 1e-9), self.top  # no rounding may leave a flow out
        faster: list[Limited] = []
        if top >= least:
            top = 0.0
            for flow, weight in self.passing.items():
                approx = flow.bottleneck.level.approx
                if approx >= least:
                    faster.append((flow.bottleneck, flow, weight))
                elif approx > top:
                    top = approx
        if not faster:
            return Rate(self.left, self.held_weight * self.unit), faster, top
        left, unit, weight = _added(self.left, self.unit, self.held_weight, faster)
        share, slower, faster = filling_share(left, unit, weight, faster)
        return share, faster, max([top, *(elsewhere.level.approx for elsewhere, _, _ in slower)])


class Flow:
    """A flow: its links, with its weight on each, and the one that holds it, whose level is its rate."""

    __slots__ = ("bottleneck", "hops")

    def __init__(self, hops: tuple[tuple[SharedLink, int], ...]) -> None:
        self.hops = hops
        self.bottleneck = hops[0][0]

    @property
    def rate(self) -> Rate:
        """The rate of each of the flow's streams. [bytes/s]"""
        return self.bottleneck.level

    def lowest_link(self, beside: SharedLink | None = None) -> SharedLink | None:
        """Return the first link with the lowest level on the route, not counting `beside`; None if all are infinite."""
        lowest, least = None, inf
        for link, _ in self.hops:
            approx = link.level.approx
            if approx > least or link is beside:
                continue
            if approx < least or (lowest is not None and link.level < lowest.level):
                lowest, least = link, approx
        return lowest

    def meets_first(self, one: SharedLink, other: SharedLink) -> bool:
        """Return whether `one` of two links of the route stands before the other."""
        return next(link for link, _ in self.hops if link is one or link is other) is one


def filling_share(
    left: int, unit: int, weight: int, limited: list[Limited]
) -> tuple[Rate, list[Limited], list[Limited]]:
    """Return the least share at which flows fill left / unit, which of them are limited to less, and which are not.

    `weight` is that of all flows, limited elsewhere or not. If each takes an even part, those limited to less leave
    something over, so that the part of the others is larger; it grows until it passes by no one's limit any more.
    """
    below: list[Limited] = []
    while True:
        whole = weight * unit
        slower: list[Limited] = []
        others: list[Limited] = []
        for entry in limited:
            level = entry[0].level
            (slower if level.numerator * whole < left * level.denominator else others).append(entry)
        if not slower:
            return (Rate(left, whole) if whole else INFINITE), below, others
        limited = others
        below += slower
        left, unit, weight = _added(left, unit, weight, slower, -1)


def _added(left: int, unit: int, weight: int, flows: list[Limited], sign: int = 1) -> tuple[int, int, int]:
    """Return what is left, its unit and the weight of those that share it, with these flows added or taken out."""
    for elsewhere, _, times in flows:
        rate = elsewhere.level
        if unit % rate.denominator:
            left, unit = refined(left, unit, rate.denominator)
        left += sign * times * rate.numerator * (unit // rate.denominator)
        weight += sign * times
    return left, unit, weight
