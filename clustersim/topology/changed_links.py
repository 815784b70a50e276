"""The links of a cluster with other bandwidths or latencies, everything else as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from clustersim.topology.cluster import Cluster, Link
from clustersim.topology.link_sequence import LinkSequence


class ChangedLinks(LinkSequence):
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

    def link(self, index: int) -> Link:
        """Return the link of a number."""
        return self._change(index, self.original[index])


def with_changed_links(cluster: Cluster, change: Callable[[int, Link], Link]) -> Cluster:
    """Return a cluster whose links are what `change` makes of each, given its number and itself."""
    return replace(cluster, links=ChangedLinks(cluster.links, change))
