"""A list of flows in a CSV file: who sends how much to whom, from when on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from clustersim.errors import Fault, InputError, Position, nearest
from clustersim.scenario.document import decode, read_bytes
from clustersim.scenario.units import parse_size_bytes, parse_time_ps

COLUMNS = ("source", "destination", "bytes", "start_s")
MAX_BYTES = 100 * 10**6
MAX_FAULTS = 100
_WHOLE = re.compile(r"\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"[-+]?[\d.]+(?:[eE][+-]?\d+)?", re.ASCII)
_SECONDS = re.compile(r"(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,2})?", re.ASCII)


class FlowRow(NamedTuple):
    """One line of the file."""

    source: int
    destination: int
    size_bytes: int
    start_ps: int


class _Cell(NamedTuple):
    text: str
    position: Position


def read_flows(file: str, num_gpus: int) -> list[FlowRow]:
    """Return the flows of a CSV file, in its order.

    The first line names the columns (`COLUMNS`, in any order). GPUs are numbers, ``bytes`` is a whole number or a size
    with its unit, ``start_s`` a number of seconds. Cells are not quoted; empty lines count for nothing.

    Parameters
    ----------
    file
        Path of the file.
    num_gpus
        Number of GPUs, which are numbered from 0.

    Raises
    ------
    InputError
        All mistakes, `MAX_FAULTS` at most, each with its place.
    """
    text = decode(read_bytes(Path(file), file, None, MAX_BYTES), file).text
    lines = [
        (number, line.rstrip("\r"))
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1)
        if line.strip()
    ]
    if not lines:
        what = f"the file is empty; its first line names the columns: {','.join(COLUMNS)}"
        raise InputError(Fault("", what, Position(file, 1, 1)))
    header = _cells(file, *lines[0])
    faults = list(_header_faults(header))
    if faults:
        raise InputError(faults)
    names = [cell.text for cell in header]
    flows = []
    for number, line in lines[1:]:
        row = _flow(names, _cells(file, number, line), num_gpus, faults)
        if row is not None:
            flows.append(row)
        if len(faults) >= MAX_FAULTS:
            break
    if faults:
        raise InputError(faults[:MAX_FAULTS])
    if not flows:
        raise InputError(Fault("", "there is no flow under the names of the columns", header[0].position))
    return flows


def _cells(file: str, number: int, line: str) -> list[_Cell]:
    cells, column = [], 1
    for text in line.split(","):
        lead = len(text) - len(text.lstrip())
        cells.append(_Cell(text.strip(), Position(file, number, column + lead, line)))
        column += len(text) + 1
    return cells


def _header_faults(header: list[_Cell]) -> Iterator[Fault]:
    names = [cell.text for cell in header]
    for index, cell in enumerate(header):
        if cell.text not in COLUMNS:
            hint = nearest(cell.text, COLUMNS) or f"columns: {', '.join(COLUMNS)}"
            yield Fault("columns", f"unknown column {cell.text!r}", cell.position, hint)
        elif cell.text in names[:index]:
            yield Fault("columns", f"column {cell.text!r} stands there twice", cell.position)
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        yield Fault("columns", f"missing: {', '.join(missing)}", header[0].position)


def _flow(names: list[str], cells: list[_Cell], num_gpus: int, faults: list[Fault]) -> FlowRow | None:
    """Return the flow of one line; None if it has mistakes, which are added to `faults`."""
    if len(cells) != len(names):
        what = f"{len(cells)} cells; the first line names {len(names)} columns"
        faults.append(Fault(f"row {cells[0].position.line}", what, cells[0].position))
        return None
    values: dict[str, int] = {}
    for name, (text, position) in zip(names, cells, strict=True):
        try:
            values[name] = _value(name, text, num_gpus)
        except ValueError as error:
            faults.append(Fault(f"row {position.line}, column {name}", str(error), position))
    return FlowRow(*(values[name] for name in COLUMNS)) if len(values) == len(COLUMNS) else None


def _value(name: str, text: str, num_gpus: int) -> int:
    if name == "bytes":
        if _NUMBER.fullmatch(text) and not _WHOLE.fullmatch(text):
            raise ValueError(f"got {text!r}; bytes are a whole number from 0, or a size with its unit, such as 80 GiB")
        return parse_size_bytes(f"{text} B" if _WHOLE.fullmatch(text) else text)
    if name == "start_s":
        if not _SECONDS.fullmatch(text):
            raise ValueError(f"got {text!r}; a start is a number of seconds, such as 0.0125")
        return parse_time_ps(f"{text} s")
    if not _WHOLE.fullmatch(text) or int(text) >= num_gpus:
        raise ValueError(f"got {text!r}; GPUs are numbered 0 to {num_gpus - 1}")
    return int(text)
