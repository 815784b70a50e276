"""TOML read with positions of its keys.

tomllib keeps no positions, so lines that open a table or set a key are matched to the values afterwards; what stands in
an inline table is placed at the key that holds it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from clustersim.errors import Fault, Position, ScenarioError
from clustersim.scenario.node import MAX_NODES, Entry, Node, Path, Scalar
from clustersim.scenario.text import Text

_PART = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_KEYS = rf"{_PART}(?:\s*\.\s*{_PART})*"
_TABLE = re.compile(rf"\s*(?P<open>\[\[?)\s*(?P<keys>{_KEYS})\s*\]")
_KEY_VALUE = re.compile(rf"\s*(?P<keys>{_KEYS})\s*=\s*")
_AT_LINE = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL)

_Places = dict[Path, tuple[Position, Position]]


def read_toml(text: Text) -> Node:
    """Return the tree of a TOML document; ScenarioError says what is not TOML, or not allowed here."""
    import tomllib  # here, because `validate` on YAML should not pay for it

    try:
        values = tomllib.loads(text.text)
    except RecursionError:
        raise text.error(0, "values are nested too deeply") from None
    except ValueError as error:
        raise _syntax_error(text, str(error)) from None
    if not values:
        raise text.error(0, "the file is empty")
    start = text.at(0, 0)
    return _Tree(_places(text)).node(values, (), start, start)


def _syntax_error(text: Text, message: str) -> ScenarioError:
    match = _AT_LINE.fullmatch(message)
    if match and match["line"]:
        position = text.at(int(match["line"]) - 1, int(match["column"]) - 1)
    else:
        position = text.at_offset(len(text.text.rstrip()))
    return ScenarioError(Fault("", f"not valid TOML: {match['what'] if match else message}", position))


def _places(text: Text) -> _Places:
    """Return the positions of key and value for each path that a line of its own sets."""
    places: _Places = {}
    num_tables: dict[Path, int] = {}
    table: Path = ()
    for line_index, line in enumerate(text.text.split("\n")):
        opened = _TABLE.match(line)
        match = opened or _KEY_VALUE.match(line)
        if not match:
            continue
        path = () if opened else table
        path += tuple(part.strip().strip("\"'") for part in re.findall(_PART, match["keys"]))
        key = text.at(line_index, match.start("keys"))
        if opened and opened["open"] == "[[":
            index = num_tables[path] = num_tables.get(path, -1) + 1
            places.setdefault(path, (key, key))
            path = (*path, index)
        if opened:
            table = path
        places.setdefault(path, (key, key if opened else text.at(line_index, match.end())))
    return places


class _Tree:
    def __init__(self, places: _Places) -> None:
        self.places = places
        self.num_nodes = 0

    def node(self, value: object, path: Path, key: Position, position: Position) -> Node:
        self.num_nodes += 1
        if self.num_nodes > MAX_NODES:
            raise ScenarioError(Fault("", f"more than {MAX_NODES:,} values", position))
        if isinstance(value, Mapping):
            return Node({name: self._entry(name, item, (*path, name), key) for name, item in value.items()}, position)
        if isinstance(value, list):
            return Node(
                tuple(self._entry(str(i), item, (*path, i), position).node for i, item in enumerate(value)), position
            )
        return Node(_scalar(value, position), position)

    def _entry(self, name: str, value: object, path: Path, parent: Position) -> Entry:
        key, position = self.places.get(path, (parent, parent))
        return Entry(name, key, self.node(value, path, key, position))


def _scalar(value: object, position: Position) -> Scalar:
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise ScenarioError(Fault("", f"{value} is not a finite number", position))
    if isinstance(value, str | bool | int | float):
        return value
    raise ScenarioError(
        Fault("", f"{value} is a date or time of day; no value is", position, hint="put text in quotes")
    )
