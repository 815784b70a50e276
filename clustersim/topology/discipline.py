"""Which links of a run are shared by max-min fairness, and which serve one message after the other (FIFO).

1. What the topology writes holds: ``sharing: fair`` or ``sharing: fifo``.
2. Unwritten, a link is fair if it has several senders: more than one GPU of the job sends over it, or it leaves a
   switch at which two or more other wires come in. A link that one GPU has for itself is FIFO. So is one of unlimited
   bandwidth, which nothing ever waits for.
3. A message whose route has a fair link is a *flow* over its whole route: it waits the sum of the latencies, then
   drains at one rate, for which there must be room on every link. All links of limited bandwidth on its route are
   therefore fair, for whoever else uses them, ``sharing: fifo`` or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property

from clustersim.topology.cluster import Cluster, Link

Pair = tuple[int, int]
Links = tuple[int, ...]


class Senders:
    """Who sends over the links of a cluster: the GPUs of the job, and whoever a switch lets through."""

    def __init__(self, cluster: Cluster, routes: Mapping[Pair, Links]) -> None:
        self._cluster = cluster
        self._gpus: dict[int, set[int]] = {}
        for (source, _), links in routes.items():
            for number in links:
                self._gpus.setdefault(number, set()).add(source)

    def are_several(self, number: int) -> bool:
        """Return whether a link has more than one sender."""
        if len(self._gpus[number]) > 1:
            return True
        link = self._cluster.links[number]
        is_switch = self._cluster.nodes[link.source].get("kind") != "gpu"
        return is_switch and self._num_inputs[link.source] - self._comes_back(link) > 1

    @cached_property
    def _num_inputs(self) -> Counter[str]:
        return Counter(link.target for link in self._cluster.links)

    @cached_property
    def _ends(self) -> set[tuple[str, str]]:
        return {(link.source, link.target) for link in self._cluster.links}

    def _comes_back(self, link: Link) -> bool:
        """Return whether the wire also leads the other way: nothing that comes in there leaves by `link`."""
        return not self._cluster.directed or (link.target, link.source) in self._ends


def fair_links(cluster: Cluster, routes: Mapping[Pair, Links]) -> frozenset[int]:
    """Return the links that a job's messages share by max-min fairness.

    Parameters
    ----------
    cluster
        The cluster.
    routes
        Links between each two GPUs that exchange messages.
    """
    senders = Senders(cluster, routes)
    return _with_their_routes(
        cluster,
        routes,
        (
            number
            for number in _limited(cluster, routes)
            if cluster.links[number].sharing == "fair"
            or (cluster.links[number].sharing is None and senders.are_several(number))
        ),
    )


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
