"""Graph: any topology, read from a GraphML or node-link JSON file.

Nodes of ``kind: gpu`` are the GPUs, numbered in node order; every other node only forwards. Edges carry ``bandwidth``,
``latency`` and ``overhead`` (what each message takes beside both) as text with units, and ``sharing`` (fair or fifo);
each may be left out. An undirected edge is full duplex. Routes are shortest paths in hops (see `ShortestPaths`); where
GPUs are wired to one another they forward too.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from clustersim.errors import Fault, Position, ScenarioError, TopologyError, nearest
from clustersim.scenario.fabrics import GraphFile
from clustersim.scenario.text import decoded
from clustersim.topology.cluster import Cluster, Link, gpu_attributes
from clustersim.topology.drawn_graph import MAX_FAULTS, DrawnEdge, DrawnGraph, DrawnNode
from clustersim.topology.graph_attributes import EDGE_ATTRIBUTES, NODE_ATTRIBUTES, read_attributes
from clustersim.topology.graphml import read_graphml
from clustersim.topology.node_link import read_node_link
from clustersim.topology.shortest_paths import shortest_paths

READERS = {".graphml": read_graphml, ".json": read_node_link}
MAX_FILE_BYTES = 50 * 10**6
# Looking for the nearest name costs microseconds a name, and a large file may have many faults.
_MAX_NAMES_TO_SEARCH = 10_000


def graph(spec: GraphFile) -> Cluster:
    """Return the cluster that the file of `spec` draws.

    Raises
    ------
    TopologyError
        With every fault of the file, up to `MAX_FAULTS`.
    """
    path = Path(spec.file)
    drawn = READERS[path.suffix.lower()](path.name, _text(path))
    faults = list(islice(chain(_node_faults(path.name, drawn), _edge_faults(drawn)), MAX_FAULTS))
    if faults:
        raise TopologyError(faults)
    nodes = {node.name: _attributes(node, spec.device) for node in drawn.nodes}
    gpus = tuple(name for name, attributes in nodes.items() if attributes.get("kind") == "gpu")
    links = tuple(link for edge in drawn.edges for link in _links(edge))
    directed = any(edge.directed for edge in drawn.edges)
    return Cluster(path.stem, nodes, gpus, links, shortest_paths(tuple(nodes), gpus, links), directed)


def _text(path: Path) -> str:
    if not path.is_file():
        raise TopologyError(Fault(str(path), "there is no such graph file"))
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise TopologyError(Fault(str(path), f"a graph file may have at most {MAX_FILE_BYTES // 10**6} MB"))
        return decoded(path.name, content)
    except OSError as error:
        raise TopologyError(Fault(str(path), f"can't be read: {error.strerror}")) from None
    except ScenarioError as error:
        raise TopologyError(error.faults) from None


def _attributes(node: DrawnNode, device: str | None) -> dict[str, object]:
    """Return a node's attributes; a GPU without a device of its own has that of the topology."""
    values, _ = read_attributes(node.attributes, NODE_ATTRIBUTES)
    others = {name: value for name, value in node.attributes.items() if name not in NODE_ATTRIBUTES}
    return (gpu_attributes(device) if values.get("kind") == "gpu" else {}) | others | values


def _links(edge: DrawnEdge) -> list[Link]:
    """Return the links of an edge, one a direction."""
    values, _ = read_attributes(edge.attributes, EDGE_ATTRIBUTES)
    ways = [(edge.source, edge.target)] if edge.directed else [(edge.source, edge.target), (edge.target, edge.source)]
    return [
        Link(
            source,
            target,
            values.get("bandwidth"),
            values.get("latency", 0),
            values.get("sharing"),
            values.get("overhead", 0),
        )
        for source, target in ways
    ]


def _node_faults(file: str, drawn: DrawnGraph) -> Iterator[Fault]:
    names: set[str] = set()
    for index, node in enumerate(drawn.nodes):
        where = f"node {node.name}"
        if node.name in names:
            yield Fault(where, "stands in the file twice", drawn.locate("nodes", index, ""))
        names.add(node.name)
        for name, what, hint in read_attributes(node.attributes, NODE_ATTRIBUTES)[1]:
            yield Fault(where, f"{name}: {what}", drawn.locate("nodes", index, name), hint)
    kinds = [node.attributes.get("kind") for node in drawn.nodes]
    if "gpu" not in kinds:
        seen = ", ".join(dict.fromkeys(repr(kind) for kind in kinds if kind is not None)) or "none"
        yield Fault("nodes", f"no node has kind 'gpu'; the kinds in the file: {seen}", Position(file, 1, 1))


def _edge_faults(drawn: DrawnGraph) -> Iterator[Fault]:
    names = dict.fromkeys(node.name for node in drawn.nodes)
    searched = list(names) if len(names) <= _MAX_NAMES_TO_SEARCH else []
    taken: set[tuple[str, str]] = set()
    for index, edge in enumerate(drawn.edges):
        for key, end in (("source", edge.source), ("target", edge.target)):
            if end not in names:
                what = f"{key}: there is no node {end!r}"
                yield Fault(str(edge), what, drawn.locate("edges", index, key), nearest(end, searched))
        ways = {(edge.source, edge.target)} | (set() if edge.directed else {(edge.target, edge.source)})
        if edge.source == edge.target:
            yield Fault(str(edge), "a node can't be linked to itself", drawn.locate("edges", index, ""))
        elif ways & taken:
            what = "a second edge between the same nodes; parallel edges are not supported"
            hint = "write one edge with the bandwidth of both"
            yield Fault(str(edge), what, drawn.locate("edges", index, ""), hint)
        taken |= ways
        for name, what, hint in read_attributes(edge.attributes, EDGE_ATTRIBUTES)[1]:
            yield Fault(str(edge), f"{name}: {what}", drawn.locate("edges", index, name), hint)
