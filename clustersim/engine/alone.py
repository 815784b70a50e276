"""Flows that meet no other: the rate at which each drains, the link that sets it, and how long it so takes."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from clustersim.scenario.units import PS_PER_S
from clustersim.topology.cluster import Cluster


class Alone(NamedTuple):
    """How a flow drains that has its links to itself."""

    rate: Fraction  # of each stream; 0 where no link limits it [bytes/s]
    bottleneck: int  # the first of its fullest links; -1 where there is none


class AloneRates:
    """The rates of flows that are alone, worked out once for links of one make.

    Examples
    --------
    >>> from clustersim.scenario.fabrics import SingleNode
    >>> from clustersim.topology.table import build_cluster
    >>> node = build_cluster(SingleNode(fabric="single-node", gpus=3, scaleup={"bandwidth": "2 B/s"}))
    >>> rates = AloneRates(node)
    >>> alone = rates.of(node.route(0, 1), (1, 2))
    >>> str(alone.rate), node.links[alone.bottleneck].name, rates.drain_ps(alone, 3)
    ('1', 'switch->gpu1', 3000000000000)
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._rates: dict[tuple[int, int], Fraction] = {}  # by bandwidth, as an object, and streams
        self._drains_ps: dict[tuple[Fraction, int | Fraction], int] = {}

    def of(self, links: Sequence[int], streams: Sequence[int]) -> Alone:
        """Return how a flow drains alone that crosses limited links with so many streams each."""
        firsts: dict[tuple[int, int], int] = {}
        for link, count in zip(links, streams, strict=True):
            bandwidth = self._cluster.link(link).bandwidth_bytes_per_s
            if bandwidth is None:
                continue
            key = (id(bandwidth), count)
            if key not in firsts:
                firsts[key] = link
                if key not in self._rates:
                    self._rates[key] = bandwidth / count
        if not firsts:
            return Alone(Fraction(0), -1)
        slowest = min(firsts, key=lambda key: self._rates[key])  # the first of equal ones
        return Alone(self._rates[slowest], firsts[slowest])

    def drain_ps(self, alone: Alone, volume_bytes: int | Fraction) -> int:
        """Return how long so many bytes drain, rounded up. [ps]"""
        if not alone.rate:
            return 0
        key = (alone.rate, volume_bytes)
        if key not in self._drains_ps:
            self._drains_ps[key] = -int(-volume_bytes * PS_PER_S / alone.rate // 1)
        return self._drains_ps[key]
