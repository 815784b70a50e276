"""The rows of a sweep as files: CSV, Parquet, or a JSON document a line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clustersim.errors import Fault, InputError
from clustersim.report.tables import csv_text

SUFFIXES = (".csv", ".jsonl", ".json", ".parquet")
PARQUET = ".parquet"

Row = Mapping[str, Any]
"""A flat row: axes under their dotted keys, status, reason, result columns."""


def check_sweep_path(path: Path, others: Sequence[str] = ()) -> None:
    """Raise InputError for a file of a kind that no sweep is written to, nor is one of `others`, before it is run."""
    if path.suffix.lower() not in SUFFIXES:
        allowed = ", ".join((*SUFFIXES, *others))
        raise InputError(Fault(str(path), f"no kind of table that this version writes; allowed: {allowed}"))
    if path.suffix.lower() == PARQUET:
        _pyarrow()


def has_run(row: Row) -> bool:
    """Return whether a point was simulated, whether or not it fits in memory."""
    return row["status"] in ("ok", "unfit")


def write_sweep(document: Mapping[str, Any], path: Path) -> None:
    """Write the document of a sweep to a file, in the form that its suffix names."""
    if path.suffix.lower() == PARQUET:
        _write_parquet(document["rows"], path)
    else:
        path.write_text(sweep_text(document, path.suffix.lower()), encoding="utf-8", newline="\n")


def sweep_text(document: Mapping[str, Any], suffix: str) -> str:
    """Return the document of a sweep in the form that a file's suffix names."""
    rows: Sequence[Row] = document["rows"]
    if suffix == ".csv":
        return csv_text(list(rows[0]) if rows else [], [[axis_text(value) for value in row.values()] for row in rows])
    if suffix == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _write_parquet(rows: Sequence[Row], path: Path) -> None:
    """Write rows as columns; one of several sorts of values is a column of text, as in CSV."""
    arrow = _pyarrow()
    from pyarrow import parquet

    columns = {}
    for name in rows[0] if rows else ():
        values = [axis_text(row[name]) for row in rows]
        sorts = {type(value) for value in values if value is not None}
        if len(sorts) > 1 and not sorts <= {int, float}:
            values = [None if value is None else str(value) for value in values]
        columns[name] = arrow.array([float(value) for value in values] if sorts == {int, float} else values)
    parquet.write_table(arrow.table(columns), path)


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        what = "Parquet needs pyarrow, which is not installed"
        raise InputError(Fault(PARQUET, what, hint="pip install 'clustersim[tables]'")) from error
    return pyarrow


def short_axis(axis: str, axes: Sequence[str]) -> str:
    """Return the last part of a dotted key, if no other axis ends in the same.

    Examples
    --------
    >>> short_axis("parallelism.tp", ["parallelism.tp", "seed"]), short_axis("a.x", ["a.x", "b.x"])
    ('tp', 'a.x')
    """
    last = axis.rpartition(".")[2]
    return last if sum(other.rpartition(".")[2] == last for other in axes) == 1 else axis


def axis_text(value: Any) -> Any:
    """Return a value of an axis for a table: a mapping or list as JSON, true and false as files write them.

    Examples
    --------
    >>> axis_text({"name": "zb-h1"}), axis_text(True), axis_text("10 ms"), axis_text(4)
    ('{"name": "zb-h1"}', 'true', '10 ms', 4)
    """
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list | tuple | bool) else value
