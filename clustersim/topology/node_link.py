"""Node-link JSON, as networkx writes it: ``nodes`` with ``id``, and ``edges`` (older files: ``links``)."""

from __future__ import annotations

import json
from typing import NoReturn

from clustersim.errors import Fault, Position, TopologyError
from clustersim.topology.drawn_graph import DrawnEdge, DrawnGraph, DrawnNode


def read_node_link(file: str, text: str) -> DrawnGraph:
    """Return the graph of a node-link document.

    Raises
    ------
    TopologyError
        For text that is no JSON (NaN and repeated keys included), or no node-link document.

    Examples
    --------
    >>> text = '{"directed": false, "nodes": [{"id": 0}, {"id": 1}], "links": [{"source": 0, "target": 1}]}'
    >>> print(read_node_link("my.json", text).edges[0])
    edge 0 - 1
    """
    document = _parsed(file, text)
    if not isinstance(document, dict):
        raise TopologyError(Fault(file, "a node-link file is an object with nodes and edges"))
    given = [key for key in ("edges", "links") if key in document]
    faults = []
    if len(given) != 1:
        got = "both" if given else "neither"
        faults.append(Fault(file, f"got {got} of edges and links; a node-link file has one of them"))
    directed = document.get("directed", False)
    if not isinstance(directed, bool):
        faults.append(Fault(file, f"directed: got {directed!r}; it is true or false"))
    nodes = _objects(file, document, "nodes", ("id",), faults)
    edges = [edge for key in given for edge in _objects(file, document, key, ("source", "target"), faults)]
    if faults:
        raise TopologyError(faults)
    return DrawnGraph(
        tuple(DrawnNode(str(node["id"]), _without(node, "id")) for node in nodes),
        tuple(
            DrawnEdge(str(edge["source"]), str(edge["target"]), directed, _without(edge, "source", "target"))
            for edge in edges
        ),
    )


def _objects(
    file: str, document: dict[str, object], key: str, ids: tuple[str, ...], faults: list[Fault]
) -> list[dict[str, object]]:
    """Return the objects listed under `key`; what is no object with text or whole-number `ids` becomes a fault."""
    items = document.get(key)
    if not isinstance(items, list):
        faults.append(Fault(file, f"{key} must be a list of objects"))
        return []
    objects = []
    for index, item in enumerate(items):
        fields = item if isinstance(item, dict) else {}
        wrong = [name for name in ids if type(fields.get(name)) not in (str, int)]
        faults += [Fault(file, f"{key}[{index}]: {name} must be text or a whole number") for name in wrong]
        if not wrong:
            objects.append(fields)
    return objects


def _without(fields: dict[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name not in names}


def _parsed(file: str, text: str) -> object:
    def refuse_constant(constant: str) -> NoReturn:
        raise TopologyError(Fault(file, f"{constant} is not JSON"))

    def refuse_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            keys = [key for key, _ in pairs]
            repeated = next(key for key in keys if keys.count(key) > 1)
            raise TopologyError(Fault(file, f"the key {repeated!r} stands twice in one object"))
        return fields

    try:
        return json.loads(text, parse_constant=refuse_constant, object_pairs_hook=refuse_repeats)
    except json.JSONDecodeError as error:
        position = Position(file, error.lineno, error.colno, next(iter(text.splitlines()[error.lineno - 1 :]), ""))
        raise TopologyError(Fault("", f"not JSON: {error.msg}", position)) from None
    except (RecursionError, ValueError) as error:
        # ValueError: a whole number of more digits than Python converts.
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise TopologyError(Fault(file, what)) from None
