"""Graphs written as node-link JSON, one node or edge a line."""

from __future__ import annotations

import json
from collections.abc import Iterable

from clustersim.topology.drawn_graph import DrawnGraph


def node_link_text(graph: DrawnGraph, comment: str, device: str | None = None) -> str:
    """Return a node-link document of a graph whose edges all go both ways; networkx and we read it.

    Parameters
    ----------
    comment
        What the document says of itself.
    device
        Device of every GPU; absent: none is named.

    Examples
    --------
    >>> from clustersim.topology.drawn_graph import DrawnNode
    >>> print(node_link_text(DrawnGraph((DrawnNode("gpu0", {"kind": "gpu"}),), ()), "by hand"))
    {
     "directed": false, "multigraph": false, "graph": {"comment": "by hand"},
     "nodes": [
      {"id": "gpu0", "kind": "gpu"}
     ],
     "edges": [
    <BLANKLINE>
     ]
    }
    <BLANKLINE>
    """
    of_gpu = {} if device is None else {"device": device}
    nodes = _lines(
        {"id": node.name, **node.attributes, **(of_gpu if node.attributes.get("kind") == "gpu" else {})}
        for node in graph.nodes
    )
    edges = _lines({"source": edge.source, "target": edge.target, **edge.attributes} for edge in graph.edges)
    head = f' "directed": false, "multigraph": false, "graph": {_json({"comment": comment})},'
    return f'{{\n{head}\n "nodes": [\n{nodes}\n ],\n "edges": [\n{edges}\n ]\n}}\n'


def _lines(items: Iterable[dict[str, object]]) -> str:
    return ",\n".join(f"  {_json(item)}" for item in items)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
