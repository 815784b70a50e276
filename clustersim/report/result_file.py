"""Result documents, read back from files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clustersim.errors import Fault, InputError
from clustersim.report.result_schema import document_faults
from clustersim.result import RESULT_SCHEMA

_HINT = "write one with `clustersim run SCENARIO --json -o FILE`"
_MAX_FAULTS = 5


def read_result(path: str) -> dict[str, Any]:
    """Return the result document in a file.

    Raises
    ------
    InputError
        No such file, no JSON, or not the document of a run; the message says what is missing.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_no_constant)
    except OSError as error:
        raise InputError(Fault(path, error.strerror or str(error))) from None
    except (ValueError, RecursionError) as error:
        raise InputError(Fault(path, f"not a JSON document: {error}", hint=_HINT)) from None
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != RESULT_SCHEMA:
        found = f"its schema is {schema!r}" if schema else "it names no schema"
        raise InputError(Fault(path, f"not a result of a run: {found}, not '{RESULT_SCHEMA}'", hint=_HINT))
    faults = document_faults(document)
    if faults:
        raise InputError(Fault(path, f"not a whole result: {fault}") for fault in faults[:_MAX_FAULTS])
    return document  # type: ignore[no-any-return]


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
