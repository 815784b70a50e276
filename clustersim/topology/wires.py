"""Wires of large fabrics: numbered by closed forms, their links made when looked at.

A wire is full duplex. Wire w is link 2w from its lower end to its upper end and link 2w + 1 back.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np

from clustersim.scenario.fabrics import LinkSpec
from clustersim.topology.cluster import Ints, Link, one_way
from clustersim.topology.link_sequence import LinkSequence


@dataclass(frozen=True, slots=True)
class Wires:
    """Wires of one kind: how many, the lower end, the upper end and the link of each, and what they are for.

    After so many wires as `period` says equal links between equal kinds of nodes come again; 0: nobody knows.
    """

    count: int
    wire: Callable[[int], tuple[str, str, LinkSpec]]
    role: str = ""
    period: int = 0


class WireLinks(LinkSequence):
    """The links of several kinds of wires, numbered kind after kind.

    Examples
    --------
    >>> up = Wires(2, lambda wire: (f"gpu{wire}", "switch", LinkSpec()))
    >>> [link.name for link in WireLinks((up,))]
    ['gpu0->switch', 'switch->gpu0', 'gpu1->switch', 'switch->gpu1']
    """

    def __init__(self, kinds: Sequence[Wires]) -> None:
        self._kinds = tuple(kinds)
        self._first, self._num_links = _first_wires(self._kinds)

    @property
    def kinds(self) -> tuple[Wires, ...]:
        """The wires, kind by kind."""
        return self._kinds

    def __len__(self) -> int:
        return self._num_links

    def role_of(self, index: int) -> str:
        """Return what a link is for; empty where its kind does not say."""
        return self._kinds[bisect_right(self._first, index // 2) - 1].role

    def alike(self, numbers: Ints) -> Ints:
        """Return, for each link, the first of its kind at its place in a period."""
        wires = numbers // 2
        ends = np.cumsum([kind.count for kind in self._kinds])
        kind = np.searchsorted(ends, wires, side="right")
        first, periods = np.array(self._first)[kind], np.array([kind.period for kind in self._kinds])[kind]
        place = np.where(periods > 0, (wires - first) % np.maximum(periods, 1), wires - first)
        return np.asarray(2 * (first + place) + numbers % 2)

    def link(self, index: int) -> Link:
        """Return the link of a number."""
        wire, is_back = divmod(index, 2)
        kind = bisect_right(self._first, wire) - 1
        lower, upper, spec = self._kinds[kind].wire(wire - self._first[kind])
        return one_way(upper, lower, spec) if is_back else one_way(lower, upper, spec)


def _first_wires(kinds: Sequence[Wires]) -> tuple[tuple[int, ...], int]:
    """Return the number of each kind's first wire, and the number of all links."""
    ends = tuple(accumulate(kind.count for kind in kinds))
    return (0, *ends[:-1]), 2 * (ends[-1] if ends else 0)


@lru_cache(maxsize=1024)
def part_of(spec: LinkSpec, numerator: int, denominator: int = 1) -> LinkSpec:
    """Return a link with a fraction, or a multiple, of the bandwidth of `spec`.

    Examples
    --------
    >>> part_of(LinkSpec(bandwidth="300 GB/s", latency="1 us"), 1, 6).bandwidth
    Fraction(50000000000, 1)
    """
    if spec.bandwidth is None or numerator == denominator:
        return spec
    return spec.model_copy(update={"bandwidth": spec.bandwidth * numerator / denominator})
