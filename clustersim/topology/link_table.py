"""All links of a cluster as columns of numbers: what is counted or added up over a whole fabric is read from here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustersim.scenario.fabrics import LinkSpec
from clustersim.topology.cluster import Cluster
from clustersim.topology.wires import WireLinks, Wires

Numbers = NDArray[np.int64]
# Sums up to here are exact in 64 bits; larger ones are done in Python's integers.
_MAX_SUM = 2**62


@dataclass(frozen=True, slots=True)
class Make:
    """What links of one make have in common; None is unlimited bandwidth."""

    role: str
    bandwidth_bytes_per_s: Fraction | None
    latency_ps: int


@dataclass(frozen=True, slots=True, eq=False)
class LinkTable:
    """The directed links of a cluster, in no particular order.

    Parameters
    ----------
    nodes
        Names of the nodes; columns have their positions here.
    source, target
        Ends of each link.
    make
        Make of each link, a position in `makes`.
    makes
        The different makes, by first appearance.
    """

    nodes: tuple[str, ...]
    source: Numbers
    target: Numbers
    make: Numbers
    makes: tuple[Make, ...]

    @property
    def is_unlimited(self) -> NDArray[np.bool_]:
        """Whether each make has unlimited bandwidth."""
        return np.array([make.bandwidth_bytes_per_s is None for make in self.makes], dtype=np.bool_)

    @property
    def denominator(self) -> int:
        """The number by which every bandwidth is multiplied so that all are whole."""
        return math.lcm(*(make.bandwidth_bytes_per_s.denominator for make in self.makes if make.bandwidth_bytes_per_s))

    @property
    def capacities(self) -> NDArray[Any]:
        """Bandwidth of each make times `denominator`, whole numbers; 0 for unlimited. [bytes/s]

        Of a type in which the sum over all links is exact.
        """
        whole = [int((make.bandwidth_bytes_per_s or 0) * self.denominator) for make in self.makes]
        is_small = max(whole, default=0) * len(self.source) < _MAX_SUM
        return np.array(whole, dtype=np.int64 if is_small else object)


def link_table(cluster: Cluster) -> LinkTable:
    """Return the links of a cluster; those of large fabrics are read wire by wire, without making any `Link`.

    Examples
    --------
    >>> from clustersim.scenario.fabrics import Ring
    >>> from clustersim.topology.ring import ring
    >>> table = link_table(ring(Ring(fabric="ring", gpus=3)))
    >>> table.source.tolist(), table.target.tolist(), len(table.makes)
    ([0, 1, 2, 0, 1, 2], [1, 2, 0, 2, 0, 1], 1)
    """
    nodes = tuple(cluster.nodes)
    position = {node: index for index, node in enumerate(nodes)}
    makes: dict[Make, int] = {}
    if isinstance(cluster.links, WireLinks):
        columns = _of_wires(cluster.links, position, makes)
    else:
        columns = _of_links(cluster, position, makes)
    return LinkTable(nodes, *columns, tuple(makes))


def _of_links(cluster: Cluster, position: dict[str, int], makes: dict[Make, int]) -> tuple[Numbers, Numbers, Numbers]:
    rows = [
        (
            position[link.source],
            position[link.target],
            makes.setdefault(Make("", link.bandwidth_bytes_per_s, link.latency_ps), len(makes)),
        )
        for link in cluster.links
    ]
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def _of_wires(links: WireLinks, position: dict[str, int], makes: dict[Make, int]) -> tuple[Numbers, Numbers, Numbers]:
    parts = [_of_kind(kind, position, makes) for kind in links.kinds]
    lower, upper, make = (np.concatenate(column) for column in zip(*parts, strict=True))
    return np.concatenate([lower, upper]), np.concatenate([upper, lower]), np.concatenate([make, make])


def _of_kind(kind: Wires, position: dict[str, int], makes: dict[Make, int]) -> tuple[Numbers, Numbers, Numbers]:
    """Return the lower end, the upper end and the make of each wire of a kind."""
    columns = tuple(zip(*map(kind.wire, range(kind.count)), strict=True)) or ((), (), ())
    lower, upper = (np.fromiter((position[end] for end in ends), np.int64, kind.count) for ends in columns[:2])
    # Models are told apart by identity first: to hash one costs more than all else that is done with a wire.
    specs: dict[int, LinkSpec] = {id(spec): spec for spec in columns[2]}
    make_of = {
        key: makes.setdefault(Make(kind.role, spec.bandwidth, spec.latency), len(makes)) for key, spec in specs.items()
    }
    return lower, upper, np.fromiter((make_of[id(spec)] for spec in columns[2]), np.int64, kind.count)
