"""A comparison of schedules in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType

from clustersim.report.quantities import percent, seconds, size, size_unit
from clustersim.report.terminal import Column, Paragraph, Table, title

Row = Mapping[str, Any]
"""A row of the document of ``compare --json``."""

_DEFINITIONS = (
    "fraction = bubble / (bubble + compute), overhead = bubble / compute; gap: step time above what no order of the "
    "same ops on the same ranks can beat; memory: least and most loaded rank"
)


def comparison_report(name: str, comparison: Mapping[str, Any]) -> RenderableType:
    """Return one table of the schedules that ran, and the reasons of those that did not."""
    ran = [row for row in comparison["rows"] if row["status"] != "refused"]
    refused = [row for row in comparison["rows"] if row["status"] == "refused"]
    parts: list[RenderableType] = [Paragraph(name, "bold")] if name else []
    if ran:
        parts += [_table(ran, comparison["best"]), Paragraph(_DEFINITIONS, "dim"), *_verdict(ran, comparison["best"])]
    return Group(*parts, *_refusals(refused))


def _table(rows: Sequence[Row], best: str | None) -> Table:
    factor, unit = size_unit(max(row["memory"]["peak_bytes"] for row in rows))
    columns = [
        Column("schedule", [row["schedule"] for row in rows], left=True),
        Column("status", ["best" if row["schedule"] == best else row["status"] for row in rows], left=True),
        Column("step time", [seconds(row["step_time_s"]) for row in rows]),
        Column("fraction", [percent(row["bubble"]["fraction"]) for row in rows], rank=2),
        Column("overhead", [percent(row["bubble"]["overhead"]) for row in rows]),
        Column("gap", [percent(row["gap_to_bound"]) for row in rows], rank=2),
        Column(f"memory [{unit}]", [_spread(row["memory"], factor) for row in rows], rank=1),
        Column("exposed", [seconds(row["exposed_communication_s"]) for row in rows], rank=3),
    ]
    styles = {"unfit": "red", "ok": ""}
    return Table(columns, ["bold green" if row["schedule"] == best else styles[row["status"]] for row in rows])


def _spread(memory: Mapping[str, Any], factor: int) -> str:
    least, most = (choose(rank["peak_bytes"] for rank in memory["ranks"]) for choose in (min, max))
    return f"{least / factor:.2f}-{most / factor:.2f}" if least != most else f"{most / factor:.2f}"


def _verdict(rows: Sequence[Row], best: str | None) -> Iterator[RenderableType]:
    for row in rows:
        if row["status"] == "unfit":
            peak, capacity = size(row["memory"]["peak_bytes"]), size(row["memory"]["capacity_bytes"])
            yield Paragraph(f"{row['schedule']} does not fit in memory: peak {peak}, capacity {capacity}", "red")
    if best is None:
        yield Paragraph("no schedule fits in memory", "bold red")


def _refusals(rows: Sequence[Row]) -> Iterator[RenderableType]:
    if rows:
        yield title("Refused")
        for row in rows:
            yield Paragraph(f"{row['schedule']}: {row['reason']}", indent=2)
