"""Node-link JSON, as networkx writes it: ``nodes`` with ``id``, and ``edges`` (older files: ``links``).

A file may have millions of values, so that Python's own parser reads it; where something stands is looked up only once
it is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import NoReturn

from clustersim.errors import Fault, Position, ScenarioError, TopologyError
from clustersim.scenario.read_json import read_json
from clustersim.scenario.text import Text
from clustersim.topology.drawn_graph import MAX_FAULTS, DrawnEdge, DrawnGraph, DrawnNode

_SPACE_OR_COMMA = re.compile(r"[ \t\n\r,:]*")
_HALF_OF_A_PAIR = re.compile(r"\\u[dD][89a-fA-F]")
_DECODER = json.JSONDecoder()
_LONGEST_SHOWN = 200


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
    document, places = _parsed(file, text), _Places(file, text)
    if not isinstance(document, dict):
        raise TopologyError(Fault("", "a node-link file is an object with nodes and edges", places.position()))
    given = [key for key in ("edges", "links") if key in document]
    faults = []
    if len(given) != 1:
        got = "both" if given else "neither"
        what = f"got {got} of edges and links; a node-link file has one of them"
        faults.append(Fault("", what, places.position(*given[1:])))
    directed = document.get("directed", False)
    if not isinstance(directed, bool):
        what = f"directed: got {directed!r}; it is true or false"
        faults.append(Fault("", what, places.position("directed")))
    nodes = _objects(places, document, "nodes", ("id",), faults)
    edges = [edge for key in given for edge in _objects(places, document, key, ("source", "target"), faults)]
    if faults:
        raise TopologyError(faults)
    return DrawnGraph(
        tuple(DrawnNode(str(node["id"]), _without(node, "id")) for node in nodes),
        tuple(
            DrawnEdge(str(edge["source"]), str(edge["target"]), directed, _without(edge, "source", "target"))
            for edge in edges
        ),
        lambda which, index, attribute: places.position("nodes" if which == "nodes" else given[0], index, attribute),
    )


def _objects(
    places: _Places, document: dict[str, object], key: str, ids: tuple[str, ...], faults: list[Fault]
) -> list[dict[str, object]]:
    """Return the objects listed under `key`; what is no object with text or whole-number `ids` becomes a fault."""
    items = document.get(key)
    if not isinstance(items, list):
        faults.append(Fault("", f"{key} must be a list of objects", places.position(key)))
        return []
    objects = []
    for index, item in enumerate(items):
        fields = item if isinstance(item, dict) else {}
        wrong = [name for name in ids if type(fields.get(name)) not in (str, int)]
        for name in wrong if len(faults) < MAX_FAULTS else ():
            what = f"{key}[{index}]: {name} must be text or a whole number"
            faults.append(Fault("", what, places.position(key, index, name)))
        if not wrong:
            objects.append(fields)
    return objects


def _without(fields: dict[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name not in names}


class _Places:
    """Where the values of a JSON document stand, which is known to be one."""

    def __init__(self, file: str, text: str) -> None:
        self._file, self._text = file, text
        self._children = cache(lambda offset: dict(self._walk(offset)))

    def position(self, *path: str | int) -> Position:
        """Return the position of the value that `path` leads to, as far as the document goes along with it."""
        offset = _SPACE_OR_COMMA.match(self._text).end()  # type: ignore[union-attr]
        for step in path:
            children = self._children(offset) if self._text[offset] in "{[" else {}
            if step not in children:
                break
            offset = children[step]
        return _position(self._file, self._text, offset)

    def _walk(self, offset: int) -> Iterator[tuple[str | int, int]]:
        """Yield the keys or indices of the object or list at `offset`, and where their values stand."""
        is_object, offset, index = self._text[offset] == "{", offset + 1, 0
        while True:
            offset = _SPACE_OR_COMMA.match(self._text, offset).end()  # type: ignore[union-attr]
            if self._text[offset] in "}]":
                return
            key: str | int = index
            if is_object:
                key, offset = scanstring(self._text, offset + 1, True)
                offset = _SPACE_OR_COMMA.match(self._text, offset).end()  # type: ignore[union-attr]
            yield key, offset
            _, offset = _DECODER.raw_decode(self._text, offset)
            index += 1


def _position(file: str, text: str, offset: int) -> Position:
    """Return the position of the character at `offset`, with its line unless that is too long to show."""
    line_start = text.rfind("\n", 0, offset) + 1
    line = text[line_start : line_start + _LONGEST_SHOWN + 1].partition("\n")[0].rstrip("\r")
    shown = line if len(line) <= _LONGEST_SHOWN else ""
    return Position(file, text.count("\n", 0, offset) + 1, offset - line_start + 1, shown)


def _parsed(file: str, text: str) -> object:
    """Return the document; what Python's parser takes and JSON or we do not is told by the reader with positions."""

    def refuse_constant(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    def refuse_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            raise ValueError("a key stands twice in one object")
        return fields

    try:
        document = json.loads(text, parse_constant=refuse_constant, object_pairs_hook=refuse_repeats)
        if _HALF_OF_A_PAIR.search(text):
            _read_with_positions(file, text)
    except json.JSONDecodeError as error:
        raise TopologyError(Fault("", f"not JSON: {error.msg}", _position(file, text, error.pos))) from None
    except (RecursionError, ValueError) as error:
        # ValueError: one of the two above, or a whole number of more digits than Python converts.
        _read_with_positions(file, text)
        raise TopologyError(Fault(file, str(error))) from None
    return document


def _read_with_positions(file: str, text: str) -> None:
    try:
        read_json(Text(file, text), max_values=len(text))
    except ScenarioError as error:
        raise TopologyError(error.faults) from None
