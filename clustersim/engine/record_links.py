"""What messages did to links: the columns of links, and of the rates at which flows drained."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from math import ceil

import numpy as np

from clustersim.engine.fair import RateLog
from clustersim.ops import Phase
from clustersim.topology.cluster import Cluster
from clustersim.topology.link_roles import link_roles
from clustersim.trace import Floats, Ints, Links, Rates, Way


class Loads:
    """How messages of one size load the links of one route, and phases of collectives theirs; each kind is counted.

    Parameters
    ----------
    routes
        Links of each route, in order.
    route
        Route of each message.
    size_bytes
        Size of each message. [bytes]
    phases
        Every phase of a collective, as often as it took place.
    """

    def __init__(
        self, routes: Sequence[tuple[int, ...]], route: Ints, size_bytes: Ints, phases: Sequence[Phase] = ()
    ) -> None:
        self.routes = routes
        self.kinds_of_phases = list({id(phase): phase for phase in phases}.values())
        number_by_id = {id(phase): number for number, phase in enumerate(self.kinds_of_phases)}
        self.kind_of_phase = _ints(number_by_id[id(phase)] for phase in phases)
        sizes, size_number = np.unique(size_bytes, return_inverse=True)
        groups, self.group_of_message, counts = np.unique(
            route * max(1, len(sizes)) + size_number, return_inverse=True, return_counts=True
        )
        self.groups = [
            (routes[group // len(sizes)], int(sizes[group % len(sizes)]), count)
            for group, count in zip(groups.tolist(), counts.tolist(), strict=True)
        ]
        crossed = [*routes, *(phase.links for phase in self.kinds_of_phases)]
        self.used = sorted({link for links in crossed for link in links})


def first_holds_ps(cluster: Cluster, fair: Collection[int], loads: Loads) -> Ints:
    """Return how long each message held the first link of its route; 0 for flows, which hold none. [ps]"""
    holds = _ints(
        cluster.links[links[0]].hold_ps(size) if links and links[0] not in fair else 0
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
    busy_ps, num_messages = (np.zeros(len(used), dtype=np.int64) for _ in range(2))
    carried_bytes = [Fraction(0)] * len(used)
    for links, size, count in loads.groups:
        for link in links:
            carried_bytes[row[link]] += size * count
            busy_ps[row[link]] += cluster.links[link].hold_ps(size) * count
            num_messages[row[link]] += count
    counts = np.bincount(loads.kind_of_phase, minlength=len(loads.kinds_of_phases)).tolist()
    for phase, count in zip(loads.kinds_of_phases, counts, strict=True):
        for link, streams in zip(phase.links, phase.streams, strict=True):
            carried_bytes[row[link]] += phase.volume_bytes * streams * count
            num_messages[row[link]] += streams * count
    size_bytes = _ints(ceil(carried) for carried in carried_bytes)
    for link in fair:  # a FIFO link is held for whole messages, a fair one for the sum of all parts
        busy_ps[row[link]] = cluster.links[link].transfer_ps(carried_bytes[row[link]])
    return Links(
        name=tuple(cluster.links[link].name for link in used),
        number=_ints(used),
        role=link_roles(cluster, used),
        is_fair=np.isin(used, sorted(fair)),
        bytes_per_s=_bandwidths(cluster, used),
        latency_ps=_ints(cluster.links[link].latency_ps for link in used),
        overhead_ps=_ints(cluster.links[link].overhead_ps for link in used),
        size_bytes=size_bytes,
        busy_ps=busy_ps,
        queued_ps=_ints(queued_ps.get(link, 0) for link in used),
        slowed_ps=slowed_ps,
        num_messages=num_messages,
    )


def rate_columns(log: RateLog, loads: Loads) -> Rates:
    """Return the rates that were noted."""
    return Rates(
        flow=np.array(log.flow, dtype=np.int64),
        start_ps=np.array(log.start_ps, dtype=np.int64),
        bytes_per_s=np.array(log.bytes_per_s, dtype=np.float64),
        bottleneck=np.searchsorted(loads.used, np.array(log.bottleneck, dtype=np.int64)),
    )


def phase_ways(loads: Loads) -> tuple[Way, ...]:
    """Return the links of each kind of phase, as rows of the links used."""
    row = {link: number for number, link in enumerate(loads.used)}
    return tuple(Way(tuple(row[link] for link in phase.links), phase.streams) for phase in loads.kinds_of_phases)


def slowed_by_link_ps(cluster: Cluster, loads: Loads, rates: Rates, route: Ints, end_ps: Ints) -> Ints:
    """Return the time that flows lost by sharing, by the link that was their bottleneck meanwhile. [ps]

    A flow at half the rate that it would have alone loses half of that time. Over its whole way it so loses
    end - start - size / bandwidth of the slowest link, but for the rounding of its end.

    Parameters
    ----------
    cluster, loads, rates
        What flowed where, and how fast.
    route
        Route of each message.
    end_ps
        End of each flow: messages, then phases. [ps]
    """
    alone = [_bandwidths(cluster, links).min(initial=np.inf) for links in loads.routes]
    for phase in loads.kinds_of_phases:
        alone.append((_bandwidths(cluster, phase.links) / np.array(phase.streams)).min(initial=np.inf))
    way = np.concatenate([route, loads.kind_of_phase + len(loads.routes)])
    lasted_ps = rates.until_ps(end_ps) - rates.start_ps
    lost_ps = lasted_ps * (1 - rates.bytes_per_s / np.array(alone)[way[rates.flow]])
    return np.rint(np.bincount(rates.bottleneck, lost_ps, minlength=len(loads.used))).astype(np.int64)


def _bandwidths(cluster: Cluster, links: Iterable[int]) -> Floats:
    bandwidths = (cluster.links[link].bandwidth_bytes_per_s for link in links)
    return np.array([np.inf if bandwidth is None else float(bandwidth) for bandwidth in bandwidths])


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, dtype=np.int64)
