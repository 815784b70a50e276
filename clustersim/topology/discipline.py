"""Which links of a run are shared by max-min fairness, and which serve one message after the other (FIFO).

1. What the topology writes holds: ``sharing: fair`` or ``sharing: fifo``.
2. Unwritten, a link is fair where several GPUs send over it, and in a list of flows, each of which sends for itself. A
   link that one GPU alone sends over is FIFO, as that GPU would queue its own messages. So is, always, a link of
   unlimited bandwidth, which nothing ever waits for.
3. A message whose route has a fair link is a *flow* over its whole route: it waits the sum of the latencies, then
   drains at one rate, for which there must be room on every link. All links of limited bandwidth on its route are
   therefore fair, for whoever else uses them, ``sharing: fifo`` or not.
4. The streams of a collective are flows: whatever links they cross are fair where anything else crosses them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clustersim.topology.cluster import Cluster

Pair = tuple[int, int]
Links = tuple[int, ...]


def fair_links(cluster: Cluster, routes: Mapping[Pair, Links], of_collectives: Iterable[int] = ()) -> frozenset[int]:
    """Return the links that a job shares by max-min fairness.

    Parameters
    ----------
    cluster
        The cluster.
    routes
        Links between each two GPUs that exchange messages.
    of_collectives
        Links that streams of collectives cross.
    """
    sender: dict[int, int] = {}
    has_several: set[int] = set()
    for (source, _), links in routes.items():
        for number in links:
            if sender.setdefault(number, source) != source:
                has_several.add(number)

    def is_fair(number: int) -> bool:
        link = cluster.link(number)
        is_asked_for = link.sharing == "fair" or (link.sharing is None and number in has_several)
        return is_asked_for and link.bandwidth_bytes_per_s is not None

    seeds = [number for number in sender if is_fair(number)]
    return _with_their_routes(cluster, routes, [*seeds, *of_collectives])


def fair_links_of_flows(cluster: Cluster, routes: Mapping[Pair, Links]) -> frozenset[int]:
    """Return the same for flows that nobody schedules: each sends for itself, so that all but FIFO links are fair."""
    seeds = (number for number in _limited(cluster, routes) if cluster.link(number).sharing != "fifo")
    return _with_their_routes(cluster, routes, seeds)


def _limited(cluster: Cluster, routes: Mapping[Pair, Links]) -> list[int]:
    numbers = dict.fromkeys(number for links in routes.values() for number in links)
    return [number for number in numbers if cluster.link(number).bandwidth_bytes_per_s is not None]


def _with_their_routes(cluster: Cluster, routes: Mapping[Pair, Links], seeds: Iterable[int]) -> frozenset[int]:
    """Return `seeds` with every limited link of every route that has a fair link."""
    waiting = list(dict.fromkeys(seeds))
    if not waiting:
        return frozenset()
    limited = frozenset(_limited(cluster, routes))
    routes_of: dict[int, list[Links]] = {}
    for links in routes.values():
        for number in links:
            routes_of.setdefault(number, []).append(links)
    found = set(waiting)
    while waiting:
        for links in routes_of.pop(waiting.pop(), ()):
            new = [number for number in links if number in limited and number not in found]
            found.update(new)
            waiting += new
    return frozenset(found)
