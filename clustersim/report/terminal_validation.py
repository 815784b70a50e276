"""Errors against published measurements, in a terminal: by group and by source, and the worst rows."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType

from clustersim.report.quantities import counted, percent, seconds, signed
from clustersim.report.terminal import Column, Paragraph, Table, title

Row = Mapping[str, Any]
_NUM_WORST = 10


def validation_report(document: Mapping[str, Any]) -> RenderableType:
    """Return the tables of errors, from the document of ``validate-model --json``."""
    rows = [row for row in document["rows"] if row["error"] is not None]
    failed = [row for row in document["rows"] if row["error"] is None]
    return Group(
        Paragraph(f"Step times against {counted(len(rows), 'published measurement')}", "bold"),
        _groups(document["groups"]),
        title("By source"),
        _sources(rows),
        *_orders(document["orders"]),
        title("Worst rows"),
        _worst(rows),
        *(Paragraph(f"- {row['name']}: not run: {row['reason']}", "yellow", indent=2) for row in failed),
    )


def _groups(groups: Sequence[Row]) -> Table:
    return Table(
        [
            Column("group", [group["group"] for group in groups], left=True),
            Column("rows", [str(group["num_rows"]) for group in groups]),
            Column("median error", [percent(group["median"]) for group in groups]),
            Column("90th percentile", [percent(group["ninth_decile"]) for group in groups]),
            Column("bias", [signed(percent(group["bias"]), group["bias"]) for group in groups]),
            Column("memory, median", [percent(group["memory_median"]) for group in groups], rank=1),
        ]
    )


def _sources(rows: Sequence[Row]) -> Table:
    keys = list(dict.fromkeys((row["source"], row["group"]) for row in rows))
    errors = [[row["error"] for row in rows if (row["source"], row["group"]) == key] for key in keys]
    return Table(
        [
            Column("source", [source for source, _ in keys], left=True, flexible=True),
            Column("group", [group for _, group in keys], left=True),
            Column("rows", [str(len(mine)) for mine in errors]),
            Column("median error", [percent(statistics.median(map(abs, mine))) for mine in errors]),
            Column("bias", [signed(percent(statistics.median(mine)), statistics.median(mine)) for mine in errors]),
        ]
    )


def _orders(orders: Sequence[Row]) -> Iterator[RenderableType]:
    """Yield whether sweeps over layouts are put in the measured order, if whole sweeps were run."""
    if orders:
        yield title("Order of layouts")
        yield Table(
            [
                Column("source", [order["source"] for order in orders], left=True, flexible=True),
                Column("model", [order["model"] for order in orders], left=True, flexible=True),
                Column("rows", [str(order["num_rows"]) for order in orders]),
                Column("Kendall's tau", [f"{order['kendall_tau']:.2f}" for order in orders]),
                Column("our first, over the best", [percent(order["first_over_best"]) for order in orders]),
            ]
        )


def _worst(rows: Sequence[Row]) -> Table:
    worst = sorted(rows, key=lambda row: -abs(row["error"]))[:_NUM_WORST]
    return Table(
        [
            Column("configuration", [row["name"] for row in worst], left=True, flexible=True),
            Column("group", [row["group"] for row in worst], left=True),
            Column("measured", [seconds(row["measured_step_time_s"]) for row in worst]),
            Column("simulated", [seconds(row["step_time_s"]) for row in worst]),
            Column("error", [signed(percent(row["error"]), row["error"]) for row in worst]),
        ]
    )
