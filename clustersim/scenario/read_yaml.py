"""YAML read as data: no tags, no duplicate keys, YAML 1.2 scalars, and bounded work.

The tree is built from the event stream rather than by PyYAML's composer, which recurses and expands without a bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from clustersim.errors import Fault, Position, ScenarioError
from clustersim.scenario.node import MAX_DEPTH, MAX_NODES, Entry, Node
from clustersim.scenario.scalars import resolve_scalar
from clustersim.scenario.text import Text

_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_MERGE = "<<"
_TOO_DEEP = f"values are nested deeper than {MAX_DEPTH} levels"


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not been read yet."""

    position: Position
    anchor: str | None
    is_mapping: bool
    items: list[Node] = field(default_factory=list)  # of a mapping: key, value, key, value, ...
    num_nodes: int = 1
    height: int = 1


@dataclass(frozen=True, slots=True)
class _Anchored:
    node: Node
    num_nodes: int
    height: int


def read_yaml(text: Text) -> Node:
    """Return the tree of a YAML document; ScenarioError says what is not YAML, or not allowed here."""
    return _Builder(text).build()


class _Builder:
    def __init__(self, text: Text) -> None:
        self.text = text
        self.open: list[_Open] = []
        self.anchors: dict[str, _Anchored] = {}
        self.num_nodes = 0
        self.root: Node | None = None

    def build(self) -> Node:
        num_documents = 0
        for event in self._events():
            if isinstance(event, DocumentStartEvent):
                num_documents += 1
                if num_documents > 1:
                    raise self.text.error(self._position(event), "a second document; a file holds one")
            elif isinstance(event, SequenceStartEvent | MappingStartEvent):
                self._start(event)
            elif isinstance(event, SequenceEndEvent | MappingEndEvent):
                self._end()
            elif isinstance(event, ScalarEvent):
                self._add(_Anchored(self._scalar(event), 1, 1), event.anchor)
            elif isinstance(event, AliasEvent):
                self._add(self._aliased(event), None)
        if self.root is None:
            raise ScenarioError(Fault("", "the file is empty", self.text.at(0, 0)))
        return self.root

    def _events(self) -> Iterator[Event]:
        try:
            yield from yaml.parse(self.text.text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            raise self._syntax_error(error) from None
        except yaml.YAMLError as error:
            raise ScenarioError(Fault("", f"not valid YAML: {error}", self.text.at(0, 0))) from None

    def _syntax_error(self, error: yaml.MarkedYAMLError) -> ScenarioError:
        mark = error.problem_mark or error.context_mark
        position = self.text.at(mark.line, mark.column) if mark else self.text.at(0, 0)
        what = ", ".join(part for part in (error.context, error.problem) if part)
        hint = ""
        if "nesting depth" in what:  # newer versions of the scanner stop at a thousand, before the first event is out
            return self.text.error(position, _TOO_DEEP)
        if mark and "\t" in self._indent(mark.line):
            what, hint = "a tab in the indentation", "indent with spaces: YAML does not allow tabs"
        return self.text.error(position, f"not valid YAML: {what}", hint=hint)

    def _indent(self, line_index: int) -> str:
        line = self.text.text.split("\n")[line_index : line_index + 1]
        return line[0][: len(line[0]) - len(line[0].lstrip())] if line else ""

    def _position(self, event: Event) -> Position:
        mark = event.start_mark
        return self.text.at(mark.line, mark.column) if mark else self.text.at(0, 0)

    def _start(self, event: SequenceStartEvent | MappingStartEvent) -> None:
        position = self._position(event)
        if event.tag is not None:
            raise self._tag_error(event.tag, position)
        self.open.append(_Open(position, event.anchor, isinstance(event, MappingStartEvent)))
        self._check_depth(0, position)

    def _end(self) -> None:
        done = self.open.pop()
        node = self._mapping(done) if done.is_mapping else Node(tuple(done.items), done.position)
        self._add(_Anchored(node, done.num_nodes, done.height), done.anchor)

    def _add(self, added: _Anchored, anchor: str | None) -> None:
        position = added.node.position
        if position and len(self.open) + added.height > MAX_DEPTH:
            self._check_depth(added.height, position)
        if anchor is not None:
            self.anchors[anchor] = added
        if not self.open:
            self.root = added.node
            return
        parent = self.open[-1]
        parent.items.append(added.node)
        parent.height = max(parent.height, added.height + 1)
        parent.num_nodes += added.num_nodes
        if sum(container.num_nodes for container in self.open) > MAX_NODES:
            raise self.text.error(parent.position, f"more than {MAX_NODES:,} values (aliases count each time)")

    def _check_depth(self, height: int, position: Position) -> None:
        if len(self.open) + height > MAX_DEPTH:
            raise self.text.error(position, _TOO_DEEP)

    def _scalar(self, event: ScalarEvent) -> Node:
        position = self._position(event)
        if event.tag is not None:
            raise self._tag_error(event.tag, position)
        if event.style is not None and event.style != "":
            return Node(event.value, position)
        try:
            return Node(resolve_scalar(event.value), position)
        except ValueError as error:
            raise self.text.error(position, str(error)) from None

    def _tag_error(self, tag: str, position: Position) -> ScenarioError:
        shown = tag.replace("tag:yaml.org,2002:", "!!")
        return self.text.error(
            position, f"the tag '{shown}' is not allowed: files are plain data", hint="remove the tag"
        )

    def _aliased(self, event: AliasEvent) -> _Anchored:
        if event.anchor not in self.anchors:
            raise self.text.error(self._position(event), f"'*{event.anchor}' has no '&{event.anchor}' before it")
        return self.anchors[event.anchor]

    def _mapping(self, done: _Open) -> Node:
        entries: dict[str, Entry] = {}
        merged: list[Node] = []
        for key, value in zip(done.items[::2], done.items[1::2], strict=True):
            position = key.position or done.position
            if not isinstance(key.value, str):
                raise self.text.error(position, "a key must be text", hint="put it in quotes")
            if key.value == _MERGE:
                merged += value.items or (value,)
                continue
            if key.value in entries:
                first = entries[key.value].position
                raise self.text.error(
                    position,
                    "the same key twice",
                    key.value,
                    f"it stands already in line {first.line}" if first else "",
                )
            entries[key.value] = Entry(key.value, key.position, value)
        return Node(self._merge(entries, merged), done.position)

    def _merge(self, entries: dict[str, Entry], merged: list[Node]) -> dict[str, Entry]:
        for node in merged:
            if not isinstance(node.value, dict):
                place = node.position or self.text.at(0, 0)
                raise self.text.error(place, "'<<' merges mappings; this is none")
            entries = {**node.value, **entries}
        return entries
