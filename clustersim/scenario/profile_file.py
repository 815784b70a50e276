"""The file that a scenario names under ``profile``: measured times in CSV, read into rows that keep their places."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path as FilePath

from clustersim.errors import Fault, Position, ScenarioError, nearest
from clustersim.scenario.document import decode, read_bytes
from clustersim.scenario.node import MAX_NODES, Entry, Node
from clustersim.scenario.profile import ProfileRow

_TIMES = ("forward", "backward", "input_grad", "weight_grad", "recompute", "optimizer_step")
_UNITS = ("ps", "ns", "us", "ms", "s")
_LISTS = ("includes",)
_COLUMNS = tuple(key for key in ProfileRow.model_fields if key != "line")


def profile_node(node: Node, folder: FilePath) -> Node:
    """Return the profile that `node`, the value of ``profile``, stands for; a relative path starts at `folder`.

    The first line names the columns: the keys of a row, times with their unit (``forward_ms``), or without it, when
    each cell has its own (``7.2 ms``). A cell that is empty says nothing; lines that start with ``#`` are comments.

    Raises
    ------
    ScenarioError
        No such file, or one whose columns or cells don't make rows; all of its mistakes.
    """
    if not isinstance(node.value, str):
        return node
    name = node.value
    data = read_bytes(folder / name, name, Fault("profile", name, node.position))
    text = decode(data, str(folder / name)).text
    rows = Node(tuple(_rows(str(folder / name), text)), node.position)
    told = {"file": name, "sha256": hashlib.sha256(data).hexdigest()}
    entries = {key: Entry(key, node.position, Node(value, node.position)) for key, value in told.items()}
    return Node({**entries, "rows": Entry("rows", node.position, rows)}, node.position)


def _rows(file: str, text: str) -> list[Node]:
    lines = [
        (number, line.rstrip("\r"))
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        what = "the file is empty; its first line names the columns, such as part,tp,forward_ms,backward_ms"
        raise ScenarioError(Fault("profile", what, Position(file, 1, 1)))
    header = list(_cells(file, *lines[0]))
    faults = list(_header_faults(header))
    rows, num_nodes = [], 0
    for number, line in lines[1:]:
        cells = list(_cells(file, number, line))
        num_nodes += len(cells)
        if num_nodes > MAX_NODES:
            raise ScenarioError(Fault("profile", f"more than {MAX_NODES:,} cells", cells[0].position))
        if len(cells) != len(header):
            what = f"{len(cells)} cells; the first line names {len(header)} columns"
            faults.append(Fault("profile", what, cells[0].position))
        elif not faults:
            rows.append(_row(header, cells))
    if faults:
        raise ScenarioError(faults)
    if not rows:
        raise ScenarioError(Fault("profile", "there is no row under the names of the columns", header[0].position))
    return rows


def _cells(file: str, number: int, line: str) -> Iterator[Node]:
    """Yield the texts of a line, each at its place; cells are not quoted."""
    column = 1
    for text in line.split(","):
        lead = len(text) - len(text.lstrip())
        yield Node(text.strip(), Position(file, number, column + lead, line))
        column += len(text) + 1


def _key(column: str) -> tuple[str, str]:
    """Return the key that a column holds, and the unit of its cells; no unit if each cell has its own.

    Examples
    --------
    >>> _key("forward_ms"), _key("micro_batch_size")
    (('forward', 'ms'), ('micro_batch_size', ''))
    """
    key, _, unit = column.rpartition("_")
    return (key, unit) if key in _TIMES and unit in _UNITS else (column, "")


def _header_faults(header: list[Node]) -> Iterator[Fault]:
    known = [f"{key}_ms" if key in _TIMES else key for key in _COLUMNS]
    keys = [_key(str(cell.value))[0] for cell in header]
    for index, (cell, key) in enumerate(zip(header, keys, strict=True)):
        if key not in _COLUMNS:
            hint = nearest(str(cell.value), known) or f"columns: {', '.join(known)}"
            yield Fault("profile", f"unknown column '{cell.value}'", cell.position, hint)
        elif key in keys[:index]:
            yield Fault("profile", f"column '{cell.value}' stands there twice", cell.position)
    if "part" not in keys:
        yield Fault("profile", "missing column: part", header[0].position)


def _row(header: list[Node], cells: list[Node]) -> Node:
    place = cells[0].position
    entries = {"line": Entry("line", place, Node(place.line if place else None, place))}
    for column, cell in zip(header, cells, strict=True):
        if cell.value:
            key, unit = _key(str(column.value))
            entries[key] = Entry(str(column.value), cell.position, _value(key, unit, cell))
    return Node(entries, place)


def _value(key: str, unit: str, cell: Node) -> Node:
    text = str(cell.value)
    if key in _LISTS:
        return Node(tuple(Node(word, cell.position) for word in text.split()), cell.position)
    if unit:
        return Node(f"{text} {unit}", cell.position)
    is_number = key not in _TIMES and text.isascii() and text.isdecimal() and len(text) < 12
    return Node(int(text) if is_number else text, cell.position)
