"""Which links of their ways tell the rates of flows: of those that the same flows cross, the narrowest is enough."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import gcd
from typing import NamedTuple

from clustersim.engine.open_flows import FlowSpec
from clustersim.topology.cluster import Cluster

_Users = tuple[tuple[int, int], ...]  # ways, and in which proportion their streams are on a link


class _Shared(NamedTuple):
    """A link as those see it that cross it."""

    number: int
    rate: Fraction | None  # what it has for each unit of the proportion; None: without limit [bytes/s]


class TellingLinks:
    """What remains of the ways of flows if links are left out that never set a rate.

    A ring of a data-parallel group crosses dozens of links that nobody else does. All of them fill alike, so that the
    narrowest fills first: of equal ones the first on the way, which is the bottleneck of a flow.

    Parameters
    ----------
    flows
        All flows that there are.
    cluster
        Where they are.

    Examples
    --------
    >>> from clustersim.scenario.fabrics import SingleNode
    >>> from clustersim.topology.table import build_cluster
    >>> node = build_cluster(SingleNode(fabric="single-node", gpus=3, scaleup={"bandwidth": "1 GB/s"}))
    >>> one, other = (FlowSpec(node.route(gpu, 2), (1, 1), 1) for gpu in (0, 1))
    >>> [len(TellingLinks(flows, node).of(one).links) for flows in ([one], [one, other])]
    [1, 2]
    """

    def __init__(self, flows: Iterable[FlowSpec], cluster: Cluster) -> None:
        self._ways = list({(id(flow.links), id(flow.streams)): flow for flow in flows}.values())
        self._kept = {number for users, links in self._by_users(cluster) for number in self._narrowest(users, links)}
        self._known: dict[tuple[int, int], FlowSpec] = {}

    def of(self, flow: FlowSpec) -> FlowSpec:
        """Return a flow on the links that tell its rate."""
        key = id(flow.links), id(flow.streams)
        if key not in self._known:
            kept = [hop for hop in zip(flow.links, flow.streams, strict=True) if hop[0] in self._kept]
            self._known[key] = flow._replace(
                links=tuple([link for link, _ in kept]), streams=tuple([streams for _, streams in kept])
            )
        return self._known[key]._replace(volume_bytes=flow.volume_bytes)

    def _by_users(self, cluster: Cluster) -> Iterable[tuple[_Users, list[_Shared]]]:
        users: dict[int, list[tuple[int, int]]] = {}
        for way, flow in enumerate(self._ways):
            for link, streams in zip(flow.links, flow.streams, strict=True):
                users.setdefault(link, []).append((way, streams))
        found: dict[_Users, list[_Shared]] = {}
        rates: dict[tuple[int, int], Fraction | None] = {}  # by bandwidth, as an object: to divide fractions takes long
        for number, own in users.items():
            common = gcd(*(streams for _, streams in own))
            bandwidth = cluster.link(number).bandwidth_bytes_per_s
            key = id(bandwidth), common
            if key not in rates:
                rates[key] = None if bandwidth is None else bandwidth / common
            proportion = tuple([(way, streams // common) for way, streams in own])
            found.setdefault(proportion, []).append(_Shared(number, rates[key]))
        return found.items()

    def _narrowest(self, users: _Users, links: Sequence[_Shared]) -> Iterable[int]:
        """Return the link that tells; several if they are equal, and ways cross them in different orders."""
        if len(links) == 1:
            return (links[0].number,)
        least = min((link.rate for link in links if link.rate is not None), default=None)
        equal = {link.number for link in links if link.rate == least}
        first = {next(link for link in self._ways[way].links if link in equal) for way, _ in users}
        return first if len(first) == 1 else equal
