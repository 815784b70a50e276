"""What messages did to links: the columns of links, and of the rates at which flows drained."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from clustersim.engine.fair import RateLog
from clustersim.topology.cluster import Cluster
from clustersim.trace import Floats, Ints, Links, Rates


class Loads:
    """How messages of one size load the links of one route: (route, size) -> count, and where each message belongs.

    Parameters
    ----------
    routes
        Links of each route, in order.
    route
        Route of each message.
    size_bytes
        Size of each message. [bytes]
    """

    def __init__(self, routes: Sequence[tuple[int, ...]], route: Ints, size_bytes: Ints) -> None:
        self.routes = routes
        sizes, size_number = np.unique(size_bytes, return_inverse=True)
        groups, self.group_of_message, counts = np.unique(
            route * max(1, len(sizes)) + size_number, return_inverse=True, return_counts=True
        )
        self.groups = [
            (routes[group // len(sizes)], int(sizes[group % len(sizes)]), count)
            for group, count in zip(groups.tolist(), counts.tolist(), strict=True)
        ]
        self.used = sorted({link for links in routes for link in links})


def first_holds_ps(cluster: Cluster, fair: Collection[int], loads: Loads) -> Ints:
    """Return how long each message held the first link of its route; 0 for flows, which hold none. [ps]"""
    holds = _ints(
        cluster.links[links[0]].transfer_ps(size) if links and links[0] not in fair else 0
        for links, size, _ in loads.groups
    )
    return holds[loads.group_of_message]


def link_columns(
    cluster: Cluster, fair: Collection[int], loads: Loads, queued_ps: Mapping[int, int], slowed_ps: Ints
) -> Links:
    """Return the links that carried something.

    Parameters
    ----------
    cluster
        The cluster.
    fair
        Links that were shared fairly.
    loads
        What the messages were.
    queued_ps
        Time that messages waited at each FIFO link. [ps]
    slowed_ps
        Time that flows lost at each link used. [ps]
    """
    used = loads.used
    row = {link: number for number, link in enumerate(used)}
    size_bytes, busy_ps, num_messages = (np.zeros(len(used), dtype=np.int64) for _ in range(3))
    for links, size, count in loads.groups:
        for link in links:
            size_bytes[row[link]] += size * count
            busy_ps[row[link]] += cluster.links[link].transfer_ps(size) * count
            num_messages[row[link]] += count
    for link in fair:  # a FIFO link is held for whole messages, a fair one for the sum of all parts
        busy_ps[row[link]] = cluster.links[link].transfer_ps(int(size_bytes[row[link]]))
    return Links(
        name=tuple(cluster.links[link].name for link in used),
        number=_ints(used),
        is_fair=np.isin(used, sorted(fair)),
        bytes_per_s=_bandwidths(cluster, used),
        latency_ps=_ints(cluster.links[link].latency_ps for link in used),
        size_bytes=size_bytes,
        busy_ps=busy_ps,
        queued_ps=_ints(queued_ps.get(link, 0) for link in used),
        slowed_ps=slowed_ps,
        num_messages=num_messages,
    )


def rate_columns(log: RateLog, loads: Loads) -> Rates:
    """Return the rates that were noted."""
    return Rates(
        transfer=np.array(log.transfer, dtype=np.int64),
        start_ps=np.array(log.start_ps, dtype=np.int64),
        bytes_per_s=np.array(log.bytes_per_s, dtype=np.float64),
        bottleneck=np.searchsorted(loads.used, np.array(log.bottleneck, dtype=np.int64)),
    )


def slowed_by_link_ps(cluster: Cluster, loads: Loads, rates: Rates, route: Ints, end_ps: Ints) -> Ints:
    """Return the time that flows lost by sharing, by the link that was their bottleneck meanwhile. [ps]

    A flow at half the rate that it would have alone loses half of that time. Over its whole way it so loses
    end - start - size / bandwidth of the slowest link, but for the rounding of its end.
    """
    alone = np.array([_bandwidths(cluster, links).min(initial=np.inf) for links in loads.routes])
    lasted_ps = rates.until_ps(end_ps) - rates.start_ps
    lost_ps = lasted_ps * (1 - rates.bytes_per_s / alone[route[rates.transfer]])
    return np.rint(np.bincount(rates.bottleneck, lost_ps, minlength=len(loads.used))).astype(np.int64)


def _bandwidths(cluster: Cluster, links: Iterable[int]) -> Floats:
    bandwidths = (cluster.links[link].bandwidth_bytes_per_s for link in links)
    return np.array([np.inf if bandwidth is None else float(bandwidth) for bandwidth in bandwidths])


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, dtype=np.int64)
