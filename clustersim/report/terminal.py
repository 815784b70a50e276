"""Consoles, and the pieces that all drawings share: titles, wrapped text, tables that fit their width."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from clustersim.report.characters import Characters, characters_for, one_line

_GAP = 2
_NARROWEST = 8  # what a flexible column keeps, whatever the width
_STATUS_AFTER_S = 1.0


def console_for(file: IO[str], width: int | None = None) -> Console:
    """Return a console that writes plainly: no markup, no guessing; colours on a terminal only."""
    return Console(file=file, width=width, markup=False, emoji=False, highlight=False, soft_wrap=False)


@contextmanager
def delayed_status(console: Console, text: str) -> Iterator[Callable[[str], None]]:
    """Show a spinner with `text` if what runs inside takes longer than a second; yield how to change the text."""
    status = console.status(Text(text))
    timer = threading.Timer(_STATUS_AFTER_S, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda changed: status.update(Text(changed))
    finally:
        timer.cancel()
        timer.join()
        status.stop()


def characters_of(options: ConsoleOptions) -> Characters:
    """Return the characters that the output of a drawing can hold."""
    return characters_for(options.ascii_only)


def title(text: str) -> Text:
    """Return the title of a section."""
    return Text("\n" + one_line(text), style="bold")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Text that goes on below, indented, where the line is too short for it; no blanks at the ends of lines."""

    text: str
    style: str = ""
    indent: int = 0
    label: str = ""  # stands before the text, in the indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        label = set_cell_size(one_line(self.label), self.indent) if self.label else ""
        lines = wrapped(one_line(self.text), options.max_width, cell_len(label), self.indent)
        body = Text(("\n" + " " * self.indent).join(lines), style=self.style)
        yield Text(label, no_wrap=True) + body


def wrapped(text: str, width: int, first_indent: int = 0, indent: int = 0) -> list[str]:
    """Return the lines of `text`, whose first has less room if something stands before it."""
    lines, room = [""], max(_NARROWEST, width - first_indent)
    for word in text.split(" "):
        for piece in chop_cells(word, max(_NARROWEST, width - max(indent, first_indent))) or [""]:
            joined = f"{lines[-1]} {piece}" if lines[-1] else piece
            if cell_len(joined) <= room:
                lines[-1] = joined
            else:
                lines.append(piece)
                room = max(_NARROWEST, width - indent)
    return [line.rstrip() for line in lines]


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts on one line, a dot between them; a fact that does not fit moves to the next line whole."""

    facts: Sequence[str]
    style: str = ""
    separator: str | None = None  # in place of the dot

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        separator = self.separator or f" {characters_of(options).dot} "
        lines: list[str] = []
        for fact in map(one_line, self.facts):
            joined = f"{lines[-1]}{separator}{fact}" if lines else fact
            if lines and cell_len(joined) <= options.max_width:
                lines[-1] = joined
            else:
                lines.append(fact)
        yield Text("\n".join(lines), style=self.style)


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar in a table cell, as long as its share of the width that is left over."""

    share: float
    style: str = ""
    before: float = 0.0  # share at which it begins


Cell = str | Bar


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Where the terminal is too narrow, columns of the highest `rank` are left out first, and those of rank 0 never; a
    flexible column then takes what is left, and is cut with an ellipsis.
    """

    header: str
    cells: Sequence[Cell]
    rank: int = 0
    left: bool = False
    flexible: bool = False

    def width(self) -> int:
        """Return the width that shows every cell whole."""
        return max(cell_len(text) for text in (self.header, *(c for c in self.cells if isinstance(c, str))))


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a table in the columns for which there is room."""

    columns: Sequence[Column]
    row_styles: Sequence[str] = field(default=())
    indent: int = 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        characters = characters_of(options)
        room = options.max_width - self.indent
        columns = _that_fit(self.columns, room)
        widths = _widths(columns, room)
        if any(column.header for column in columns):
            yield self._line([_padded(c.header, c, w, characters) for c, w in zip(columns, widths, strict=True)], "dim")
        for row in range(len(columns[0].cells) if columns else 0):
            cells = [_padded(c.cells[row], c, w, characters) for c, w in zip(columns, widths, strict=True)]
            yield self._line(cells, self.row_styles[row] if row < len(self.row_styles) else "")
        absent = [column.header for column in self.columns if column not in columns and column.header]
        if absent:
            yield Paragraph(f"(no room for: {', '.join(absent)})", "dim")

    def _line(self, cells: Sequence[Text], style: str) -> Text:
        line = Text(" " * self.indent, no_wrap=True, overflow="ellipsis") + Text(" " * _GAP).join(cells)
        line.rstrip()
        line.stylize_before(style)
        return line


def _that_fit(columns: Sequence[Column], room: int) -> list[Column]:
    kept = list(columns)
    for rank in sorted({column.rank for column in columns if column.rank}, reverse=True):
        if sum(_least_width(column) + _GAP for column in kept) - _GAP <= room:
            break
        kept = [column for column in kept if column.rank != rank]
    return kept


def _least_width(column: Column) -> int:
    return min(column.width(), _NARROWEST) if column.flexible else column.width()


def _widths(columns: Sequence[Column], room: int) -> list[int]:
    widths = [column.width() for column in columns]
    over = sum(widths) + _GAP * (len(widths) - 1) - room
    for index, column in enumerate(columns):
        has_bars = any(isinstance(cell, Bar) for cell in column.cells)
        if column.flexible and (over > 0 or has_bars):
            narrowed = max(min(_NARROWEST, widths[index]), widths[index] - over)
            over -= widths[index] - narrowed
            widths[index] = narrowed
    return widths


def _padded(cell: Cell, column: Column, width: int, characters: Characters) -> Text:
    if isinstance(cell, Bar):
        begin, end = round(cell.before * width), round((cell.before + cell.share) * width)
        return Text(" " * begin) + Text(characters.bar * (end - begin), cell.style) + Text(" " * (width - end))
    text = one_line(cell)
    if cell_len(text) > width:
        text = set_cell_size(text, width - len(characters.ellipsis)) + characters.ellipsis
    padding = " " * (width - cell_len(text))
    return Text(text + padding if column.left else padding + text)


def shown_rows(num_rows: int, limit: int) -> list[int]:
    """Return the rows of a long list that are shown: its first and last, `limit` in all.

    Examples
    --------
    >>> shown_rows(3, 4), shown_rows(9, 4)
    ([0, 1, 2], [0, 1, 7, 8])
    """
    if num_rows <= limit:
        return list(range(num_rows))
    first = (limit + 1) // 2
    return [*range(first), *range(num_rows - (limit - first), num_rows)]


def left_out(num_rows: int, limit: int, what: str) -> list[RenderableType]:
    """Return the line that says how many rows of a list are not shown; nothing if all are."""
    if num_rows <= limit:
        return []
    shown = shown_rows(num_rows, limit)
    first_out = next(row for row, index in enumerate(shown) if row != index)
    last_out = shown[first_out] - 1
    return [Text(f"({num_rows - limit} {what} not shown: {first_out} to {last_out})", style="dim")]
