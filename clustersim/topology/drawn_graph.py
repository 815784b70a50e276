"""A graph as its file draws it, before anything is checked: what the readers of the file formats return."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from clustersim.errors import Position

MAX_FAULTS = 100
"""Of a file, so many are told."""

Locate = Callable[[Literal["nodes", "edges"], int, str], Position | None]
"""Where the node or edge of a number stands, or one of its attributes; an empty attribute is the whole of it."""


def nowhere(_list: str, _index: int, _attribute: str) -> None:
    """Return no position: of a graph that was not read from a file of its own."""


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """A node: its name and whatever the file says of it."""

    name: str
    attributes: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class DrawnEdge:
    """An edge: from `source` to `target` only if directed, else both ways."""

    source: str
    target: str
    directed: bool
    attributes: Mapping[str, object]

    def __str__(self) -> str:
        return f"edge {self.source} {'->' if self.directed else '-'} {self.target}"


@dataclass(frozen=True, slots=True)
class DrawnGraph:
    """Nodes and edges in file order."""

    nodes: tuple[DrawnNode, ...]
    edges: tuple[DrawnEdge, ...]
    locate: Locate = field(default=nowhere, compare=False, repr=False)
