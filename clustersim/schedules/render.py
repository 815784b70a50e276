"""Schedules as text: a grid, the picture that papers draw, and PyTorch's CSV form."""

from __future__ import annotations

from collections.abc import Callable

from clustersim.ops import Schedule, Slot, actions_in
from clustersim.schedules.unit_run import unit_starts
from clustersim.schedules.window import format_columns


def render_grid(schedule: Schedule) -> str:
    """Return a line a rank and a column a unit of time, ``.`` where the rank idles.

    Examples
    --------
    >>> from clustersim.ops import Shape
    >>> from clustersim.schedules.one_f_one_b import one_f_one_b
    >>> print(render_grid(one_f_one_b(Shape(2, 2))), end="")
    time    0    1    2    3    4    5
    rank 0  0F0  0F1  .    0B0  .    0B1
    rank 1  .    1F0  1B0  1F1  1B1
    """
    starts = unit_starts(schedule)
    length = max((row[-1] for row in starts if row), default=-1) + 1
    rows = [["time", *map(str, range(length))]]
    for rank, order in enumerate(schedule.orders):
        cells = ["."] * (starts[rank][-1] + 1) + [""] * (length - starts[rank][-1] - 1)
        for start, slot in zip(starts[rank], order, strict=True):
            cells[start] = str(slot)
        rows.append([f"rank {rank}", *cells])
    return format_columns(rows) + "\n"


_PICTURE_UNITS = {"F": 1, "I": 1, "W": 1, "B": 2}


def _picture_units(slot: Slot) -> int:
    """Return how many columns of a picture a slot fills: F, I and W one, B two, an overlapped pair three."""
    return sum(_PICTURE_UNITS[action.kind.name] for action in actions_in(slot))


def render_picture(schedule: Schedule) -> str:
    """Return a line a rank with a letter a unit of time, as papers draw it, ``.`` where the rank idles.

    Capitals are the first chunk of a rank, small letters its others; ``X`` is an overlapped forward and backward.

    Examples
    --------
    >>> from clustersim.ops import Shape
    >>> from clustersim.schedules.one_f_one_b import one_f_one_b
    >>> print(render_picture(one_f_one_b(Shape(2, 3))), end="")
    rank 0  FF..BBFBB.BB
    rank 1  .FBBFBBFBB
    """
    starts = unit_starts(schedule, _picture_units)
    first_stage = [schedule.rank_by_stage.index(rank) for rank in range(len(schedule.orders))]
    lines = []
    for rank, order in enumerate(schedule.orders):
        line = ""
        for start, slot in zip(starts[rank], order, strict=True):
            actions = actions_in(slot)
            letter = "X" if len(actions) == 2 else actions[0].kind.name
            if actions[0].stage != first_stage[rank] and len(actions) == 1:
                letter = letter.lower()
            line = line.ljust(start, ".") + letter * _picture_units(slot)
        lines.append(f"rank {rank}  {line}")
    return "".join(f"{line}\n" for line in lines)


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


RENDERERS: dict[str, Callable[[Schedule], str]] = {
    "grid": render_grid,
    "picture": render_picture,
    "csv": render_csv,
}
