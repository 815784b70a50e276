"""GraphML, the part that describes a plain graph: nodes, edges and their attributes as text.

References
----------
GraphML Primer, http://graphml.graphdrawing.org/primer/graphml-primer.html
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

from clustersim.errors import Fault, Position, TopologyError
from clustersim.topology.drawn_graph import MAX_FAULTS, DrawnEdge, DrawnGraph, DrawnNode
from clustersim.topology.importers.xml_tree import Element, read_xml

_NEEDED = {"node": ("id",), "edge": ("source", "target")}
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
    root = read_xml(file, text)
    graphs = list(_children(root, "graph"))
    if _tag(root) != "graphml" or len(graphs) != 1:
        found = f"<{_tag(root)}> with {len(graphs)} graphs"
        place = graphs[1] if len(graphs) > 1 else root
        raise TopologyError(Fault("", f"found {found}; a GraphML file is <graphml> with one <graph>", place.position))
    faults = list(islice(chain(_faults(graphs[0]), _data_faults(root, graphs[0])), MAX_FAULTS))
    if faults:
        raise TopologyError(faults)
    return _drawn(root, graphs[0])


def _faults(graph: Element) -> Iterator[Fault]:
    """Yield what is more than a plain graph, and what is less."""
    for element in graph.children:
        tag = _tag(element)
        for attribute in _NEEDED.get(tag, ()):
            if attribute not in element.attributes:
                yield Fault("", f"a <{tag}> has no {attribute}", element.position)
        if tag in _NOT_A_PLAIN_GRAPH or "graph" in map(_tag, element.children):
            yield Fault("", f"<{tag}> is not supported; draw it with nodes and edges", element.position)
        if tag == "edge" and element.attributes.get("directed", "true") not in ("true", "false"):
            what = f"directed: got {element.attributes['directed']!r}; it is true or false"
            yield Fault("", f"<edge>: {what}", element.position)
    if graph.attributes.get("edgedefault", "directed") not in ("directed", "undirected"):
        what = f"edgedefault: got {graph.attributes['edgedefault']!r}; it is directed or undirected"
        yield Fault("", f"<graph>: {what}", graph.position)


def _data_faults(root: Element, graph: Element) -> Iterator[Fault]:
    """Yield what would be lost of the attributes: text under a key that is not declared, or under one that has text."""
    declared = {key.attributes.get("id") for key in _children(root, "key")}
    for element in graph.children:
        taken: set[str | None] = set()
        for data in _children(element, "data"):
            key = data.attributes.get("key")
            if key is None or key not in declared:
                hint = f'write <key id="{key}" for="{_tag(element)}" attr.name="..."/> above <graph>' if key else ""
                yield Fault("", f"<data>: there is no <key> with id {key!r}", data.position, hint)
            elif key in taken:
                yield Fault("", f"<data>: the key {key!r} stands twice in one <{_tag(element)}>", data.position)
            taken.add(key)


def _drawn(root: Element, graph: Element) -> DrawnGraph:
    keys = [key for key in _children(root, "key") if "attr.name" in key.attributes]
    names = {key.attributes.get("id"): key.attributes["attr.name"] for key in keys}
    defaults = [(key, default) for key in keys for default in _children(key, "default")]

    def written(element: Element) -> dict[str, Element]:
        """Return the element that each attribute's text stands in."""
        owners = (_tag(element), "all", None)
        by_default = {
            key.attributes["attr.name"]: default for key, default in defaults if key.attributes.get("for") in owners
        }
        given = ((names.get(data.attributes.get("key")), data) for data in _children(element, "data"))
        return by_default | {name: data for name, data in given if name is not None}

    def attributes(element: Element) -> dict[str, object]:
        return {name: place.text for name, place in written(element).items()}

    elements = {"nodes": list(_children(graph, "node")), "edges": list(_children(graph, "edge"))}

    def locate(which: str, index: int, attribute: str) -> Position:
        element = elements[which][index]
        return written(element).get(attribute, element).position

    by_default = str(graph.attributes.get("edgedefault") == "directed").lower()
    nodes = (DrawnNode(node.attributes["id"], attributes(node)) for node in elements["nodes"])
    edges = (
        DrawnEdge(
            edge.attributes["source"],
            edge.attributes["target"],
            edge.attributes.get("directed", by_default) == "true",
            attributes(edge),
        )
        for edge in elements["edges"]
    )
    return DrawnGraph(tuple(nodes), tuple(edges), locate)


def _tag(element: Element) -> str:
    """Return the element's name without its namespace, which not every writer declares."""
    return element.tag.rpartition(":")[2]


def _children(element: Element, tag: str) -> Iterator[Element]:
    return (child for child in element.children if _tag(child) == tag)
