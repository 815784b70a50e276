"""Sections of a scenario in the making, each value with the name and the place that it has in another tool's file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ValidationError

from clustersim.errors import Fault, Position, ScenarioError
from clustersim.scenario.faults import faults_of
from clustersim.scenario.node import Entry, Node, Path, Scalar, node_of, plain


@dataclass(frozen=True, slots=True)
class Imported:
    """What was read: sections of a scenario as a file has them, and what is to be known of them."""

    sections: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A value of another tool's file."""

    value: Any
    written: str  # its name there
    position: Position | None


class Draft:
    """Collects values under our keys, and mistakes under theirs."""

    def __init__(self, prefix: str = "") -> None:
        self._root = Node({})
        self._prefix = prefix
        self.faults: list[Fault] = []
        self.notes: list[str] = []

    def put(self, path: Path, found: Found | None) -> None:
        """Set the value at `path`, under the name that it has in the file; None leaves it out."""
        if found is not None and found.value is not None:
            node = node_of(found.value, found.position)
            self._root = _with(self._root, path, Entry(found.written, found.position, node))

    def put_plain(self, path: Path, value: Scalar) -> None:
        """Set a value that follows from what the file says elsewhere, or does not say."""
        self._root = _with(self._root, path, Entry(str(path[-1]), None, Node(value)))

    def section(self, name: str) -> dict[str, Any]:
        """Return one section's values; none if it has none."""
        entry = self._root.entries.get(name)
        values = plain(entry.node) if entry else {}
        return values if isinstance(values, dict) else {}

    def check(self, name: str, form: type[BaseModel]) -> None:
        """Validate one section and note its mistakes in the file's own names."""
        entry = self._root.entries.get(name)
        node = entry.node if entry else Node({})
        try:
            form.model_validate(plain(node))
        except ValidationError as error:
            for fault in faults_of(error, form, node):
                where = fault.where.rpartition(".")[2]
                self.faults.append(replace(fault, where=f"{self._prefix}{where}" if fault.position else where))

    def raise_if_faulty(self) -> None:
        """Raise ScenarioError with every mistake, in the order of the file, or return."""
        if self.faults:
            raise ScenarioError(sorted(dict.fromkeys(self.faults), key=_place))


def _place(fault: Fault) -> tuple[int, int]:
    return (fault.position.line, fault.position.column) if fault.position else (0, 0)


def _with(node: Node, path: Path, entry: Entry) -> Node:
    """Return `node` with an entry at `path`, mappings on the way made where there are none."""
    key = str(path[0])
    if len(path) > 1:
        holder = node.entries.get(key) or Entry(key, None, Node({}))
        entry = Entry(key, holder.position, _with(holder.node, path[1:], entry))
    return Node({**node.entries, key: entry}, node.position)
