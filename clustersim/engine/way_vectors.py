"""What a message of one kind takes in every replica: a number for all of them, or one for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from clustersim.engine.alone import Alone, AloneRates
from clustersim.engine.network import Network
from clustersim.trace import Ints

Time = int | Ints  # of all replicas, or of each [ps]
FifoHop = tuple[tuple[int, ...], Time, Time]  # link of each replica, for how long it is held, and its latency


class WayVector(NamedTuple):
    """How messages of one kind travel: over FIFO links, one after the other, or as flows.

    Parameters
    ----------
    hops
        FIFO links; none where they are flows.
    links, streams
        ``links[replica]``: the fair links of a flow, in order, and its streams there; none where they are no flows.
    latency_ps
        What passes before a flow drains. [ps]
    drain_ps
        How long a flow drains that meets no other. [ps]
    alone
        ``alone[replica]``: at which rate it then does.
    """

    size_bytes: int
    hops: tuple[FifoHop, ...]
    links: tuple[tuple[int, ...], ...]
    streams: tuple[tuple[int, ...], ...]
    latency_ps: Time
    drain_ps: Time
    alone: tuple[Alone, ...]


def way_vectors(
    network: Network, kinds: Sequence[tuple[int, int, int]], num_replicas: int, rates: AloneRates
) -> list[WayVector] | None:
    """Return the way of each kind of message (source, destination, size), the same kind for all replicas.

    None if messages of a kind are flows in some replicas and pass FIFO links in others, or in unlike numbers, or if
    FIFO links are shared.
    """
    pairs = [network.gpu_pairs(replica) for replica in range(num_replicas)]
    ways: list[WayVector] = []
    sharing: dict[int, tuple[int, ...]] = {}  # FIFO links that replicas use in one place
    for source, destination, size_bytes in kinds:
        routes = [network.link_ids[own[source, destination]] for own in pairs]
        fair = [network.fair_way(own[source, destination]) for own in pairs]
        if all(links for links, _ in fair):
            ways.append(_flow_way(network, routes, fair, size_bytes, rates))
        elif any(links for links, _ in fair) or len({len(route) for route in routes}) > 1:
            return None
        else:
            hops = tuple([_fifo_hop(network, numbers, size_bytes) for numbers in zip(*routes, strict=True)])
            for numbers, _, _ in hops:
                if any(sharing.setdefault(number, numbers) != numbers for number in numbers):
                    return None
                if len(set(numbers)) < len(numbers) or not all(map(network.is_private, numbers)):
                    return None
            ways.append(WayVector(size_bytes, hops, (), (), 0, 0, ()))
    return ways


def _flow_way(
    network: Network,
    routes: Sequence[tuple[int, ...]],
    fair: Sequence[tuple[tuple[int, ...], tuple[int, ...]]],
    size_bytes: int,
    rates: AloneRates,
) -> WayVector:
    latencies: dict[tuple[tuple[int, int, int], ...], int] = {}
    latency_ps = []
    for route in routes:
        makes = tuple([network.link(number).make for number in route])
        if makes not in latencies:
            latencies[makes] = network.cluster.delay_ps(route)
        latency_ps.append(latencies[makes])
    links, streams = zip(*fair, strict=True)
    alone = tuple([rates.of(*way) for way in fair])
    drain_ps = [rates.drain_ps(one, size_bytes) for one in alone]
    return WayVector(size_bytes, (), links, streams, agreed(latency_ps), agreed(drain_ps), alone)


def _fifo_hop(network: Network, numbers: tuple[int, ...], size_bytes: int) -> FifoHop:
    links = [network.link(number) for number in numbers]
    holds: dict[tuple[int, int, int], int] = {}
    for link in links:
        if link.make not in holds:
            holds[link.make] = link.hold_ps(size_bytes)
    return numbers, agreed([holds[link.make] for link in links]), agreed([link.latency_ps for link in links])


def agreed(values: Sequence[int]) -> Time:
    """Return the one value that all have, or else each one's. [ps]"""
    return values[0] if len(set(values)) == 1 else np.array(values, dtype=np.int64)


def by_replica(time: Time, num_replicas: int) -> Ints:
    """Return the time of each replica. [ps]"""
    return np.array(np.broadcast_to(time, num_replicas))


def longest(time: Time) -> int:
    """Return the longest of the times of all replicas. [ps]"""
    return time if isinstance(time, int) else int(time.max())
