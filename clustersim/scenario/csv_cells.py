"""Lines of a CSV file as cells, each with the place where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from clustersim.errors import Fault, ScenarioError
from clustersim.scenario.override import OptionPosition
from clustersim.scenario.text import Text

_LONGEST_SHOWN = 200  # characters of a line; a longer one says nothing to a reader
_CELL = re.compile(r'\s*"((?:[^"]|"")*)"\s*(,|$)|([^,]*)(,|$)')


class CellPosition(OptionPosition):
    """The place of a cell, whose value replaces one of a scenario as an option does."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Cell(NamedTuple):
    """One cell, without the quotes and blanks around it."""

    text: str
    position: CellPosition


def csv_lines(text: Text, faults: list[Fault]) -> Iterator[list[Cell]]:
    """Yield the cells of each line that is not empty; a cell in double quotes may hold commas, but no line's end.

    Lines with quotes that are not closed are left out, and told in `faults`.

    Examples
    --------
    >>> [[cell.text for cell in line] for line in csv_lines(Text("my.csv", 'a, "b, c" ,'), [])]
    [['a', 'b, c', '']]
    """
    for index, line in enumerate(text.text.split("\n")):
        if line.strip():
            try:
                yield list(_cells(text.name, index + 1, line.rstrip("\r")))
            except ScenarioError as error:
                faults += error.faults


def _cells(file: str, number: int, line: str) -> Iterator[Cell]:
    start, ended = 0, False
    while not ended:
        match = _CELL.match(line, start)
        assert match is not None  # the second form takes any text
        quoted, quoted_end, plain, plain_end = match.groups()
        found = plain if quoted is None else quoted.replace('""', '"')
        column = start + len(match[0]) - len(match[0].lstrip()) + 1
        position = CellPosition(file, number, column, line if len(line) <= _LONGEST_SHOWN else "")
        if quoted is None and plain.lstrip().startswith('"'):
            hint = 'write "a, ""b""" for the text a, "b"'
            raise ScenarioError(Fault("", "a quote that is not closed, or text after it", position, hint))
        yield Cell(found.strip(), position)
        start, ended = match.end(), not (quoted_end or plain_end)
