"""Files of measured times: a CSV whose columns are keys of a scenario, or JSON lines that hold a scenario each.

A line of a CSV is the base scenario with the values in its cells; an empty cell leaves the base's value. ``step_time``
is the time of a training step; ``forward_time`` and ``backward_time`` are those of one layer (column ``layer``, by its
number; absent: the first), the backward with what it recomputes, both with what the tensor-parallel group exchanges
unless the column ``communication`` says false. A line of JSON is as in the packaged ``scenarios/measurements``.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clustersim.errors import Fault, InputError, Position, ScenarioError
from clustersim.scenario.csv_cells import Cell, csv_lines
from clustersim.scenario.document import decode, read_bytes
from clustersim.scenario.load import scenario_from_mapping, scenario_of_keys, vary
from clustersim.scenario.measured import Layer, Measured, MeasuredFile, checked
from clustersim.scenario.measured_columns import TIMES, Column, columns_of
from clustersim.scenario.node import Node
from clustersim.scenario.override import value_at
from clustersim.scenario.spec import Scenario
from clustersim.scenario.text import Text
from clustersim.scenario.units import parse_time_ps

MAX_BYTES = 20 * 10**6
MAX_FAULTS = 100
_NUMBER = re.compile(r"[-+]?[\d.]+(?:[eE][+-]?\d+)?", re.ASCII)
_SIZES = ("parallelism.tp", "parallelism.cp", "parallelism.dp", "parallelism.pp")


@dataclass(frozen=True, slots=True)
class Base:
    """What the lines of a CSV vary: a scenario, or nothing but what the command line says."""

    scenario: Scenario | None = None
    overrides: Sequence[str] = ()  # of no scenario; one that was loaded has them already

    def varied(self, changes: Mapping[str, Node], is_layer: bool) -> Scenario:
        """Return the scenario of one line.

        Raises
        ------
        ScenarioError
            All mistakes.
        """
        if self.scenario is not None:
            return vary(self.scenario, changes)
        sections: dict[str, Any] = {"version": 1}
        if is_layer:  # of which a scenario is more than is needed
            sections["schedule"] = "1f1b"
            sections["cluster"] = {"gpus": _num_gpus(changes)}
            if not any(key.startswith("batch.") and key != "batch.micro_batch_size" for key in changes):
                sections["batch"] = {"num_microbatches": 1}
        return scenario_of_keys(sections, self.overrides, changes)


def _num_gpus(changes: Mapping[str, Node]) -> int:
    sizes = (changes[key].value for key in _SIZES if key in changes)
    return math.prod(size for size in sizes if type(size) is int)


def read_measured(file: str, base: Base) -> MeasuredFile:
    """Return the measured times in a file; `base` is what the lines of a CSV vary.

    Raises
    ------
    InputError
        All mistakes, `MAX_FAULTS` at most, each with its place.
    """
    data = read_bytes(Path(file), file, None, MAX_BYTES)
    text, faults = decode(data, file), list[Fault]()
    read = _json_rows(text, faults) if is_json_lines(file) else _csv_rows(text, base, faults)
    rows = []
    for row in read:
        rows.append(row)
        if len(faults) >= MAX_FAULTS:
            break
    if not rows and not faults:
        faults.append(Fault("", "the file holds no measured time", Position(file, 1, 1)))
    if faults:
        raise InputError(faults[:MAX_FAULTS])
    return MeasuredFile(file, hashlib.sha256(data).hexdigest(), tuple(rows))


def is_json_lines(file: str) -> bool:
    """Return whether a file is one of JSON lines, and no CSV."""
    return Path(file).suffix.lower() in (".jsonl", ".ndjson")


def _csv_rows(text: Text, base: Base, faults: list[Fault]) -> Iterator[Measured]:
    lines = csv_lines(text, faults)
    header = next(lines, None)
    if header is None:
        return
    columns = columns_of(header, faults)
    if faults:
        return
    for cells in lines:
        if len(cells) != len(columns):
            what = f"{len(cells)} cells; the first line names {len(columns)} columns"
            faults.append(Fault("", what, cells[0].position))
        else:
            named = {column: cell for column, cell in zip(columns, cells, strict=True) if column and cell.text}
            yield from _csv_row(_Line(named, cells[0].position), base, faults)


@dataclass(frozen=True, slots=True)
class _Line:
    """The cells of one line that hold something, by column."""

    cells: Mapping[Column, Cell]
    position: Position

    def text(self, meaning: str, otherwise: str = "") -> str:
        """Return what the line says under one of our own columns."""
        cell = self.cells.get(Column(meaning))
        return cell.text if cell else otherwise

    def changes(self) -> dict[str, Node]:
        """Return the values of the scenario's keys, sections before what lies in them."""
        keyed = [(column.meaning, cell) for column, cell in self.cells.items() if column.is_key]
        keyed.sort(key=lambda one: one[0].count("."))
        return {key: value_at(cell.text, cell.position) for key, cell in keyed}

    def times_ps(self, faults: list[Fault]) -> dict[str, int]:
        """Return the times; what is wrong with them is added to `faults`."""
        found = {}
        for column, (text, position) in self.cells.items():
            if column.meaning in TIMES:
                try:
                    found[column.meaning] = _time_ps(text, column.unit)
                except ValueError as error:
                    faults.append(Fault(column.meaning, str(error), position))
        return found

    def layer(self, faults: list[Fault]) -> Layer:
        """Return which layer was measured."""
        number, communication = self.text("layer", "0"), self.text("communication", "true").lower()
        if not number.isdecimal() or len(number) > 9:
            what = f"got {number!r}; a layer is a whole number from 0"
            faults.append(Fault("layer", what, self.cells[Column("layer")].position))
            number = "0"
        if communication not in ("true", "false"):
            what = f"got {communication!r}; must be true or false"
            faults.append(Fault("communication", what, self.cells[Column("communication")].position))
        return Layer(int(number), communication == "true")


def _time_ps(text: str, unit: str) -> int:
    """Return a measured time, with its unit in the text or in `unit`. [ps]"""
    if unit and not _NUMBER.fullmatch(text):
        raise ValueError(f"got {text!r}; the column's name has the unit ({unit}): a cell is a number, such as 12.5")
    time_ps = parse_time_ps(f"{text} {unit}" if unit else text)
    if not time_ps:
        raise ValueError(f"got {text!r}; a measured time is above zero")
    return time_ps


def _csv_row(line: _Line, base: Base, faults: list[Fault]) -> Iterator[Measured]:
    """Yield the times of one line, if it has no mistakes; these are added to `faults`."""
    own: list[Fault] = []
    times_ps = line.times_ps(own)
    if not times_ps and not own:
        own.append(Fault("", "a line without a time", line.position))
    layer = None if "step_time" in times_ps else line.layer(own)
    try:
        scenario = checked(base.varied(line.changes(), layer is not None), layer, line.position)
    except ScenarioError as error:
        faults += [*own, *(_placed(fault, line.position) for fault in error.faults)]
        return
    faults += own
    if not own:
        name = line.text("name", f"line {line.position.line}")
        for meaning, time_ps in times_ps.items():
            yield Measured(name, line.text("source"), TIMES[meaning], time_ps, scenario, layer)


def _placed(fault: Fault, position: Position) -> Fault:
    """Return a fault with a position: that of its line, if it has none."""
    return fault if fault.position else Fault(fault.where, fault.what, position, fault.hint)


def _json_rows(text: Text, faults: list[Fault]) -> Iterator[Measured]:
    for index, line in enumerate(text.text.split("\n")):
        if not line.strip():
            continue
        position = Position(text.name, index + 1, 1)
        try:
            yield _json_row(json.loads(line), position)
        except ScenarioError as error:
            faults += [_placed(fault, position) for fault in error.faults]
        except (ValueError, RecursionError) as error:
            faults.append(Fault("", f"no measurement in JSON: {error}", position))


def _json_row(row: Any, position: Position) -> Measured:
    if not isinstance(row, dict) or not isinstance(row.get("scenario"), dict):
        raise ValueError("a line holds a mapping with `step_time_s` and `scenario`")
    time_s, changes = row.get("step_time_s"), row.get("set", {})
    if not isinstance(time_s, int | float) or not 0 < time_s < 1e6:
        raise ValueError(f"step_time_s: got {time_s!r}; a time above zero is a number of seconds")
    if not isinstance(changes, dict):
        raise ValueError("set: must be a mapping of dotted keys")
    folder = Path(position.file).parent
    scenario = vary(scenario_from_mapping(row["scenario"], folder, position), changes)
    name, source = str(row.get("id") or f"line {position.line}"), str(row.get("source") or "")
    return Measured(name, source, "step", round(time_s * 1e12), checked(scenario, None, position))
