"""Which links of a run are shared by max-min fairness, and which serve one message after the other (FIFO).

1. What the topology writes holds: ``sharing: fair`` or ``sharing: fifo``.
2. Unwritten, the links of a job are FIFO in this version; those of a list of flows are fair. A link of unlimited
   bandwidth, which nothing ever waits for, is FIFO always.
3. A message whose route has a fair link is a *flow* over its whole route: it waits the sum of the latencies, then
   drains at one rate, for which there must be room on every link. All links of limited bandwidth on its route are
   therefore fair, for whoever else uses them, ``sharing: fifo`` or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clustersim.topology.cluster import Cluster

Pair = tuple[int, int]
Links = tuple[int, ...]


def fair_links(cluster: Cluster, routes: Mapping[Pair, Links]) -> frozenset[int]:
    """Return the links that a job's messages share by max-min fairness.

    Parameters
    ----------
    cluster
        The cluster.
    routes
        Links between each two GPUs that exchange messages.
    """
    seeds = (number for number in _limited(cluster, routes) if cluster.links[number].sharing == "fair")
    return _with_their_routes(cluster, routes, seeds)


def fair_links_of_flows(cluster: Cluster, routes: Mapping[Pair, Links]) -> frozenset[int]:
    """Return the same for flows that nobody schedules: each sends for itself, so that all but FIFO links are fair."""
    seeds = (number for number in _limited(cluster, routes) if cluster.links[number].sharing != "fifo")
    return _with_their_routes(cluster, routes, seeds)


def _limited(cluster: Cluster, routes: Mapping[Pair, Links]) -> list[int]:
    numbers = dict.fromkeys(number for links in routes.values() for number in links)
    return [number for number in numbers if cluster.links[number].bandwidth_bytes_per_s is not None]


def _with_their_routes(cluster: Cluster, routes: Mapping[Pair, Links], seeds: Iterable[int]) -> frozenset[int]:
    """Return `seeds` with every limited link of every route that has a fair link."""
    limited = frozenset(_limited(cluster, routes))
    routes_of: dict[int, list[Links]] = {}
    for links in routes.values():
        for number in links:
            routes_of.setdefault(number, []).append(links)
    waiting = list(seeds)
    found = set(waiting)
    while waiting:
        for links in routes_of.pop(waiting.pop(), ()):
            new = [number for number in links if number in limited and number not in found]
            found.update(new)
            waiting += new
    return frozenset(found)
