"""The rows of a sweep as files: CSV, or a JSON document a line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clustersim.errors import Fault, InputError
from clustersim.report.tables import csv_text

SUFFIXES = (".csv", ".jsonl", ".json")

Row = Mapping[str, Any]
"""A flat row: axes under their dotted keys, status, reason, result columns."""


def check_sweep_path(path: Path) -> None:
    """Raise InputError for a file of a kind that no sweep is written to, before the sweep is run."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(Fault(str(path), f"no kind of table that this version writes; allowed: {', '.join(SUFFIXES)}"))


def sweep_text(document: Mapping[str, Any], suffix: str) -> str:
    """Return the document of a sweep in the form that a file's suffix names."""
    rows: Sequence[Row] = document["rows"]
    if suffix == ".csv":
        return csv_text(list(rows[0]), [[axis_text(value) for value in row.values()] for row in rows])
    if suffix == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def axis_text(value: Any) -> Any:
    """Return a value of an axis for a table: a mapping or list as JSON, true and false as files write them.

    Examples
    --------
    >>> axis_text({"name": "zb-h1"}), axis_text(True), axis_text("10 ms"), axis_text(4)
    ('{"name": "zb-h1"}', 'true', '10 ms', 4)
    """
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list | tuple | bool) else value
