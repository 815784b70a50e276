"""GraphML, the part that describes a plain graph: nodes, edges and their attributes as text.

References
----------
GraphML Primer, http://graphml.graphdrawing.org/primer/graphml-primer.html
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from clustersim.errors import Fault, Position, TopologyError
from clustersim.topology.drawn_graph import DrawnEdge, DrawnGraph, DrawnNode

_NOT_A_PLAIN_GRAPH = ("hyperedge", "port")


def read_graphml(file: str, text: str) -> DrawnGraph:
    """Return the one graph of a GraphML document.

    Raises
    ------
    TopologyError
        For text that is no GraphML, or more than a plain graph. A document type is refused: it may define entities
        that blow up or reach for other files.

    Examples
    --------
    >>> text = '<graphml><graph edgedefault="directed"><node id="a"/><edge source="a" target="b"/></graph></graphml>'
    >>> print(read_graphml("my.graphml", text).edges[0])
    edge a -> b
    """
    root = _parsed(file, text)
    graphs = list(_children(root, "graph"))
    faults = []
    if _tag(root) != "graphml" or len(graphs) != 1:
        found = f"<{_tag(root)}> with {len(graphs)} graphs"
        faults.append(Fault(file, f"found {found}; a GraphML file is <graphml> with one <graph>"))
    elements = [element for graph in graphs for element in graph]
    ids = (("node", "id"), ("edge", "source"), ("edge", "target"))
    faults += [
        Fault(file, f"a <{tag}> has no {attribute}")
        for element in elements
        for tag, attribute in ids
        if _tag(element) == tag and attribute not in element.attrib
    ]
    faults += [
        Fault(file, f"<{_tag(element)}> is not supported; draw it with nodes and edges")
        for element in elements
        if _tag(element) in _NOT_A_PLAIN_GRAPH or "graph" in map(_tag, element)
    ]
    if faults:
        raise TopologyError(faults)
    return _drawn(root, graphs[0])


def _parsed(file: str, text: str) -> Element:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise TopologyError(
            Fault(file, "document types and entities are not allowed in a graph file", hint="remove <!...>")
        )
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        line, column = error.position
        shown = text.splitlines()[line - 1] if line <= len(text.splitlines()) else ""
        raise TopologyError(Fault("", f"not XML: {error}", Position(file, line, column + 1, shown))) from None


def _drawn(root: Element, graph: Element) -> DrawnGraph:
    names = {key.get("id"): key.get("attr.name") for key in _children(root, "key")}
    defaults = {
        (key.get("for"), name): (default.text or "").strip()
        for key in _children(root, "key")
        for default in _children(key, "default")
        if (name := key.get("attr.name")) is not None
    }

    def attributes(element: Element) -> dict[str, object]:
        given: dict[str | None, object] = {
            names.get(data.get("key")): (data.text or "").strip() for data in _children(element, "data")
        }
        absent: dict[str, object] = {
            name: text for (owner, name), text in defaults.items() if owner in (_tag(element), "all", None)
        }
        return absent | {name: text for name, text in given.items() if name is not None}

    by_default = graph.get("edgedefault") == "directed"
    nodes = (DrawnNode(node.attrib["id"], attributes(node)) for node in _children(graph, "node"))
    edges = (
        DrawnEdge(
            edge.attrib["source"],
            edge.attrib["target"],
            edge.get("directed", str(by_default).lower()) == "true",
            attributes(edge),
        )
        for edge in _children(graph, "edge")
    )
    return DrawnGraph(tuple(nodes), tuple(edges))


def _tag(element: Element) -> str:
    """Return the element's name without its namespace, which not every writer declares."""
    return element.tag.rpartition("}")[2]


def _children(element: Element, tag: str) -> Iterator[Element]:
    return (child for child in element if _tag(child) == tag)
