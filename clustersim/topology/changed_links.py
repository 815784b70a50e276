"""The links of a cluster with other bandwidths or latencies, everything else as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import overload

from clustersim.topology.cluster import Cluster, Link


class ChangedLinks(Sequence[Link]):
    """Links of which each is changed when it is looked at.

    Examples
    --------
    >>> faster = ChangedLinks([Link("a", "b", None, 8)], lambda number, link: replace(link, latency_ps=4))
    >>> faster[0].latency_ps, len(faster)
    (4, 1)
    """

    def __init__(self, original: Sequence[Link], change: Callable[[int, Link], Link]) -> None:
        self.original, self._change = original, change

    def __len__(self) -> int:
        return len(self.original)

    @overload
    def __getitem__(self, index: int) -> Link: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Link]: ...
    def __getitem__(self, index: int | slice) -> Link | Sequence[Link]:
        if isinstance(index, slice):
            return tuple(self[position] for position in range(*index.indices(len(self))))
        return self._change(index, self.original[index])


def with_changed_links(cluster: Cluster, change: Callable[[int, Link], Link]) -> Cluster:
    """Return a cluster whose links are what `change` makes of each, given its number and itself."""
    return replace(cluster, links=ChangedLinks(cluster.links, change))
