"""A sweep in a terminal: its rows, and a small chart of one axis or two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from clustersim.analysis.learning_rate import LEARNING_RATE_NOTE, learning_rate_factors
from clustersim.report.quantities import UNKNOWN, count, number, percent, seconds, size
from clustersim.report.sweep_files import axis_text, has_run, short_axis
from clustersim.report.terminal import Bar, Column, Paragraph, Table, characters_of, left_out, shown_rows, title

_MAX_ROWS = 40
_MAX_BARS = 20
_MAX_REASONS = 10

Row = Mapping[str, Any]


def sweep_report(name: str, document: Mapping[str, Any]) -> RenderableType:
    """Return the rows of a sweep, a chart of them, and why points were refused."""
    axes: Mapping[str, Sequence[Any]] = document["axes"]
    rows: Sequence[Row] = document["rows"]
    varied = [axis for axis, values in axes.items() if len(values) > 1]
    parts: list[RenderableType] = [Paragraph(name, "bold")] if name else []
    parts += [_table(list(axes), rows), *left_out(len(rows), _MAX_ROWS, "points")]
    if len(varied) == 1:
        parts += _bars(varied[0], rows)
    elif len(varied) == 2 and len(rows) == len(axes[varied[0]]) * len(axes[varied[1]]):
        parts += [title(f"Step time: {varied[0]} down, {varied[1]} across"), Heat(varied[0], varied[1], axes, rows)]
    reasons = [*_reasons(list(axes), rows, "refused"), *_reasons(list(axes), rows, "failed")]
    return Group(*parts, *_learning_rates(rows), *reasons)


def _table(axes: Sequence[str], rows: Sequence[Row]) -> Table:
    shown = [rows[index] for index in shown_rows(len(rows), _MAX_ROWS)]
    columns = [
        Column(short_axis(axis, axes), [_text(row[axis]) for row in shown], left=True, flexible=True) for axis in axes
    ]
    return Table(
        [
            *columns,
            Column("status", [row["status"] for row in shown], left=True),
            Column("step time", [_if_run(seconds, row, "step_time_s") for row in shown]),
            Column("fraction", [_if_run(percent, row, "bubble_fraction") for row in shown], rank=1),
            Column("overhead", [_if_run(percent, row, "bubble_overhead") for row in shown], rank=2),
            Column("peak", [_if_run(size, row, "peak_bytes") for row in shown], rank=3),
            Column("exposed", [_if_run(seconds, row, "exposed_communication_s") for row in shown], rank=4),
        ],
        [{"ok": "", "unfit": "red", "refused": "dim", "failed": "red"}[row["status"]] for row in shown],
    )


def _text(value: Any) -> str:
    return str(axis_text(value))


def _if_run(shown: Any, row: Row, column: str) -> str:
    return str(shown(row[column])) if has_run(row) else ""


def _bars(axis: str, rows: Sequence[Row]) -> Iterator[RenderableType]:
    """Yield two bars a value: the ratio that papers quote, and the one that they mean."""
    ran = [row for row in rows if has_run(row) and row["bubble_overhead"] is not None]
    if not ran:
        return
    shown = [ran[index] for index in shown_rows(len(ran), _MAX_BARS)]
    largest = max(max(row["bubble_overhead"] for row in ran), 1e-12)
    names, labels, ratios, bars = [], [], [], list[Bar]()
    for row in shown:
        for name, column, style in (
            ("overhead", "bubble_overhead", "magenta"),
            ("fraction", "bubble_fraction", "blue"),
        ):
            names.append(name)
            labels.append(_text(row[axis]) if name == "overhead" else "")
            ratios.append(percent(row[column]))
            bars.append(Bar(row[column] / largest, style))
    yield title(f"Bubble over {axis}")
    yield Table(
        [
            Column("", labels),
            Column("", names, left=True, rank=1),
            Column("", ratios),
            Column("", bars, left=True, flexible=True),
        ]
    )
    yield from left_out(len(ran), _MAX_BARS, "values")


@dataclass(frozen=True, slots=True)
class Heat:
    """Step times over two axes, the slower the darker."""

    down: str
    across: str
    axes: Mapping[str, Sequence[Any]]
    rows: Sequence[Row]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shades = characters_of(options).shades
        cells = {(_text(row[self.down]), _text(row[self.across])): row for row in self.rows}
        times_s = [row["step_time_s"] for row in self.rows if row["step_time_s"] is not None]
        least, most = min(times_s, default=0.0), max(times_s, default=0.0)
        downs = [_text(value) for value in self.axes[self.down]]
        columns = [Column("", [downs[index] for index in shown_rows(len(downs), _MAX_ROWS)])]
        for place, value in enumerate(self.axes[self.across]):
            here = [cells[down, _text(value)] for down in columns[0].cells if isinstance(down, str)]
            texts = [_heat_cell(row, least, most, shades) for row in here]
            columns.append(Column(_text(value), texts, rank=place))
        yield Table(columns)
        yield from left_out(len(downs), _MAX_ROWS, "values")


def _heat_cell(row: Row, least: float, most: float, shades: str) -> str:
    time_s = row["step_time_s"]
    if time_s is None:
        return UNKNOWN if has_run(row) else str(row["status"])
    share = (time_s - least) / (most - least) if most > least else 0.0
    shade = shades[round(share * (len(shades) - 1))]
    return f"{seconds(time_s)} {shade * 2}"


def _learning_rates(rows: Sequence[Row]) -> Iterator[RenderableType]:
    """Yield what the batches ask of the learning rate, if they differ: the largest against the smallest."""
    known = (row.get("global_batch_size") for row in rows)  # sweeps of an earlier version do not have it
    sizes = [number_of for number_of in known if number_of is not None]
    if not sizes or min(sizes) == max(sizes):
        return
    factors = learning_rate_factors(max(sizes), min(sizes))
    yield title("Learning rate")
    yield Paragraph(
        f"the global batch goes from {count(min(sizes))} to {count(max(sizes))} samples: a learning rate for the "
        f"smallest is multiplied by up to {number(factors.linear)} (linear rule) or {number(factors.square_root)} "
        "(square-root rule)"
    )
    yield Paragraph(LEARNING_RATE_NOTE, "dim")


def _reasons(axes: Sequence[str], rows: Sequence[Row], status: str) -> Iterator[RenderableType]:
    points_by_reason: dict[str, list[Row]] = {}
    for row in rows:
        if row["status"] == status:
            points_by_reason.setdefault(row["reason"], []).append(row)
    if not points_by_reason:
        return
    yield title(status.capitalize())
    for reason, points in list(points_by_reason.items())[:_MAX_REASONS]:
        where = ", ".join(f"{short_axis(axis, axes)} {_text(points[0][axis])}" for axis in axes)
        more = f" and {len(points) - 1} more" if len(points) > 1 else ""
        yield Paragraph(f"{where}{more}: {reason}", indent=2)
    if len(points_by_reason) > _MAX_REASONS:
        yield Text(f"({len(points_by_reason) - _MAX_REASONS} more reasons)", style="dim")
