"""A small picture of a fabric: its tiers from the top down, or its ring, or a plane of its torus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from clustersim.report.boxes import Grid, box_row, bus, grid_for
from clustersim.report.characters import Characters
from clustersim.report.fabric_words import nodes_of, wires_of
from clustersim.report.quantities import count, counted
from clustersim.report.terminal import Paragraph, characters_of, wrapped

Document = Mapping[str, Any]
Group = tuple[str, int]
"""Nodes of one kind in one tier."""

_GAP = 2
_LEAST_LABEL = 24  # a narrower label goes above its boxes
_WIDEST = 100
_NETWORK_TIER = 2
_IN_A_GROUP = "in a group"
_MOST_LINES, _MOST_PLACES = 4, 8  # of a plane of a torus that are drawn
_GPU = "o"


@dataclass(frozen=True, slots=True)
class Row:
    """Boxes side by side: the first two and the last of many, and what is said of all.

    Links between nodes of the row join its boxes, but for those of the role `inside`, which are in the boxes.
    """

    groups: frozenset[Group]
    names: Sequence[str]
    number_of: int
    label: str
    inside: str = ""


@dataclass(frozen=True, slots=True)
class FabricPicture:
    """The picture of a topology, from the document of ``describe --json``."""

    document: Document

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        characters, width = characters_of(options), min(options.max_width, _WIDEST)
        given = {parameter["name"]: parameter["value"] for parameter in self.document["parameters"]}
        family, num_gpus = self.document["family"], self.document["num_gpus"]
        if family == "torus" and sum(size > 1 for size in given["dims"]) > 1:
            yield from _torus(given["dims"], given["wraparound"], width, characters)
            return
        rows = list(_rows(self.document))
        grid = grid_for([name for row in rows for name in row.names], _room(width), characters)
        if grid.width > options.max_width:
            yield Paragraph("(no room for it)", "dim")
            return
        is_line = family == "torus" and not given["wraparound"]
        if num_gpus > 2 and family in ("ring", "torus"):
            yield from _chain(rows[0], not is_line, grid, width)
        else:
            yield from _tiers(self.document["links"], rows, grid, width)


def _room(width: int) -> int:
    """Return how much of the width boxes may take: what a label beside them leaves, or all of it."""
    beside = width * 3 // 5
    return beside if width - beside - _GAP >= _LEAST_LABEL else width


def _rows(document: Document) -> Iterator[Row]:
    """Yield the rows of a picture, from the top of the fabric to its GPUs."""
    nodes = [kind for kind in document["nodes"] if kind["tier"] is not None]
    islands = document["islands"]
    network = [kind for kind in nodes if kind["tier"] >= _NETWORK_TIER]
    if not network and islands["count"] == 1:
        for kind in reversed(nodes):
            yield _row(kind)
        return
    for kind in reversed(network):
        yield _row(kind) if document["num_groups"] is None else _groups(document, kind)
    low = frozenset(_group(kind) for kind in nodes if kind["tier"] < _NETWORK_TIER)
    yield Row(low, islands["shown"], islands["count"], "; ".join(map(_island, islands["kinds"])))


def _group(kind: Document) -> Group:
    return kind["kind"], kind["tier"]


def _row(kind: Document) -> Row:
    names = [kind["first"], kind["last"]][: kind["count"]]
    if kind["count"] > 2:
        names.insert(1, kind["second"])
    return Row(frozenset({_group(kind)}), names, kind["count"], nodes_of(kind["count"], kind["kind"]))


def _groups(document: Document, routers: Document) -> Row:
    """Return the groups of a dragonfly, in each of which are some of its `routers`."""
    num_groups = document["num_groups"]
    shown = dict.fromkeys(min(number, num_groups - 1) for number in (0, 1, num_groups - 1))
    label = f"{counted(num_groups, 'group')} of {nodes_of(routers['count'] // num_groups, routers['kind'])}"
    local = [made for made in document["links"] if made["role"] == _IN_A_GROUP]
    if local:
        label += f"; {_wires(local)}"
    return Row(frozenset({_group(routers)}), [f"group{number}" for number in shown], num_groups, label, _IN_A_GROUP)


def _island(kind: Document) -> str:
    parts = ", ".join(nodes_of(number_of, name) for name, number_of in kind["nodes"].items())
    if kind["num_hosts"] == 1:
        return f"{counted(kind['count'], 'host')} of {parts}"
    return f"{counted(kind['count'], 'domain')} of {count(kind['num_hosts'])} hosts: {parts}"


def _tiers(links: Sequence[Document], rows: Sequence[Row], grid: Grid, width: int) -> Iterator[RenderableType]:
    """Yield rows of boxes, joined where the nodes of one have links to those of the next, or to one another."""
    centres = [grid.centres(len(row.names)) for row in rows]
    for index, row in enumerate(rows):
        own, beside = centres[index], _beside(links, row)
        above = _between(links, rows[index - 1], row) if index else []
        below = _between(links, row, rows[index + 1]) if index + 1 < len(rows) else []
        if beside and own:
            yield from _labelled([bus(grid, [], own)], own, _wires(beside), grid, width)
        up = _ends(own, centres[index - 1], grid) if above else own if beside else []
        down = _ends(own, centres[index + 1], grid) if below else []
        has_gap = row.number_of > len(row.names)
        yield from _labelled(box_row(grid, row.names, has_gap, up, down), [], row.label, grid, width)
        if below:
            ends = _ends(centres[index + 1], own, grid)
            yield from _labelled([bus(grid, down, ends)], ends, _wires(below), grid, width)


def _beside(links: Sequence[Document], row: Row) -> list[Document]:
    """Return the links among the nodes of a row of one kind."""
    among = [made for made in links if len(row.groups) == 1 and set(_ends_of(made)) == row.groups]
    return [made for made in among if not row.inside or made["role"] != row.inside]


def _ends(own: Sequence[int], others: Sequence[int], grid: Grid) -> Sequence[int]:
    """Return where lines meet a row; a box alone is met wherever the other row is, or in the middle."""
    return own or others or [grid.width // 2]


def _between(links: Sequence[Document], upper: Row, lower: Row) -> list[Document]:
    """Return the links between the nodes of two rows."""
    ways = ((lower.groups, upper.groups), (upper.groups, lower.groups))
    return [
        made
        for made in links
        if any(end in one and other_end in other for one, other in ways for end, other_end in [_ends_of(made)])
    ]


def _ends_of(made: Document) -> tuple[Group, Group]:
    return (made["lower"], made["lower_tier"]), (made["upper"], made["upper_tier"])


def _wires(links: Sequence[Document]) -> str:
    """Return how many wires of each class there are."""
    texts = [f"{made['role']}: {wires_of(made)}" if made["role"] else wires_of(made) for made in links]
    return "; ".join(texts)


def _chain(row: Row, is_closed: bool, grid: Grid, width: int) -> Iterator[RenderableType]:
    """Yield boxes joined one to the next, and the last of a ring to its first."""
    centres, begins = grid.centres(len(row.names)), grid.columns(len(row.names))
    ends = [centres[0], centres[-1]] if is_closed else []
    lines = box_row(grid, row.names, row.number_of > len(row.names), [], ends)
    joined = list(lines[1])
    for begin, following in pairwise(begins):
        for place in range(begin + grid.box_width, following):
            joined[place] = grid.characters.box.across if joined[place] == " " else joined[place]
    lines[1] = "".join(joined)
    if is_closed:
        lines.append(bus(grid, ends, []))
    yield from _labelled(lines, [], f"{row.label} in a {'ring' if is_closed else 'line'}", grid, width)


def _torus(dims: Sequence[int], is_closed: bool, width: int, characters: Characters) -> Iterator[RenderableType]:
    """Yield a plane of a torus along its last two dimensions that are longer than 1, and what it is part of."""
    *others, lines, places = sizes = [size for size in dims if size > 1]
    for line in _plane(lines, places, is_closed, width, characters):
        yield Text(line.rstrip(), no_wrap=True)
    times = f" {characters.times} "
    ends = "every line is closed to a ring" if is_closed else "lines have open ends"
    text = f"a plane of {times.join(map(str, (lines, places)))} GPUs of {times.join(map(str, sizes))}; {ends}"
    if others:
        text += f"; planes are joined the same way along {counted(len(others), 'more dimension')}"
    yield Paragraph(text, "dim")


def _plane(lines: int, places: int, is_closed: bool, width: int, characters: Characters) -> list[str]:
    """Return lines of GPUs with their links; stubs at the ends are what closes them to rings."""
    across, upright = characters.box.across, characters.box.upright
    most = min(_MOST_PLACES, max(2, (width - 4 - len(characters.ellipsis)) // 4))
    cells = [_GPU] * places if places <= most else [*_GPU * (most - 1), characters.ellipsis, _GPU]
    stub = across * 2 if is_closed else "  "
    line = stub + (across * 3).join(cells) + stub
    between = "".join(upright if character == _GPU else " " for character in line)
    drawn = [line]
    for number in range(1, min(lines, _MOST_LINES)):
        left_out = lines > _MOST_LINES and number == _MOST_LINES - 1
        drawn += [between.replace(upright, characters.gap) if left_out else between, line]
    return [between, *drawn, between] if is_closed else drawn


def _labelled(
    lines: Sequence[str], passing: Sequence[int], label: str, grid: Grid, width: int
) -> Iterator[RenderableType]:
    """Yield lines of a picture with a label beside them, or above them where there is no room.

    Where the label has more lines, those of the picture that pass by go on at the places `passing`.
    """
    room = width - grid.width - _GAP
    if room < _LEAST_LABEL:
        yield Paragraph(label, "dim")
        yield from (Text(line.rstrip(), no_wrap=True) for line in lines)
        return
    texts = wrapped(label, room)
    first = max(0, (len(lines) - len(texts)) // 2)
    passed = "".join(grid.characters.box.upright if place in passing else " " for place in range(grid.width))
    for number in range(max(len(lines), first + len(texts))):
        line = lines[number] if number < len(lines) else passed
        text = texts[number - first] if first <= number < first + len(texts) else ""
        padding = " " * (grid.width - cell_len(line) + _GAP) if text else ""
        yield Text(line if text else line.rstrip(), no_wrap=True) + Text(padding + text, style="dim")
