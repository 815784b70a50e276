"""Networks and flows drawn at random: trees, rings, meshes and graphs of any shape, with a route for every pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from random import Random

import networkx as nx

from clustersim.engine.flows import GivenFlow
from clustersim.topology.cluster import Cluster, Link

MS = 10**9  # [ps]
_ROUND_BYTES_PER_S = (10**9, 2 * 10**9, 5 * 10**9, 12_500_000_000, 25 * 10**9, 50 * 10**9)


@dataclass(frozen=True)
class Network:
    """Full-duplex wires, the routes between the GPUs that talk, and what they send; flows start at whole milliseconds.

    Parameters
    ----------
    family
        What it was drawn as.
    num_gpus
        The nodes 0 to `num_gpus` - 1 are GPUs, further ones switches.
    wires
        (node, node, bandwidth each way [bytes/s]).
    routes
        (index of a wire, whether it is crossed as it is written), by (source, destination).
    """

    family: str
    num_gpus: int
    wires: tuple[tuple[int, int, int], ...]
    routes: dict[tuple[int, int], tuple[tuple[int, bool], ...]]
    flows: tuple[GivenFlow, ...]

    def cluster(self) -> Cluster:
        """Return the cluster: wire n is link 2n as it is written, and link 2n + 1 back."""
        links = []
        for first, second, bytes_per_s in self.wires:
            for source, target in ((first, second), (second, first)):
                links.append(Link(f"n{source}", f"n{target}", Fraction(bytes_per_s), 0))
        routes = {
            pair: tuple(2 * wire + (not as_written) for wire, as_written in hops) for pair, hops in self.routes.items()
        }
        gpus = tuple(f"n{number}" for number in range(self.num_gpus))
        nodes: dict[str, dict[str, object]] = {gpu: {"kind": "gpu"} for gpu in gpus}
        for link in links:
            nodes.setdefault(link.source, {"kind": "switch"})
        return Cluster(self.family, nodes, gpus, links, lambda source, destination: routes.get((source, destination)))


def draw_network(family: str, random: Random) -> Network:
    """Return a network of a family in `FAMILIES` with up to 40 flows; some pairs of GPUs have several."""
    num_gpus, edges = FAMILIES[family](random)
    bandwidths = random.choice([_ROUND_BYTES_PER_S, tuple(random.randint(10**9, 10**11) for _ in edges)])
    wires = tuple((*edge, random.choice(bandwidths)) for edge in edges)
    talking = [tuple(random.sample(range(num_gpus), 2)) for _ in range(random.randint(1, 12))]
    routes = {(source, destination): _route(edges, source, destination, random) for source, destination in talking}
    starts_ms = [0, *(random.randrange(3000) for _ in range(random.randint(0, 12)))]
    flows = tuple(
        GivenFlow(*random.choice(list(routes)), random.randint(10**8, 10**10), random.choice(starts_ms) * MS)
        for _ in range(random.randint(1, 40))
    )
    return Network(family, num_gpus, wires, routes, flows)


Edges = Sequence[tuple[int, int]]


def _tree(random: Random) -> tuple[int, Edges]:
    """Each switch hangs from one before it, each GPU from any switch."""
    num_gpus, num_switches = random.randint(2, 24), random.randint(1, 8)
    switches = [(num_gpus + child, num_gpus + random.randrange(child)) for child in range(1, num_switches)]
    return num_gpus, [*switches, *((gpu, num_gpus + random.randrange(num_switches)) for gpu in range(num_gpus))]


def _ring(random: Random) -> tuple[int, Edges]:
    num_gpus = random.randint(3, 12)
    return num_gpus, [(gpu, (gpu + 1) % num_gpus) for gpu in range(num_gpus)]


def _mesh(random: Random) -> tuple[int, Edges]:
    width, height = random.randint(2, 5), random.randint(2, 5)
    across = [(row * width + x, row * width + x + 1) for row in range(height) for x in range(width - 1)]
    return width * height, [*across, *((node, node + width) for node in range(width * (height - 1)))]


def _graph(random: Random) -> tuple[int, Edges]:
    """Any connected graph; GPUs forward, too."""
    num_gpus, num_nodes = random.randint(2, 12), random.randint(12, 20)
    spanning = [(node, random.randrange(node)) for node in range(1, num_nodes)]
    further = [tuple(sorted(random.sample(range(num_nodes), 2), reverse=True)) for _ in range(random.randint(0, 20))]
    return num_gpus, list(dict.fromkeys([*spanning, *((first, second) for first, second in further)]))


FAMILIES = {"tree": _tree, "ring": _ring, "mesh": _mesh, "graph": _graph}


def _route(edges: Edges, source: int, destination: int, random: Random) -> tuple[tuple[int, bool], ...]:
    """Return a simple path, the shortest by lengths drawn for it: of few hops often, but not always."""
    graph: nx.Graph[int] = nx.Graph()
    graph.add_weighted_edges_from((*edge, random.random()) for edge in edges)
    path = nx.shortest_path(graph, source, destination, weight="weight")
    number_by_edge = {edge: number for number, edge in enumerate(edges)}
    return tuple(
        (number_by_edge[hop], True) if hop in number_by_edge else (number_by_edge[hop[1], hop[0]], False)
        for hop in pairwise(path)
    )
