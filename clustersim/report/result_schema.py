"""The JSON Schema of a result document, read off the fields of `Result`."""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from clustersim.result import RESULT_SCHEMA, Result

_PLAIN = {float: "number", int: "integer", str: "string", bool: "boolean", type(None): "null"}
_NOT_IN_DOCUMENT = ("scenario", "trace")


def result_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``run --json``; later versions may add fields and rename none."""
    definitions: dict[str, Any] = {}
    body = _object(Result, definitions)
    body["properties"] = {"schema": {"const": RESULT_SCHEMA}, **body["properties"]}
    body["required"] = ["schema", *body["required"]]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "clustersim result",
        **body,
        "$defs": definitions,
    }


def _object(record: type[Any], definitions: dict[str, Any]) -> dict[str, Any]:
    # what Result knows for type checkers only is not in the document
    hints = get_type_hints(record, localns=dict.fromkeys(("Scenario", "Trace"), object))
    names = [field.name for field in fields(record) if field.name not in _NOT_IN_DOCUMENT]
    return {
        "type": "object",
        "description": (record.__doc__ or "").split("\n")[0],
        "properties": {name: _schema_of(hints[name], definitions) for name in names},
        "required": names,
    }


def _schema_of(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if hint is Any:
        return {}
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if is_dataclass(hint) and isinstance(hint, type):
        if hint.__name__ not in definitions:
            definitions[hint.__name__] = _object(hint, definitions)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema_of(argument, definitions) for argument in arguments]}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema_of(arguments[1], definitions)}
    if origin is tuple:
        return {"type": "array", "items": _schema_of(arguments[0], definitions)}
    raise TypeError(f"{hint!r} has no JSON Schema yet")
