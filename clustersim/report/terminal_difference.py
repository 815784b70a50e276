"""The difference of two results in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from clustersim.report.difference import HEADLINES, Change, Difference, Quantity, RankChange
from clustersim.report.quantities import UNKNOWN, picoseconds, relative, signed, size
from clustersim.report.terminal import Column, Paragraph, Table, title

_NUM_RANKS = 8


def difference_report(difference: Difference) -> RenderableType:
    """Return why the step time changed, then every number, setting and rank that did."""
    return Group(
        Paragraph(difference.why, "bold", indent=2),
        *_headlines(difference),
        *_settings(difference),
        *_ranks(difference),
    )


def _headlines(difference: Difference) -> Iterator[RenderableType]:
    pairs = zip(HEADLINES, difference.headlines, strict=True)
    rows = [(quantity, c) for quantity, c in pairs if c.before is not None or c.after is not None]
    yield Text()
    yield Table(
        [
            Column("", [quantity.name for quantity, _ in rows], left=True),
            Column("before", [quantity.shown(change.before) for quantity, change in rows]),
            Column("after", [quantity.shown(change.after) for quantity, change in rows]),
            Column("change", [_change(quantity, change) for quantity, change in rows], rank=1),
            Column("relative", [_relative(quantity, change) for quantity, change in rows], rank=2),
        ]
    )


def _change(quantity: Quantity, change: Change) -> str:
    if change.before is None or change.after is None:
        return UNKNOWN
    delta = change.after - change.before
    return signed(quantity.shown_change(delta), delta)


def _relative(quantity: Quantity, change: Change) -> str:
    """Return the relative change; none of a ratio, whose change in points says it all."""
    return "" if quantity.shown is not quantity.shown_change else relative(change.before, change.after)


def _settings(difference: Difference) -> Iterator[RenderableType]:
    if difference.settings:
        yield title("What differs between the runs")
        for change in difference.settings:
            yield Paragraph(f"{change.name}: {_value(change.before)} -> {_value(change.after)}", indent=2)
    for sign, notes, style in (("-", difference.old_notes, "red"), ("+", difference.new_notes, "green")):
        for note in notes:
            yield Paragraph(f"{sign} {note}", style, indent=2)


def _value(value: Any) -> str:
    text = UNKNOWN if value is None else str(value)
    return text[:12] if len(text) == 64 and text.isalnum() else text or '""'  # a hash is known by its beginning


def _ranks(difference: Difference) -> Iterator[RenderableType]:
    before, after = difference.num_ranks
    if before != after:
        yield title(f"Ranks: {before} before, {after} after; not compared one by one")
        return
    changed = [rank for rank in difference.ranks if rank.largest_ps or rank.peak_bytes]
    if not changed:
        return
    changed.sort(key=lambda rank: (-rank.largest_ps, -abs(rank.peak_bytes), rank.pp_rank))
    largest = changed[:_NUM_RANKS]
    yield title("Ranks with the largest changes, over the run")
    yield Table(
        [
            Column("rank", [str(rank.pp_rank) for rank in largest]),
            Column("compute", [_time(rank.compute_ps) for rank in largest]),
            Column("exposed", [_time(rank.exposed_communication_ps) for rank in largest], rank=1),
            Column("bubble", [_time(rank.bubble_ps) for rank in largest]),
            Column("peak memory", [_memory(rank) for rank in largest], rank=2),
        ]
    )
    if len(changed) > len(largest):
        yield Text(f"({len(changed) - len(largest)} more ranks changed)", style="dim")


def _time(change_ps: int) -> str:
    return signed(picoseconds(change_ps), change_ps)


def _memory(rank: RankChange) -> str:
    return signed(size(rank.peak_bytes), rank.peak_bytes)
