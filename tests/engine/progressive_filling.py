"""Oracles that share nothing with the engine: max-min rates solved anew from nothing, and flows moved along by them.

Both are exact: rates and what is left of a flow are fractions. Ends are rounded up to the picosecond, as the contract
says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

Route = tuple[int, ...]  # of links; one that stands there twice is crossed by two streams of the flow's rate


def max_min_rates(capacities: Mapping[int, Fraction], routes: Sequence[Route]) -> list[Fraction]:
    """Return the rate of a flow on each route: all rise together, and stop where a link on their way is full."""
    rates = [Fraction(0)] * len(routes)
    left, rising = dict(capacities), set(range(len(routes)))
    while rising:
        count = {link: sum(routes[flow].count(link) for flow in rising) for flow in rising for link in routes[flow]}
        lowest = min(left[link] / count[link] for link in sorted(count))
        full = {link for link in count if left[link] / count[link] == lowest}
        stopping = {flow for flow in rising if full & set(routes[flow])}
        for flow in stopping:
            rates[flow] = lowest
            for link in routes[flow]:
                left[link] -= lowest
        rising -= stopping
    return rates


@dataclass(frozen=True)
class Sent:
    """A flow that begins to drain at a time."""

    route: Route
    size_bytes: int
    start_ps: int


def ends_of(capacities: Mapping[int, Fraction], flows: Sequence[Sent]) -> list[int]:
    """Return when each flow ends, all rates solved anew whenever one begins or ends. [ps]"""
    per_ps = {link: capacity / 10**12 for link, capacity in capacities.items()}
    ends = [-1] * len(flows)
    left = {number: Fraction(flow.size_bytes) for number, flow in enumerate(flows)}
    waiting = sorted(range(len(flows)), key=lambda number: flows[number].start_ps)
    active: list[int] = []
    now = 0
    while waiting or active:
        rates = max_min_rates(per_ps, [flows[number].route for number in active])
        coming = [now + ceil(left[number] / rate) for number, rate in zip(active, rates, strict=True)]
        later = min([*coming, *(flows[number].start_ps for number in waiting[:1])])
        for number, rate, end in zip(list(active), rates, coming, strict=True):
            left[number] -= rate * (later - now)
            if end == later:
                ends[number] = later
                active.remove(number)
        now = later
        while waiting and flows[waiting[0]].start_ps == now:
            number = waiting.pop(0)
            if left[number]:
                active.append(number)
            else:
                ends[number] = now
    return ends
