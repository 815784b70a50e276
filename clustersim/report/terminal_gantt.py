"""The Gantt of the ranks in a terminal, readable with and without colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clustersim.analysis.waits import find_waits
from clustersim.report.characters import Characters
from clustersim.report.gantt import COMMUNICATION, MEANINGS, WAITING, GanttRow, gantt_rows
from clustersim.report.quantities import time_unit
from clustersim.report.terminal import Facts, Paragraph, characters_of, shown_rows
from clustersim.result import Result

MAX_RANKS = 16

STYLES: dict[str, str] = {
    "F": "black on bright_blue",
    "B": "black on green",
    "I": "black on cyan",
    "W": "black on magenta",
    "X": "black on bright_cyan",
    "R": "black on yellow",
    "O": "black on white",
    COMMUNICATION: "red",
    WAITING: "dim",
}
_TICK_ROOM = 12  # columns between two marks of the time axis, at least


@dataclass(frozen=True, slots=True)
class Gantt:
    """A line a pipeline rank over the time of the run, in the replica that ends last."""

    result: Result

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        trace, characters = self.result.trace.sample, characters_of(options)
        if not trace.makespan_ps:
            yield Paragraph("the run takes no time")
            return
        indices = np.flatnonzero(trace.ranks.replica == self.result.ranks[0].replica)
        shown = shown_rows(len(indices), MAX_RANKS)
        label_width = len(f"rank {len(indices) - 1}") + 1
        num_columns = max(1, min(options.max_width - label_width, trace.makespan_ps))
        drawn = [int(indices[number]) for number in shown]
        rows = gantt_rows(trace, find_waits(trace), drawn, num_columns, characters.fill)
        before = 0
        for number, row in zip(shown, rows, strict=True):
            if number > before:
                yield Text(f"{characters.gap} {number - before} ranks not drawn", style="dim")
            before = number + 1
            yield _line(row, label_width, characters)
        yield _axis(self.result.makespan_s, label_width, num_columns, characters)
        seen = "".join(dict.fromkeys("".join(row.kinds for row in rows)))
        legend = [f"{_shown(letter, characters)} {meaning}" for letter, meaning in MEANINGS.items() if letter in seen]
        yield Facts(legend, "dim", separator="   ")


def _shown(letter: str, characters: Characters) -> str:
    return characters.dot if letter == WAITING and characters.dot != "|" else letter


def _line(row: GanttRow, label_width: int, characters: Characters) -> Text:
    line = Text(f"rank {row.pp_rank}".ljust(label_width))
    begin = 0
    for column in range(1, len(row.kinds) + 1):
        if column == len(row.kinds) or row.kinds[column] != row.kinds[begin]:
            cells = row.cells[begin:column].replace(WAITING, _shown(WAITING, characters))
            line.append(cells, STYLES[row.kinds[begin]])
            begin = column
    return line


def _axis(makespan_s: float, label_width: int, num_columns: int, characters: Characters) -> Text:
    """Return marks at round times, as many as there is room for."""
    factor, unit = time_unit(makespan_s)
    span = makespan_s / factor
    step = _round_step(span * _TICK_ROOM / num_columns)
    line = [" "] * num_columns
    for number in range(int(span / step) + 1):
        place = min(int(number * step / span * num_columns), num_columns - 1)
        label = f"{characters.tick}{number * step:g} {unit}"
        if place + len(label) <= num_columns:
            line[place : place + len(label)] = label
    return Text((" " * label_width + "".join(line)).rstrip(), style="dim")


def _round_step(least: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not below `least`.

    Examples
    --------
    >>> _round_step(7.3), _round_step(0.021)
    (10.0, 0.05)
    """
    power = float(10 ** np.floor(np.log10(least)))
    return float(f"{next(factor for factor in (1, 2, 5, 10) if factor * power >= least) * power:.1g}")
