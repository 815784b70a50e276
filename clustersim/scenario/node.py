"""Values of a document together with the places where they stand.

Every reader (YAML, JSON, TOML, ``--set``) builds the same tree, so including, overriding, renaming and the reporting of
mistakes are written once. A tree is never changed: an edit returns a new one that shares all other branches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from clustersim.errors import Fault, Position, ScenarioError

MAX_BYTES = 5_000_000
MAX_NODES = 100_000
MAX_DEPTH = 50

Scalar = str | int | float | bool | None
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands."""

    value: Scalar | tuple[Node, ...] | Mapping[str, Entry]
    position: Position | None = None

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The entries of a mapping; none for other values."""
        return self.value if isinstance(self.value, Mapping) else {}

    @property
    def items(self) -> tuple[Node, ...]:
        """The items of a list; none for other values."""
        return self.value if isinstance(self.value, tuple) else ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping, as the user wrote it, with its value."""

    written: str
    position: Position | None
    node: Node


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads in a document, as far as the document goes along with it."""

    written: str  # the dotted path in the names that the user wrote
    key: Position | None  # of the last step that the document has; of the value itself if it is a single one
    value: Position | None
    found: bool

    @property
    def nearest(self) -> Position | None:
        """The value's position, or that of the key under which it is missing."""
        return self.value if self.found else self.key


def plain(node: Node) -> object:
    """Return the value of `node` as dicts, tuples and scalars.

    Examples
    --------
    >>> plain(node_of({"a": [1, {"b": None}]}))
    {'a': (1, {'b': None})}
    """
    if isinstance(node.value, Mapping):
        return {key: plain(entry.node) for key, entry in node.value.items()}
    if isinstance(node.value, tuple):
        return tuple(plain(item) for item in node.value)
    return node.value


def without(root: Node, path: Path) -> Node:
    """Return `root` without the entry at `path`, or as it is if there is none.

    Examples
    --------
    >>> plain(without(node_of({"a": {"b": 1, "c": 2}}), ("a", "b")))
    {'a': {'c': 2}}
    """
    entry = child(root, path[0])
    if entry is None or not isinstance(root.value, Mapping):
        return root
    if len(path) > 1:
        return with_child(root, path[0], replace(entry, node=without(entry.node, path[1:])))
    return replace(root, value={key: entry for key, entry in root.entries.items() if key != str(path[0])})


def node_of(value: object, position: Position | None = None, path: Path = ()) -> Node:
    """Return `value` (dicts, lists and scalars) as a tree whose every value stands at `position`.

    Raises
    ------
    ScenarioError
        A value that no document can hold, a key that is not text, or a number that is not finite.
    """
    if len(path) > MAX_DEPTH:
        raise ScenarioError(Fault("", f"values are nested deeper than {MAX_DEPTH} levels", position))
    if isinstance(value, Mapping):
        strange = [key for key in value if not isinstance(key, str)]
        if strange:
            raise ScenarioError(Fault(dotted(path), f"a key must be text; got {strange[0]!r}", position))
        return Node(
            {key: Entry(key, position, node_of(v, position, (*path, key))) for key, v in value.items()}, position
        )
    if isinstance(value, list | tuple):
        return Node(tuple(node_of(item, position, (*path, i)) for i, item in enumerate(value)), position)
    if value is None or type(value) in (str, int, bool):
        return Node(value, position)  # type: ignore[arg-type]
    if type(value) is float and abs(value) < float("inf"):
        return Node(value, position)
    raise ScenarioError(
        Fault(
            dotted(path),
            f"{value!r} is no value of a scenario: a finite number, text, a list or a mapping is",
            position,
        )
    )


def dotted(path: Path) -> str:
    """Return ``a.b.0`` for the path ("a", "b", 0)."""
    return ".".join(str(step) for step in path)


def locate(root: Node, path: Path) -> Place:
    """Return the place of `path` in the document `root`; steps that the document lacks keep the last place before them.

    Examples
    --------
    >>> locate(node_of({"a": [1]}), ("a", 0, "b")).written
    'a.0.b'
    """
    node, key, written = root, root.position, list[str]()
    for step in path:
        entry = child(node, step)
        if entry is None:
            rest = (str(step) for step in path[len(written) :])
            holder = key if isinstance(node.value, Mapping | tuple) else node.position
            return Place(dotted((*written, *rest)), holder, node.position, False)
        written.append(entry.written)
        key, node = entry.position, entry.node
    return Place(dotted(tuple(written)), key, node.position, True)


def child(node: Node, step: str | int) -> Entry | None:
    """Return the entry of `node` under a key or a list index, None if there is none."""
    if isinstance(node.value, Mapping):
        return node.value.get(str(step))
    index = int(step) if isinstance(step, int) or (step.isdecimal() and len(step) < 10) else -1
    if isinstance(node.value, tuple) and 0 <= index < len(node.value):
        item = node.value[index]
        return Entry(str(index), item.position, item)
    return None


def with_child(node: Node, step: str | int, entry: Entry) -> Node:
    """Return `node` with the entry under `step` replaced, or added to a mapping."""
    if isinstance(node.value, tuple):
        index = int(step)
        return replace(node, value=(*node.value[:index], entry.node, *node.value[index + 1 :]))
    return replace(node, value={**node.entries, str(step): entry})
