"""Schedules as text: the picture that papers draw, PyTorch's CSV form, and the grid around a faulty cell."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.ops import Schedule, Slot, actions_in

_WINDOW = 8  # cells shown on either side of a faulty one


def render_grid(schedule: Schedule, starts: Sequence[Sequence[int]]) -> str:
    """Return a line a rank and a column a unit of time, ``.`` where the rank idles; ``starts[pp_rank][position]``.

    Examples
    --------
    >>> from clustersim.ops import Shape
    >>> from clustersim.schedules.check import unit_starts
    >>> from clustersim.schedules.one_f_one_b import one_f_one_b
    >>> schedule = one_f_one_b(Shape(2, 2))
    >>> print(render_grid(schedule, unit_starts(schedule)))
    time    0    1    2    3    4    5
    rank 0  0F0  0F1  .    0B0  .    0B1
    rank 1  .    1F0  1B0  1F1  1B1
    """
    length = max((row[-1] for row in starts if row), default=-1) + 1
    rows = [["time", *map(str, range(length))]]
    for rank, order in enumerate(schedule.orders):
        cells = ["."] * (starts[rank][-1] + 1) + [""] * (length - starts[rank][-1] - 1)
        for start, slot in zip(starts[rank], order, strict=True):
            cells[start] = str(slot)
        rows.append([f"rank {rank}", *cells])
    return format_columns(rows)


_PICTURE_UNITS = {"F": 1, "I": 1, "W": 1, "B": 2}


def picture_units(slot: Slot) -> int:
    """Return how many columns of a picture a slot fills: F, I and W one, B two, an overlapped pair three."""
    return sum(_PICTURE_UNITS[action.kind.name] for action in actions_in(slot))


def render_picture(schedule: Schedule, starts: Sequence[Sequence[int]]) -> str:
    """Return a line a rank with a letter a unit of time, as papers draw it; `starts` are those of `picture_units`.

    Capitals are the first chunk of a rank, small letters its others; ``X`` is an overlapped forward and backward.

    Examples
    --------
    >>> from clustersim.ops import Shape
    >>> from clustersim.schedules.check import unit_starts
    >>> from clustersim.schedules.one_f_one_b import one_f_one_b
    >>> schedule = one_f_one_b(Shape(2, 3))
    >>> print(render_picture(schedule, unit_starts(schedule, picture_units)))
    rank 0  FF..BBFBB.BB
    rank 1  .FBBFBBFBB
    """
    first_stage = [schedule.rank_by_stage.index(rank) for rank in range(len(schedule.orders))]
    lines = []
    for rank, order in enumerate(schedule.orders):
        line = ""
        for start, slot in zip(starts[rank], order, strict=True):
            actions = actions_in(slot)
            letter = "X" if len(actions) == 2 else actions[0].kind.name
            if actions[0].stage != first_stage[rank] and len(actions) == 1:
                letter = letter.lower()
            line = line.ljust(start, ".") + letter * picture_units(slot)
        lines.append(f"rank {rank}  {line}")
    return "\n".join(lines)


def render_csv(schedule: Schedule) -> str:
    """Return the order in PyTorch's ``compute_only`` CSV form: a line a rank, no header, LF, no idle cells.

    Examples
    --------
    >>> from clustersim.ops import Shape
    >>> from clustersim.schedules.gpipe import gpipe
    >>> print(render_csv(gpipe(Shape(2, 1))), end="")
    0F0,0B0
    1F0,1B0
    """
    return "".join(",".join(map(str, order)) + "\n" for order in schedule.orders)


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
