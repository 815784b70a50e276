"""What becomes of flows that meet others: their ends and rates under max-min fair sharing, by the network of fair links."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from clustersim.engine.clock import Timeline
from clustersim.engine.fair import Draining, FairNetwork, RateLog
from clustersim.engine.open_flows import FlowSpec
from clustersim.topology.cluster import Cluster

Rates = list[tuple[int, float, int]]  # of one flow: since when [ps], how fast [bytes/s], and the link that set it


class Met(NamedTuple):
    """What became of a flow."""

    end_ps: int
    rates: Rates


class _Ends:
    """Notes when flows end, and tells nobody."""

    def __init__(self, num_flows: int) -> None:
        self.end_ps = [-1] * num_flows

    def begins(self, cargo: int, now_ps: int) -> None:
        """Take note of nothing: flows begin when it was said."""

    def ends(self, cargo: int, now_ps: int) -> None:
        """Note when a flow ends."""
        self.end_ps[cargo] = now_ps


def meet(flows: Sequence[tuple[int, FlowSpec]], cluster: Cluster) -> list[Met]:
    """Return what becomes of flows, given when each begins to drain [ps], where there are no others.

    Examples
    --------
    >>> from clustersim.scenario.fabrics import SingleNode
    >>> from clustersim.topology.table import build_cluster
    >>> node = build_cluster(SingleNode(fabric="single-node", gpus=3, scaleup={"bandwidth": "1 GB/s"}))
    >>> flows = [(begin_ps, FlowSpec(node.route(gpu, 2), (1, 1), 10**9)) for begin_ps, gpu in ((0, 0), (5 * 10**11, 1))]
    >>> [met.end_ps for met in meet(flows, node)]
    [1500000000000, 2000000000000]
    """
    env, log, ends = Timeline(), RateLog(), _Ends(len(flows))
    numbers = sorted({link for _, flow in flows for link in flow.links})
    network = FairNetwork(env, {number: cluster.links[number] for number in numbers}, log)
    for number, (begin_ps, flow) in enumerate(flows):
        draining = Draining(ends, number, flow.links, flow.streams, flow.volume_bytes, 0, number, logged_as=number)
        network.join_at(begin_ps, draining)
    env.run_to_end(lambda _num_events: None)
    rates: list[Rates] = [[] for _ in flows]
    for number, *rate in zip(log.flow, log.start_ps, log.bytes_per_s, log.bottleneck, strict=True):
        rates[number].append((rate[0], rate[1], rate[2]))
    return [Met(end_ps, own) for end_ps, own in zip(ends.end_ps, rates, strict=True)]


def still_busy(met: dict[int, tuple[int, int]], time_ps: int) -> set[int]:
    """Return which flows, each with its begin and end, may still bear upon what happens at `time_ps` or later. [ps]

    Flows that all ended before others began have nothing more to do with them.

    Examples
    --------
    >>> sorted(still_busy({1: (0, 5), 2: (5, 9), 3: (8, 12), 4: (11, 20)}, 15))
    [2, 3, 4]
    >>> still_busy({1: (0, 5), 2: (5, 9), 3: (10, 12)}, 10)
    set()
    """
    since_ps, latest_ps = 0, -1
    for begin_ps, end_ps in sorted(times for times in met.values() if times[0] < time_ps):
        if begin_ps >= latest_ps:
            since_ps = begin_ps
        latest_ps = max(latest_ps, end_ps)
    if latest_ps < time_ps:
        return set()
    return {flow for flow, (begin_ps, _) in met.items() if since_ps <= begin_ps < time_ps}
