"""Runs a list of flows on a cluster, without any GPU: each starts at its time, whatever the others do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from clustersim.engine.budget import no_garbage_collection, run_within, within_64_bits
from clustersim.engine.clock import Timeline
from clustersim.engine.fair import FairNetwork, FairRoute, RateLog
from clustersim.engine.link import LinkServer, LongRoute, Mailbox
from clustersim.engine.noted_groups import in_order
from clustersim.engine.record_links import Loads, link_columns, rate_columns, slowed_by_link_ps
from clustersim.limits import Limits
from clustersim.topology.cluster import Cluster
from clustersim.topology.discipline import Links, Pair, fair_links_of_flows
from clustersim.trace import FlowTrace, FlowTransfers


class GivenFlow(NamedTuple):
    """So many bytes from one GPU to another, from some time on."""

    source: int
    destination: int
    size_bytes: int
    start_ps: int


def run_flows(flows: Sequence[GivenFlow], cluster: Cluster, limits: Limits | None = None) -> FlowTrace:
    """Return the trace of `flows` on `cluster`.

    Every flow sends for itself: all links are shared by max-min fairness, unless the topology says FIFO.

    Raises
    ------
    TopologyError
        A GPU does not exist.
    UnroutableError
        Two GPUs that exchange something have no path between them.
    InputError
        They take longer than 64 bits can tell in picoseconds.
    LimitError
        A budget was used up before the end.

    Examples
    --------
    >>> from clustersim.scenario.fabrics import SingleNode
    >>> from clustersim.topology.table import build_cluster
    >>> node = build_cluster(SingleNode(fabric="single-node", gpus=3, scaleup={"bandwidth": "1 GB/s"}))
    >>> trace = run_flows([GivenFlow(0, 2, 10**9, 0), GivenFlow(1, 2, 2 * 10**9, 0)], node)
    >>> trace.transfers.end_ps.tolist()
    [2000000000000, 3000000000000]
    """
    env, mailbox = Timeline(), Mailbox(len(flows))
    routes = {(flow.source, flow.destination): cluster.route(flow.source, flow.destination) for flow in flows}
    fair = fair_links_of_flows(cluster, routes)
    links = {number: cluster.links[number] for number in sorted(fair)}
    log = RateLog()
    network = FairNetwork(env, links, log) if links else None
    servers: dict[int, LinkServer] = {}
    ways: dict[Pair, FairRoute | LongRoute] = {}
    for pair, numbers in routes.items():
        limited = [number for number in numbers if number in fair]
        if network is not None and limited:
            ways[pair] = FairRoute(
                network, limited, (1,) * len(limited), cluster.delay_ps(numbers), mailbox, first_transfer=0
            )
        else:
            for number in numbers:
                servers.setdefault(number, LinkServer(env, cluster.links[number], is_private=False))
            ways[pair] = LongRoute(env, tuple(servers[number] for number in numbers), mailbox)
    for number, flow in enumerate(flows):
        way = ways[flow.source, flow.destination]
        way.carry_at(way.parcel(number, way.hold_ps(flow.size_bytes), flow.source), flow.start_ps)
    with no_garbage_collection(), within_64_bits():
        run_within(limits or Limits(), env)
        return _trace(flows, cluster, routes, fair, mailbox, log, servers)


def _trace(
    flows: Sequence[GivenFlow],
    cluster: Cluster,
    links_by_pair: dict[Pair, Links],
    fair: frozenset[int],
    mailbox: Mailbox,
    log: RateLog,
    servers: dict[int, LinkServer],
) -> FlowTrace:
    routes = tuple(links_by_pair.values())
    number_by_pair = {pair: number for number, pair in enumerate(links_by_pair)}
    queued_ps = np.array([flow.start_ps for flow in flows], dtype=np.int64)
    started_ps = np.array(mailbox.started, dtype=np.int64)
    transfers = FlowTransfers(
        size_bytes=np.array([flow.size_bytes for flow in flows], dtype=np.int64),
        route=np.array([number_by_pair[flow.source, flow.destination] for flow in flows], dtype=np.int64),
        queued_ps=queued_ps,
        start_ps=np.maximum(queued_ps, started_ps),  # what a GPU sends to itself never starts on a link
        end_ps=np.array(mailbox.arrived[:-1], dtype=np.int64),
    )
    kinds = Counter(zip(transfers.route.tolist(), transfers.size_bytes.tolist(), strict=True))
    loads = Loads(routes, ((*kind, count) for kind, count in kinds.items()))
    rates = rate_columns(in_order([log.noted()]), loads)
    slowed_ps = slowed_by_link_ps(cluster, loads, rates, transfers.route, transfers.end_ps)
    queued_by_link = {number: server.queued_ps for number, server in servers.items()}
    names = tuple(tuple(cluster.links[link].name for link in links) for links in routes)
    return FlowTrace(transfers, link_columns(cluster, fair, loads, queued_by_link, slowed_ps), rates, names)
