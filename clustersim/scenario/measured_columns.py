"""What the columns of a file of measured times mean: times, keys of a scenario, and what tells rows apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple, get_args

from clustersim.errors import Fault, nearest
from clustersim.scenario.aliases import ALIASES, canonical
from clustersim.scenario.csv_cells import Cell
from clustersim.scenario.keys import axis_findings, dotted_keys
from clustersim.scenario.measured import Quantity
from clustersim.scenario.node import dotted
from clustersim.scenario.override import split_key
from clustersim.scenario.spec import Scenario

UNITS = ("s", "ms", "us")
TIMES: dict[str, Quantity] = {f"{quantity}_time": quantity for quantity in get_args(Quantity)}
OWN = ("name", "source", "layer", "communication")
_NOT_VARIED = ("stage_costs", "profile", "sweep", "plan")


class Column(NamedTuple):
    """What one column holds."""

    meaning: str  # one of `TIMES` or `OWN`, or else a dotted key
    unit: str = ""  # of a time; none: each cell has its own

    @property
    def is_key(self) -> bool:
        """Whether its cells are values of a scenario."""
        return self.meaning not in TIMES and self.meaning not in OWN


def column_of(name: str) -> Column:
    """Return what a column called `name` holds.

    A time may have its unit in the name. A key may be given by its last part, if no other key has as few parts and
    ends in the same; other tools' names are accepted.

    Raises
    ------
    ValueError
        No such column.

    Examples
    --------
    >>> column_of("step_time_ms")
    Column(meaning='step_time', unit='ms')
    >>> column_of("micro_batch_size").meaning, column_of("tensor_model_parallel_size").meaning
    ('batch.micro_batch_size', 'parallelism.tp')
    """
    for time in TIMES:
        unit = name.removeprefix(time).removeprefix("_")
        if name.startswith(time) and (name == time or unit in UNITS):
            return Column(time, unit)
    if name in OWN:
        return Column(name)
    key = dotted(canonical(split_key(_whole_key(name))))
    findings = list(axis_findings(Scenario, (key,)))
    if findings:
        hint = nearest(name, [*TIMES, *OWN, *_keys_by_last_part()]) or findings[0].hint
        raise ValueError(f"no column '{name}': neither a time, nor a key of a scenario. {hint}".rstrip(". "))
    return Column(key)


def _whole_key(name: str) -> str:
    keys = _keys_by_last_part().get(name, ())
    return keys[0] if "." not in name and len(keys) == 1 else name


@cache
def _keys_by_last_part() -> dict[str, tuple[str, ...]]:
    """Return the shortest keys that end in each name."""
    found: dict[str, tuple[str, ...]] = {}
    aliases = {f"{key.rpartition('.')[0]}.{name}": None for key, names in ALIASES.items() for name in names}
    for key in {**dict.fromkeys(dotted_keys(Scenario)), **aliases}:
        if key.partition(".")[0] in _NOT_VARIED:
            continue
        last, others = key.rpartition(".")[2], found.get(key.rpartition(".")[2], ())
        if not others or key.count(".") < others[0].count("."):
            found[last] = (key,)
        elif key.count(".") == others[0].count("."):
            found[last] = (*others, key)
    return found


def columns_of(header: Sequence[Cell], faults: list[Fault]) -> list[Column | None]:
    """Return what each column holds; what is wrong with the first line is added to `faults`."""
    columns: list[Column | None] = []
    for cell in header:
        try:
            columns.append(column_of(cell.text))
        except ValueError as error:
            faults.append(Fault("columns", str(error), cell.position))
            columns.append(None)
            continue
        if columns[-1] in columns[:-1]:
            faults.append(Fault("columns", f"column {cell.text!r} stands there twice", cell.position))
    meanings = [column.meaning for column in columns if column]
    faults += [Fault("columns", what, header[0].position, hint) for what, hint in _missing(meanings)]
    return columns


def _missing(meanings: Sequence[str]) -> Iterator[tuple[str, str]]:
    times = [meaning for meaning in meanings if meaning in TIMES]
    if not times:
        yield "no measured times", f"columns: {', '.join(TIMES)}; the unit in the name (step_time_s) or in the cells"
    elif "step_time" in times and len(times) > 1:
        yield "times of steps and of layers in one file", "put them into two"
