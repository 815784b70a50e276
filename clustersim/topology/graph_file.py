"""Graph: any topology, read from a GraphML or node-link JSON file.

Nodes of ``kind: gpu`` are the GPUs, numbered in node order; every other node only forwards. Edges carry ``bandwidth``
and ``latency`` as text with units, and ``sharing`` (fair or fifo); each may be left out. An undirected edge is full
duplex. Routes are shortest paths in hops (see `ShortestPaths`); where GPUs are wired to one another they forward too.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path

from clustersim.errors import Fault, TopologyError, nearest
from clustersim.scenario.fabrics import GraphFile
from clustersim.scenario.units import parse_bandwidth_bytes_per_s, parse_time_ps
from clustersim.topology.cluster import Cluster, Link, gpu_attributes
from clustersim.topology.drawn_graph import DrawnEdge, DrawnGraph, DrawnNode
from clustersim.topology.graphml import read_graphml
from clustersim.topology.node_link import read_node_link
from clustersim.topology.shortest_paths import shortest_paths

READERS = {".graphml": read_graphml, ".json": read_node_link}
MAX_FILE_BYTES = 50 * 10**6
MAX_FAULTS = 100
_EDGE_ATTRIBUTES = ("bandwidth", "latency", "sharing")
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
    faults = list(islice(chain(_node_faults(drawn.nodes), _edge_faults(drawn)), MAX_FAULTS))
    links: list[Link] = []
    for edge in drawn.edges:
        links += _links(edge, faults)
    if faults:
        shown = faults[:MAX_FAULTS]
        raise TopologyError(Fault(f"{path.name}: {fault.where}", fault.what, hint=fault.hint) for fault in shown)
    nodes = {node.name: _attributes(node, spec.device) for node in drawn.nodes}
    gpus = tuple(name for name, attributes in nodes.items() if attributes.get("kind") == "gpu")
    directed = any(edge.directed for edge in drawn.edges)
    return Cluster(path.stem, nodes, gpus, tuple(links), shortest_paths(tuple(nodes), gpus, links), directed)


def _text(path: Path) -> str:
    if not path.is_file():
        raise TopologyError(Fault(str(path), "there is no such graph file"))
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise TopologyError(Fault(str(path), f"a graph file may have at most {MAX_FILE_BYTES // 10**6} MB"))
        return content.decode("utf-8-sig")
    except OSError as error:
        raise TopologyError(Fault(str(path), f"can't be read: {error.strerror}")) from None
    except UnicodeDecodeError as error:
        raise TopologyError(Fault(str(path), f"not UTF-8 text: {error.reason} at byte {error.start}")) from None


def _attributes(node: DrawnNode, device: str | None) -> dict[str, object]:
    """Return a node's attributes; a GPU without a device of its own has that of the topology."""
    attributes = dict(node.attributes)
    return gpu_attributes(device) | attributes if attributes.get("kind") == "gpu" else attributes


def _node_faults(nodes: tuple[DrawnNode, ...]) -> Iterator[Fault]:
    names: dict[str, DrawnNode] = {}
    for node in nodes:
        if node.name in names:
            yield Fault(f"node {node.name}", "stands in the file twice")
        names[node.name] = node
        device = node.attributes.get("device", "")
        if not isinstance(device, str):
            yield Fault(f"node {node.name}", f"device: got {device!r}; a device is named by text")
    kinds = [node.attributes.get("kind") for node in nodes]
    if "gpu" not in kinds:
        seen = ", ".join(dict.fromkeys(repr(kind) for kind in kinds if kind is not None)) or "none"
        yield Fault("nodes", f"no node has kind 'gpu'; the kinds in the file: {seen}")


def _edge_faults(drawn: DrawnGraph) -> Iterator[Fault]:
    names = dict.fromkeys(node.name for node in drawn.nodes)
    searched = list(names) if len(names) <= _MAX_NAMES_TO_SEARCH else []
    taken: dict[tuple[str, str], DrawnEdge] = {}
    for edge in drawn.edges:
        for end in dict.fromkeys((edge.source, edge.target)):
            if end not in names:
                yield Fault(str(edge), f"there is no node {end!r}", hint=nearest(end, searched))
        if edge.source == edge.target:
            yield Fault(str(edge), "a node can't be linked to itself")
            continue
        ways = (
            [(edge.source, edge.target)] if edge.directed else [(edge.source, edge.target), (edge.target, edge.source)]
        )
        if any(way in taken for way in ways):
            hint = "write one edge with the bandwidth of both"
            yield Fault(str(edge), "a second edge between the same nodes; parallel edges are not supported", hint=hint)
        taken |= dict.fromkeys(ways, edge)


@lru_cache(maxsize=256)
def _misspelt(name: str) -> str:
    """Return what an attribute was probably meant to be; nothing for one that is right, or some tool's own."""
    return "" if name in _EDGE_ATTRIBUTES else nearest(name, _EDGE_ATTRIBUTES)


def _links(edge: DrawnEdge, faults: list[Fault]) -> list[Link]:
    """Return the links of an edge, one a direction; what is wrong with its quantities is added to `faults`."""
    misspelt = [name for name in edge.attributes if _misspelt(name)]
    faults += [Fault(str(edge), f"unknown attribute {name!r}", hint=_misspelt(name)) for name in misspelt]
    bandwidth, latency_ps = None, 0
    try:
        if edge.attributes.get("bandwidth") is not None:
            bandwidth = parse_bandwidth_bytes_per_s(edge.attributes["bandwidth"])
    except ValueError as error:
        faults.append(Fault(str(edge), f"bandwidth: {error}"))
    try:
        if edge.attributes.get("latency") is not None:
            latency_ps = parse_time_ps(edge.attributes["latency"])
    except ValueError as error:
        faults.append(Fault(str(edge), f"latency: {error}"))
    sharing = edge.attributes.get("sharing")
    if sharing not in (None, "fair", "fifo"):
        faults.append(Fault(str(edge), f"sharing: got {sharing!r}; a link is shared 'fair' or 'fifo'"))
        sharing = None
    there = Link(edge.source, edge.target, bandwidth, latency_ps, sharing)
    return [there] if edge.directed else [there, Link(edge.target, edge.source, bandwidth, latency_ps, sharing)]
