"""``--set a.b=c``: one value replaced, as though the file said so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from clustersim.errors import Fault, Position, ScenarioError
from clustersim.scenario.aliases import canonical, with_canonical_names
from clustersim.scenario.node import MAX_DEPTH, Entry, Node, Path, child, dotted, with_child
from clustersim.scenario.read_yaml import read_yaml
from clustersim.scenario.text import Text

_FREE_KEYS: Path = ("sweep", "axes")  # keys below are dotted keys themselves

Expander = Callable[[Node], Node]
"""Turns a shorthand into the mapping that it stands for, as ``1f1b`` into ``{name: 1f1b}``."""


class OptionPosition(Position):
    """A place on the command line: an option, without lines and columns."""

    def __str__(self) -> str:
        return self.file


def option_position(text: str) -> OptionPosition:
    """Return the position of the option ``--set text``."""
    return OptionPosition(f"--set {text}", 1, 1)


def with_override(root: Node, text: str, expanders: Mapping[Path, Expander]) -> Node:
    """Return `root` with one value replaced as `text` (``a.b=c``) says; the value is read as YAML.

    Raises
    ------
    ScenarioError
        No ``=``, no YAML, a path below a single value, or a list index out of range.
    """
    position = option_position(text)
    key, equals, value_text = text.partition("=")
    path = split_key(key.strip())
    if not equals or not all(path) or len(path) > MAX_DEPTH:
        raise ScenarioError(
            Fault("", "an override is a key and a value", position, "write --set batch.num_microbatches=8")
        )
    return with_value(root, path, value_at(value_text, position), expanders)


def split_key(key: str) -> Path:
    """Return the path of a dotted key, in our own names.

    Examples
    --------
    >>> split_key("stage_costs.stages.0.forward"), split_key("sweep.axes.parallelism.pp")
    (('stage_costs', 'stages', '0', 'forward'), ('sweep', 'axes', 'parallelism.pp'))
    """
    steps: Path = tuple(key.split("."))
    if steps[: len(_FREE_KEYS)] == _FREE_KEYS and len(steps) > len(_FREE_KEYS):
        return (*_FREE_KEYS, dotted(steps[len(_FREE_KEYS) :]))
    return steps


def with_value(root: Node, written: Path, value: Node, expanders: Mapping[Path, Expander]) -> Node:
    """Return `root` with `value` at the path `written`, which may use other tools' names."""
    path = canonical(written)
    renamed, faults = with_canonical_names(value, path)
    if faults:
        raise ScenarioError(faults)
    return _replaced(root, path, 0, written, renamed, expanders)


def _replaced(
    node: Node, path: Path, depth: int, written: Path, value: Node, expanders: Mapping[Path, Expander]
) -> Node:
    if depth == len(path):
        return value
    step, parent = path[depth], dotted(written[:depth])
    if node.value is None:
        node = Node({}, value.position)
    if path[:depth] in expanders and not isinstance(node.value, dict):
        node = expanders[path[:depth]](node)
    found = child(node, step)
    if isinstance(node.value, tuple) and found is None:
        allowed = f"0 to {len(node.value) - 1}" if node.value else "none, it is empty"
        raise ScenarioError(Fault(parent, f"a list has no item '{step}'; allowed: {allowed}", value.position))
    if not isinstance(node.value, tuple | dict):
        what = f"a single value ({node.value!r}); there is no '{step}' in it"
        raise ScenarioError(Fault(parent, what, value.position, f"set '{parent}' itself"))
    below = found.node if found else Node(None, value.position)
    changed = _replaced(below, path, depth + 1, written, value, expanders)
    return with_child(node, step, Entry(str(written[depth]), value.position, changed))


def value_at(text: str, position: Position) -> Node:
    """Return the tree of a value written in YAML, every part of it standing at `position`."""
    if not text.strip():
        return Node(None, position)
    try:
        return _moved(read_yaml(Text(position.file, text)), position)
    except ScenarioError as error:
        raise ScenarioError(replace(fault, position=position) for fault in error.faults) from None


def _moved(node: Node, position: Position) -> Node:
    if isinstance(node.value, tuple):
        return Node(tuple(_moved(item, position) for item in node.value), position)
    if isinstance(node.value, dict):
        moved = {key: Entry(e.written, position, _moved(e.node, position)) for key, e in node.value.items()}
        return Node(moved, position)
    return replace(node, position=position)
