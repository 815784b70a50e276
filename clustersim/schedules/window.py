"""The grid around a faulty cell of a schedule, for error messages."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.ops import Schedule

_WINDOW = 8  # cells shown on either side of a faulty one


def render_window(schedule: Schedule, rank: int, cell: int) -> str:
    """Return the rank x step grid around a cell, which is marked ``>like this<``."""
    first = max(0, cell - _WINDOW)
    columns = range(first, cell + _WINDOW + 1)
    rows = [["step", *map(str, columns)]]
    for number, order in enumerate(schedule.orders):
        texts = [str(order[column]) if column < len(order) else "" for column in columns]
        if number == rank:
            texts[cell - first] = f">{texts[cell - first] or '?'}<"
        rows.append([f"rank {number}", *texts])
    kept = [column for column in range(len(rows[0])) if any(row[column] for row in rows[1:])]
    return format_columns([[row[column] for column in kept] for row in rows])


def format_columns(rows: Sequence[Sequence[str]]) -> str:
    """Return `rows` as text with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
