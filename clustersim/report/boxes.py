"""Boxes in rows, with lines between the rows: the pieces of which pictures of fabrics are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from clustersim.report.characters import Characters, one_line

_GAP = 2
_LEAST_TEXT = 3


@dataclass(frozen=True, slots=True)
class Grid:
    """Where boxes stand: three columns for the first, the second and the last of a row, with what is left out between.

    Parameters
    ----------
    characters
        What the output can hold.
    text_width
        Room for a name in a box.
    """

    characters: Characters
    text_width: int

    @property
    def box_width(self) -> int:
        """Width of a box."""
        return self.text_width + 4

    @property
    def width(self) -> int:
        """Width of a row."""
        return 3 * self.box_width + 2 * _GAP + self._gap_width

    @property
    def _gap_width(self) -> int:
        return len(self.characters.ellipsis) + _GAP

    def columns(self, num_boxes: int) -> list[int]:
        """Return where each box of a row begins."""
        last = self.width - self.box_width
        return [0, self.box_width + _GAP, last][:num_boxes] if num_boxes != 2 else [0, last]

    def widths(self, num_boxes: int) -> list[int]:
        """Return the width of each box of a row; a box alone is as wide as all."""
        return [self.width] if num_boxes == 1 else [self.box_width] * num_boxes

    def centres(self, num_boxes: int) -> list[int]:
        """Return where lines leave the boxes of a row; from a box alone, wherever the other row has boxes."""
        if num_boxes == 1:
            return []
        return [column + self.box_width // 2 for column in self.columns(num_boxes)]


def grid_for(names: Sequence[str], room: int, characters: Characters) -> Grid:
    """Return the grid in which all `names` fit, or are cut to where `room` ends."""
    widest = max(cell_len(one_line(name)) for name in names)
    around = Grid(characters, 0).width
    return Grid(characters, max(_LEAST_TEXT, min(widest, (room - around) // 3)))


def box_row(grid: Grid, names: Sequence[str], has_gap: bool, up: Sequence[int], down: Sequence[int]) -> list[str]:
    """Return the three lines of a row of boxes.

    Parameters
    ----------
    grid
        Where they stand.
    names
        What stands in them: at most three.
    has_gap
        Whether others, between the last two, are left out.
    up, down
        Where lines come from above, and leave below.
    """
    box = grid.characters.box
    lines = [[" "] * grid.width for _ in range(3)]
    texts: list[tuple[int, str]] = []
    for begin, width, name in zip(grid.columns(len(names)), grid.widths(len(names)), names, strict=True):
        end = begin + width - 1
        for line, left, right in ((0, box.upper_left, box.upper_right), (2, box.lower_left, box.lower_right)):
            lines[line][begin : end + 1] = [left, *box.across * (width - 2), right]
        lines[1][begin], lines[1][end] = box.upright, box.upright
        texts.append((begin + 1, _centred(name, width - 2, grid.characters)))
    for line, tee, places in ((0, box.up, up), (2, box.down, down)):
        for place in places:
            lines[line][place] = tee
    if has_gap:
        ellipsis = grid.characters.ellipsis
        texts.append((grid.columns(3)[2] - _GAP - len(ellipsis), ellipsis))
    return ["".join(lines[0]), _with_texts(lines[1], texts), "".join(lines[2])]


def bus(grid: Grid, above: Sequence[int], below: Sequence[int]) -> str:
    """Return the line that joins what comes from above and from below.

    Examples
    --------
    >>> from clustersim.report.characters import UNICODE
    >>> bus(Grid(UNICODE, 1), [2, 12], [2, 9, 12])
    '  ├──────┬──┤'
    """
    box = grid.characters.box
    first, last = min(*above, *below), max(*above, *below)
    if first == last:
        return " " * first + box.upright
    ends = {first: (box.lower_left, box.upper_left, box.right), last: (box.lower_right, box.upper_right, box.left)}
    line = [" "] * first + [box.across] * (last - first + 1)
    for place in {*above, *below}:
        of_above, of_below, of_both = ends.get(place, (box.up, box.down, box.cross))
        line[place] = of_both if place in above and place in below else of_above if place in above else of_below
    return "".join(line)


def _with_texts(line: Sequence[str], texts: Sequence[tuple[int, str]]) -> str:
    """Return a line with texts from certain places on; a wide character takes two places."""
    drawn, place = "", 0
    for begin, text in sorted(texts):
        drawn += "".join(line[place:begin]) + text
        place = begin + cell_len(text)
    return drawn + "".join(line[place:])


def _centred(text: str, width: int, characters: Characters) -> str:
    text = one_line(text)
    if cell_len(text) > width:
        text = set_cell_size(text, max(0, width - len(characters.ellipsis))) + characters.ellipsis
    before = (width - cell_len(text)) // 2
    return " " * before + text + " " * (width - cell_len(text) - before)
