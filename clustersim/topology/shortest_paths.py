"""Routes in an arbitrary graph: shortest paths in hops, found when first asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clustersim.topology.cluster import Link

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True, slots=True)
class ShortestPaths:
    """A router for any graph.

    A route is a path of the fewest hops, over switches and GPUs alike. Among equal ones it is the one that, at each
    hop, goes to the node that stands first in the file: neither the order of the edges nor any hash plays a part.

    Parameters
    ----------
    gpus
        Node name of each GPU, by GPU number.
    exits
        Each node's (next node, link id), in node order.
    arrivals
        The graph with every link turned round, to count hops back from a destination.
    """

    gpus: tuple[str, ...]
    exits: dict[str, tuple[tuple[str, int], ...]]
    arrivals: nx.DiGraph[str]
    _hops_to: dict[str, dict[str, int]] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, source: int, destination: int) -> tuple[int, ...] | None:
        """Return the links from one GPU to another; None if there is no path."""
        node, end = self.gpus[source], self.gpus[destination]
        if end not in self._hops_to:
            import networkx as nx

            self._hops_to[end] = dict(nx.single_source_shortest_path_length(self.arrivals, end))
        hops_left = self._hops_to[end]
        if node not in hops_left:
            return None
        route = []
        while node != end:
            node, link = next(
                (target, link) for target, link in self.exits[node] if hops_left.get(target) == hops_left[node] - 1
            )
            route.append(link)
        return tuple(route)


def shortest_paths(nodes: Sequence[str], gpus: tuple[str, ...], links: Sequence[Link]) -> ShortestPaths:
    """Return the router of a graph with `nodes` in file order."""
    import networkx as nx

    position = {node: index for index, node in enumerate(nodes)}
    exits: dict[str, list[tuple[str, int]]] = {node: [] for node in nodes}
    arrivals: nx.DiGraph[str] = nx.DiGraph()
    arrivals.add_nodes_from(nodes)
    for link_id, link in enumerate(links):
        exits[link.source].append((link.target, link_id))
        arrivals.add_edge(link.target, link.source)
    in_node_order = {node: tuple(sorted(ways, key=lambda way: position[way[0]])) for node, ways in exits.items()}
    return ShortestPaths(gpus, in_node_order, arrivals)
