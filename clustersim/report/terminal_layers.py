"""What the parts of a model ask of a GPU, in a terminal: by part and op, and by operator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType

from clustersim.report.quantities import count, counted, flop, picoseconds, size
from clustersim.report.terminal import Column, Paragraph, Table, title

Row = Mapping[str, Any]
_OPS = {"forward": "F", "input_grad": "I", "weight_grad": "W", "recompute": "recompute"}


def layers_report(document: Mapping[str, Any]) -> RenderableType:
    """Return the tables of parts and operators, from the document of ``layers --json``."""
    parts = document["parts"]
    samples = counted(document["micro_batch_size"], "sample")
    what = f"one GPU, a micro-batch of {samples} of {count(document['seq_length'])} tokens, on {document['device']}"
    return Group(
        Paragraph(document["name"], "bold"),
        Paragraph(f"{what}; without collectives"),
        title("Parts"),
        _parts(parts),
        title("Work of each part"),
        _work(parts),
        *_operators(parts),
    )


def _parts(parts: Sequence[Row]) -> Table:
    return Table(
        [
            Column("part", [part["name"] for part in parts], left=True, flexible=True),
            Column("in model", [count(part["count"]) for part in parts]),
            Column("parameters", [count(part["parameters"]) for part in parts]),
            Column("activations kept", [size(part["activation_bytes"]) for part in parts]),
            Column("at the most", [size(part["peak_activation_bytes"]) for part in parts]),
        ]
    )


def _work(parts: Sequence[Row]) -> Table:
    rows = [(part["name"], op, part["work"][op]) for part in parts for op in _OPS if part["work"][op]["time_ps"]]
    return Table(
        [
            Column("part", [name for name, _, _ in rows], left=True, flexible=True),
            Column("op", [_OPS[op] for _, op, _ in rows], left=True),
            *_amounts([work for _, _, work in rows]),
        ]
    )


def _operators(parts: Sequence[Row]) -> Iterator[RenderableType]:
    for part in parts:
        rows = [
            (row["name"], op, row["work"][op])
            for row in part["operators"]
            for op in row["work"]
            if row["work"][op]["time_ps"]
        ]
        yield title(f"Operators: {part['name']}")
        yield Table(
            [
                Column("operator", [name for name, _, _ in rows], left=True, flexible=True),
                Column("op", [_OPS[op] for _, op, _ in rows], left=True),
                *_amounts([work for _, _, work in rows]),
            ]
        )


def _amounts(works: Sequence[Row]) -> list[Column]:
    return [
        Column("FLOP", [flop(work["flop"]) for work in works]),
        Column("bytes moved", [size(work["moved_bytes"]) for work in works]),
        Column("time", [picoseconds(work["time_ps"]) for work in works]),
    ]
