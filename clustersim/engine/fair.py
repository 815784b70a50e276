"""Fairly shared links: one SimPy process for all of them, which wakes when a flow begins to drain or ends.

A message whose route has a fair link is a flow: it waits the sum of its route's latencies, then drains at its max-min
fair rate on every link at once. So are the streams of a collective, together one flow with several streams on a link.
The process handles all that happens at one time in one go: flows that end leave, those whose latency is over join,
rates are settled once, and the flows whose rate moved get a new end. It acts after all ops that end at that time; flows
that end together arrive by sender rank, then by op.

What is left of a flow is an exact integer, in units of 10^-12/scale bytes (a byte/s for a picosecond, over what the
flow's rates so far were divided by), so that it does not depend on how often rates moved. An end is rounded up to the
picosecond; until then the flow keeps its share.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterable, Mapping, Sequence
from fractions import Fraction
from heapq import heappop, heappush
from typing import Any, Protocol

import numpy as np

from clustersim.engine.clock import Actor, Hold, Timeline
from clustersim.engine.link import Mailbox
from clustersim.engine.noted_groups import NotedRates
from clustersim.engine.rate import Rate, refined
from clustersim.engine.shared_link import Flow
from clustersim.engine.sharing import MaxMin
from clustersim.scenario.units import PS_PER_S
from clustersim.topology.cluster import Link

_PRIORITY = 2  # after the ends of ops, which have SimPy's normal priority, 1


class RateLog:
    """Each rate that a flow got: parallel columns. Messages are numbered first, then phases of collectives."""

    __slots__ = ("bottleneck", "bytes_per_s", "flow", "start_ps")

    def __init__(self) -> None:
        self.flow = array("q")
        self.start_ps = array("q")
        self.bytes_per_s = array("d")
        self.bottleneck = array("q")  # number of the link that set the rate

    def note(self, flow: int, time_ps: int, bytes_per_s: float, bottleneck: int) -> None:
        """Add one rate, which holds until the flow's next one, or its end."""
        self.flow.append(flow)
        self.start_ps.append(time_ps)
        self.bytes_per_s.append(bytes_per_s)
        self.bottleneck.append(bottleneck)

    def noted(self) -> NotedRates:
        """Return all that was noted, as it came."""
        flow, start_ps, bottleneck = (
            np.asarray(column, dtype=np.int64) for column in (self.flow, self.start_ps, self.bottleneck)
        )
        return NotedRates(flow, start_ps, np.asarray(self.bytes_per_s, dtype=np.float64), bottleneck)


class Carrier(Protocol):
    """Who is told when something begins to drain, and when it has."""

    def begins(self, cargo: int, now_ps: int) -> None:
        """Take note that the latency is over."""

    def ends(self, cargo: int, now_ps: int) -> None:
        """Take note that nothing is left."""


class Draining:
    """Something on its way: what is left of it since when, at which rate, and when it will so end.

    Parameters
    ----------
    carrier, cargo
        Who is told of its begin and end, and what it calls this.
    links, streams
        The fair links that it crosses, and with how many streams each.
    volume_bytes
        Size of each stream.
    sender, number
        What orders it among others at the same time.
    logged_as
        Number under which its rates are noted.
    """

    __slots__ = (
        "bottleneck",
        "cargo",
        "carrier",
        "end_ps",
        "flow",
        "left",
        "links",
        "logged_as",
        "number",
        "rate",
        "scale",
        "sender",
        "since_ps",
        "streams",
    )

    def __init__(
        self,
        carrier: Carrier,
        cargo: int,
        links: Sequence[int],
        streams: Iterable[int],
        volume_bytes: int | Fraction,
        sender: int,
        number: int,
        logged_as: int,
    ) -> None:
        self.carrier, self.cargo, self.links, self.streams = carrier, cargo, links, streams
        self.sender, self.number, self.logged_as = sender, number, logged_as
        size, self.scale = volume_bytes.as_integer_ratio()  # the scale of `left` is one that rates' denominators divide
        self.left = size * PS_PER_S
        self.rate = Rate(0, 1)
        self.bottleneck = self.since_ps = self.end_ps = -1
        self.flow: Flow | None = None

    def drain_until(self, time_ps: int) -> None:
        """Bring what is left up to date."""
        self.left -= self.rate.numerator * (self.scale // self.rate.denominator) * (time_ps - self.since_ps)
        self.since_ps = time_ps

    def drain_at(self, rate: Rate) -> int:
        """Go on at another rate; return how long the rest takes, rounded up. [ps]"""
        self.rate = rate
        if self.scale % rate.denominator:
            self.left, self.scale = refined(self.left, self.scale, rate.denominator)
        return -(-self.left // (rate.numerator * (self.scale // rate.denominator)))


Coming = tuple[int, int, int, Draining]  # when, sender, number


class FairNetwork:
    """The links that are fairly shared, the flows on them, and the process that keeps them.

    Parameters
    ----------
    env
        Simulated time.
    links
        The links by number; all have limited bandwidth.
    rates
        Where the rates of flows are noted.
    """

    def __init__(self, env: Timeline, links: Mapping[int, Link], rates: RateLog) -> None:
        self.env, self.rates = env, rates
        capacities = {number: link.bandwidth_bytes_per_s for number, link in links.items()}
        self._sharing = MaxMin({number: capacity for number, capacity in capacities.items() if capacity is not None})
        self._draining: dict[Flow, Draining] = {}
        self._joins: list[Coming] = []
        self._ends: list[Coming] = []  # with ends that rates have moved since; those are passed over
        self._wakes: list[int] = []
        self._hold = Hold(env)
        Actor(env, self._run(), self._hold)

    def join_at(self, time_ps: int, draining: Draining) -> None:
        """Let a message begin to drain at `time_ps`, not before now."""
        heappush(self._joins, (time_ps, draining.sender, draining.number, draining))
        self._wake_by(time_ps)

    def _wake_by(self, time_ps: int) -> None:
        if not self._wakes or time_ps < self._wakes[0]:
            heappush(self._wakes, time_ps)
            self.env.wake(self._hold, time_ps, _PRIORITY)

    def _run(self) -> Generator[Hold, Any, None]:
        while True:
            yield self._hold
            heappop(self._wakes)
            now = self.env.now
            ended = self._pass_ends(now) + self._pass_joins(now)
            for flow in self._sharing.settle():
                self._move(flow, now)
            for draining in sorted(ended, key=lambda draining: (draining.sender, draining.number)):
                draining.carrier.ends(draining.cargo, now)
            while self._ends and not _is_due(self._ends[0]):
                heappop(self._ends)
            for coming in (self._joins, self._ends):
                if coming:
                    self._wake_by(coming[0][0])

    def _pass_ends(self, now: int) -> list[Draining]:
        """Let the flows that end now leave."""
        ended = []
        while self._ends and self._ends[0][0] <= now:
            entry = heappop(self._ends)
            draining = entry[-1]
            if draining.flow is not None and _is_due(entry):
                self._sharing.remove(draining.flow)
                del self._draining[draining.flow]
                draining.flow = None
                ended.append(draining)
        return ended

    def _pass_joins(self, now: int) -> list[Draining]:
        """Let those whose latency is over begin to drain; return those that have nothing to drain."""
        empty = []
        while self._joins and self._joins[0][0] <= now:
            draining = heappop(self._joins)[-1]
            draining.since_ps = now
            draining.carrier.begins(draining.cargo, now)
            if draining.left and draining.links:
                draining.flow = self._sharing.add(draining.links, draining.streams)
                self._draining[draining.flow] = draining
            else:
                empty.append(draining)
        return empty

    def _move(self, flow: Flow, now: int) -> None:
        """Give a flow its new rate."""
        draining, rate, bottleneck = self._draining[flow], flow.rate, flow.bottleneck.number
        draining.drain_until(now)
        has_moved = rate != draining.rate
        if has_moved or bottleneck != draining.bottleneck:
            draining.bottleneck = bottleneck
            self.rates.note(draining.logged_as, now, rate.approx, bottleneck)
        if has_moved:
            draining.end_ps = now + draining.drain_at(rate)
            heappush(self._ends, (draining.end_ps, draining.sender, draining.number, draining))


def _is_due(entry: Coming) -> bool:
    """Return whether an entry among the ends still stands."""
    end_ps, _, _, draining = entry
    return draining.flow is not None and draining.end_ps == end_ps


class FairRoute:
    """A route with a fair link: what is sent over it is a flow on all its links of limited bandwidth.

    Parameters
    ----------
    network
        The fair links.
    links
        Numbers of those on the route.
    streams
        How many streams each message is on each of them: one for each message that it stands for.
    latency_ps
        Sum of the latencies of all links on the route. [ps]
    mailbox
        Where messages arrive.
    first_transfer
        Number, over the whole run, of the mailbox's first message.
    """

    def __init__(
        self,
        network: FairNetwork,
        links: Sequence[int],
        streams: Sequence[int],
        latency_ps: int,
        mailbox: Mailbox,
        first_transfer: int,
    ) -> None:
        self.network, self.links, self.streams, self.latency_ps = network, links, streams, latency_ps
        self.mailbox, self.first_transfer = mailbox, first_transfer

    def hold_ps(self, size_bytes: int) -> int:
        """Return the size itself: for how long a flow is on its links is not known before. [bytes]"""
        return size_bytes

    def parcel(self, message: int, size_bytes: Any, sender: int) -> tuple[int, int, int]:
        """Return what ``carry`` takes when the message is sent; `sender` is a global rank."""
        return message, size_bytes, sender

    def carry(self, parcel: Any) -> None:
        """Send a message now."""
        self.carry_at(parcel, self.network.env.now)

    def carry_at(self, parcel: Any, time_ps: int) -> None:
        """Send a message at `time_ps`, not before now."""
        message, size_bytes, sender = parcel
        number = self.first_transfer + message
        draining = Draining(self, message, self.links, self.streams, size_bytes, sender, number, logged_as=number)
        self.network.join_at(time_ps + self.latency_ps, draining)

    def begins(self, message: int, now_ps: int) -> None:
        """Note when a message begins to drain."""
        self.mailbox.started[message] = now_ps

    def ends(self, message: int, now_ps: int) -> None:
        """Deliver a message."""
        self.mailbox.deliver(message, now_ps)
