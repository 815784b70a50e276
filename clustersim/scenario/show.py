"""A scenario with all values resolved, and where each of them comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from clustersim.scenario.load import NAMED
from clustersim.scenario.node import Node, Path, dotted, locate, plain
from clustersim.scenario.override import OptionPosition
from clustersim.scenario.spec import Scenario
from clustersim.scenario.topology_file import SIZES

_TOPOLOGY: Path = ("cluster", "topology")


@dataclass(frozen=True, slots=True)
class Row:
    """One value of a resolved scenario."""

    key: str
    value: str
    origin: str  # file:line, --set ..., default, or what it was scaled to


def resolved_mapping(scenario: Scenario) -> dict[str, Any]:
    """Return all values of a scenario as a file would hold them, defaults too; it loads as an equal scenario."""
    return scenario.model_dump(mode="json", exclude_none=True)


def resolved(scenario: Scenario) -> tuple[Row, ...]:
    """Return each value of a scenario, as text with units, with its origin."""
    loaded_from = scenario.loaded_from
    root = loaded_from.root if loaded_from else Node({})
    return tuple(Row(dotted(path), _text(value), _origin(root, path, value)) for path, value in _leaves(scenario))


def _leaves(scenario: Scenario) -> Iterator[tuple[Path, Any]]:
    def walk(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
        if isinstance(value, dict) and value:
            for key, item in value.items():
                yield from walk(item, (*path, key))
        elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
            for index, item in enumerate(value):
                yield from walk(item, (*path, index))
        else:
            yield path, value

    return walk(resolved_mapping(scenario), ())


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_text(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return "{}" if value == {} else str(value)


def _origin(root: Node, path: Path, value: Any) -> str:
    place = locate(root, path)
    if path[:-1] in NAMED and path[-1] == "name" and not place.found:
        place = locate(root, path[:-1])  # the name alone is a shorthand
    if not place.found:
        return "default"
    if path[:-1] == _TOPOLOGY and path[-1] in SIZES and _differs(root, path, value):
        return "scaled to cluster.gpus"
    position = place.value
    if position is None:
        return "given"
    if isinstance(position, OptionPosition):
        return str(position)
    in_topology = path[:2] == _TOPOLOGY and position.file != _file(root)
    return f"{'topology ' if in_topology else ''}{position.file}:{position.line}"


def _differs(root: Node, path: Path, value: Any) -> bool:
    node = root
    for step in path:
        node = node.entries[str(step)].node
    return plain(node) != (tuple(value) if isinstance(value, list) else value)


def _file(root: Node) -> str:
    cluster = root.entries.get("cluster")
    position = cluster.position if cluster else None
    return position.file if position else ""
