"""A calibration in a terminal: its constants, how far off they are, and the worst rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType

from clustersim.report.quantities import counted, number, percent, seconds, signed
from clustersim.report.terminal import Column, Paragraph, Table, title

Row = Mapping[str, Any]
_NUM_WORST = 10


def calibration_report(document: Mapping[str, Any], output: str | None = None) -> RenderableType:
    """Return the tables of a calibration, from the document of ``calibrate --json``.

    Parameters
    ----------
    document
        What was fitted, and how well.
    output
        Device file that was written, if any.
    """
    rows, name = document["rows"], document["measurements"]["path"]
    heading = f"{document['device']} fitted to {counted(document['errors']['fitted']['num_rows'], 'time')} in {name}"
    return Group(
        Paragraph(heading, "bold"),
        _constants(document["constants"]),
        title("Errors of times"),
        _errors(document["errors"]),
        title("Worst rows"),
        _worst(rows),
        *_notes(document, output),
    )


def _constants(constants: Sequence[Row]) -> Table:
    return Table(
        [
            Column("constant", [constant["name"] for constant in constants], left=True),
            Column("before", [_value(constant, "start") for constant in constants]),
            Column("fitted", [_value(constant, "value") for constant in constants]),
            Column("95% interval", [_interval(constant) for constant in constants], rank=1),
            Column("", [_status(constant) for constant in constants], left=True),
        ],
        ["" if constant["status"] == "fitted" else "dim" for constant in constants],
    )


def _status(constant: Row) -> str:
    return "" if constant["status"] == "fitted" else str(constant["status"])


def _value(constant: Row, key: str) -> str:
    return f"{number(constant[key])} {constant['unit']}".rstrip()


def _interval(constant: Row) -> str:
    return "" if constant["low"] is None else f"{_value(constant, 'low')} to {_value(constant, 'high')}"


def _errors(errors: Row) -> Table:
    kinds = [(kind.replace("_", " "), found) for kind, found in errors.items() if found is not None]
    lines = [(kind, found["num_rows"], when, found[when]) for kind, found in kinds for when in ("before", "after")]
    return Table(
        [
            Column("rows", [kind if when == "before" else "" for kind, _, when, _ in lines], left=True),
            Column("", [str(num_rows) if when == "before" else "" for _, num_rows, when, _ in lines]),
            Column("", [when for _, _, when, _ in lines], left=True),
            Column("median error", [percent(sizes["median"]) for *_, sizes in lines]),
            Column("90th percentile", [percent(sizes["ninth_decile"]) for *_, sizes in lines]),
            Column("bias", [signed(percent(sizes["bias"]), sizes["bias"]) for *_, sizes in lines]),
        ]
    )


def _worst(rows: Sequence[Row]) -> Table:
    worst = sorted(rows, key=lambda row: -abs(_error(row)))[:_NUM_WORST]
    return Table(
        [
            Column("configuration", [row["name"] for row in worst], left=True, flexible=True),
            Column("", ["held out" if row["held_out"] else "" for row in worst], left=True, rank=1),
            Column("measured", [seconds(row["measured_s"]) for row in worst]),
            Column("before", [signed(percent(row["error_before"]), row["error_before"]) for row in worst]),
            Column("after", [signed(percent(_error(row)), _error(row)) for row in worst]),
        ]
    )


def _error(row: Row) -> float:
    """Return the error of a row: under constants that were fitted without it, if it was held out."""
    error: float = row["error"] if row["held_out_error"] is None else row["held_out_error"]
    return error


def _notes(document: Mapping[str, Any], output: str | None) -> Iterator[RenderableType]:
    constants = {constant["name"]: constant for constant in document["constants"]}
    share, num_others = constants.get("in_training"), document["measurements"]["num_other_devices"]
    left = [name for name, constant in constants.items() if constant["status"] == "undetermined"]
    if left:
        yield Paragraph(f"These times do not tell {', '.join(left)}: left as before.")
    if document["errors"]["held_out"] is None:
        yield Paragraph("Nothing was held out: how good these constants are elsewhere is not known.", "yellow")
    if num_others:
        yield Paragraph(f"{counted(num_others, 'row')} on other devices left out.")
    if share and share["status"] == "fitted":
        given = f"collectives: {{in_training: {share['value']}}}"
        yield Paragraph(f"in_training is a constant of the network, not of the device: give the topology `{given}`.")
    if output is not None:
        yield Paragraph(f"Written to {output}: name it under a topology's `device`.")
