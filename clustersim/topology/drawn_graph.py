"""A graph as its file draws it, before anything is checked: what the readers of the file formats return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
