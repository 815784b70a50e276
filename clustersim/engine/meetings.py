"""What becomes of flows that meet others: ends and rates under max-min fair sharing, by the network of fair links."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from clustersim.engine.chains import Follower
from clustersim.engine.clock import Timeline
from clustersim.engine.fair import Carrier, Draining, FairNetwork, RateLog
from clustersim.engine.open_flows import FlowSpec
from clustersim.engine.rate import Rate
from clustersim.engine.telling_links import TellingLinks
from clustersim.topology.cluster import Cluster

RateNote = tuple[int, float, int]  # since when [ps], how fast [bytes/s], and the link that set it


class UnderWay(NamedTuple):
    """A flow of which a part has drained: what is left, as `Draining` keeps it, and how it has drained last."""

    left: int
    scale: int
    rate: Rate
    bottleneck: int


class Met(NamedTuple):
    """What becomes of a flow: its times, at which rates it drains, and what was left of it each time it changed.

    Of one that was under way before, the begin is when that was looked at.
    """

    begin_ps: int
    end_ps: int
    rates: list[RateNote]
    states: list[tuple[int, UnderWay]]

    def on(self, links: Mapping[int, int], by_ps: int) -> Met:
        """Return the same on other links, given which stands for which, and so much later."""
        rates = [(time_ps + by_ps, rate, links[number]) for time_ps, rate, number in self.rates]
        states = [
            (time_ps + by_ps, UnderWay(left, scale, rate, links[bottleneck]))
            for time_ps, (left, scale, rate, bottleneck) in self.states
        ]
        return Met(self.begin_ps + by_ps, self.end_ps + by_ps, rates, states)

    def at(self, time_ps: int) -> UnderWay:
        """Return what is left at a time after it began and not after its end, and how it drained just before."""
        since_ps, state = next(entry for entry in reversed(self.states) if entry[0] < time_ps)
        drained = state.rate.numerator * (state.scale // state.rate.denominator) * (time_ps - since_ps)
        bottleneck = next(entry[2] for entry in reversed(self.rates) if entry[0] < time_ps)
        return state._replace(left=max(0, state.left - drained), bottleneck=bottleneck)


class _Recorded(Draining):
    """A flow that keeps what was left of it each time its rate changed."""

    __slots__ = ("states",)

    def __init__(self, carrier: Carrier, number: int, flow: FlowSpec) -> None:
        super().__init__(carrier, number, flow.links, flow.streams, flow.volume_bytes, 0, number, logged_as=number)
        self.states: list[tuple[int, UnderWay]] = []

    def drain_at(self, rate: Rate) -> int:
        """Go on at another rate; return how long the rest takes, rounded up. [ps]"""
        lasts_ps = super().drain_at(rate)
        self.states.append((self.since_ps, UnderWay(self.left, self.scale, rate, self.bottleneck)))
        return lasts_ps


class _Times:
    """Notes when flows begin and end, and lets those begin that follow."""

    def __init__(self, followers: Mapping[int, Follower]) -> None:
        self.begin_ps: dict[int, int] = {}
        self.end_ps: dict[int, int] = {}
        self.waiting: dict[int, _Recorded] = {}
        self.network: FairNetwork
        self._followers = followers

    def begins(self, cargo: int, now_ps: int) -> None:
        """Note when a flow begins."""
        self.begin_ps[cargo] = now_ps

    def ends(self, cargo: int, now_ps: int) -> None:
        """Note when a flow ends; what follows it begins then, or later."""
        self.end_ps[cargo] = now_ps
        follower = self._followers.get(cargo)
        if follower is not None:
            self.network.join_at(follower.begin_ps(now_ps), self.waiting.pop(follower.key))


def meet(
    flows: Iterable[tuple[int, int, FlowSpec]],
    under_way: Mapping[int, tuple[FlowSpec, UnderWay]],
    since_ps: int,
    cluster: Cluster,
    followers: Mapping[int, Follower] | None = None,
) -> dict[int, Met]:
    """Return what becomes of flows where there are no others.

    Parameters
    ----------
    flows
        The number of each, when it begins to drain [ps], and what it is.
    under_way, since_ps
        Flows that have begun earlier, by their numbers, as they are at that time. [ps]
    cluster
        Where they are.
    followers
        What follows a flow, by the number of that; when it is said to begin is then of no account.

    Examples
    --------
    >>> from clustersim.scenario.fabrics import SingleNode
    >>> from clustersim.topology.table import build_cluster
    >>> node = build_cluster(SingleNode(fabric="single-node", gpus=3, scaleup={"bandwidth": "1 GB/s"}))
    >>> specs = [FlowSpec(node.route(gpu, 2), (1, 1), 10**9) for gpu in (0, 1)]
    >>> met = meet([(0, 0, specs[0]), (1, 5 * 10**11, specs[1])], {}, 0, node)
    >>> [own.end_ps for own in met.values()]
    [1500000000000, 2000000000000]
    >>> halfway = {number: (specs[number], own.at(10**12)) for number, own in met.items()}
    >>> [own.end_ps for own in meet([], halfway, 10**12, node).values()]
    [1500000000000, 2000000000000]
    """
    times, flows = _Times(followers or {}), list(flows)
    waiting = {follower.key for follower in (followers or {}).values()} - under_way.keys()
    telling = TellingLinks((*(flow for _, _, flow in flows), *(flow for flow, _ in under_way.values())), cluster)
    coming = [(begin_ps, _Recorded(times, number, telling.of(flow))) for number, begin_ps, flow in flows]
    for number, (flow, state) in under_way.items():
        draining = _Recorded(times, number, telling.of(flow))
        draining.left, draining.scale = state.left, state.scale
        coming.append((since_ps, draining))
    env, log = Timeline(), RateLog()
    numbers = sorted({link for _, draining in coming for link in draining.links})
    network = times.network = FairNetwork(env, {number: cluster.link(number) for number in numbers}, log)
    for begin_ps, draining in coming:
        if draining.cargo in waiting:
            times.waiting[draining.cargo] = draining
        else:
            network.join_at(begin_ps, draining)
    env.run_to_end(lambda _num_events: None)
    rates: dict[int, list[RateNote]] = {draining.cargo: [] for _, draining in coming}
    for number, time_ps, bytes_per_s, bottleneck in zip(
        log.flow, log.start_ps, log.bytes_per_s, log.bottleneck, strict=True
    ):
        rates[number].append((time_ps, bytes_per_s, bottleneck))
    return {
        own.cargo: Met(times.begin_ps[own.cargo], times.end_ps[own.cargo], rates[own.cargo], own.states)
        for _, own in coming
    }


def new_rates(met: Met, before: UnderWay | None) -> list[RateNote]:
    """Return the rates of a flow but for the first, if it goes on as before."""
    if before is None or not met.rates:
        return met.rates
    goes_on = met.states[0][1].rate == before.rate and met.rates[0][2] == before.bottleneck
    return met.rates[1:] if goes_on else met.rates
