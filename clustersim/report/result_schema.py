"""The JSON Schema of a result document, read off the fields of `Result`."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from clustersim.result import RESULT_SCHEMA, Result

_PLAIN = {float: "number", int: "integer", str: "string", bool: "boolean", type(None): "null"}
_JSON_TYPES: dict[str, type | tuple[type, ...]] = {
    "number": (int, float),
    "integer": int,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "array": list,
    "object": dict,
}
_NOT_IN_DOCUMENT = ("scenario", "trace")


def result_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``run --json``; later versions may add fields and rename none."""
    return document_schema(Result, RESULT_SCHEMA, "clustersim result")


def document_schema(record: type[Any], name: str, title: str) -> dict[str, Any]:
    """Return the JSON Schema of documents that have the fields of `record`, and `name` as their ``schema``."""
    definitions: dict[str, Any] = {}
    body = _object(record, definitions)
    body["properties"] = {"schema": {"const": name}, **body["properties"]}
    body["required"] = ["schema", *body["required"]]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
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
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema_of(arguments[1], definitions)}
    if origin is tuple:
        return {"type": "array", "items": _schema_of(arguments[0], definitions)}
    raise TypeError(f"{hint!r} has no JSON Schema yet")


def document_faults(document: Any, schema: dict[str, Any] | None = None) -> list[str]:
    """Return where and how a document differs from a schema, that of results if none is given; nothing if it fits."""
    schema = schema or result_schema()
    return list(_differences(document, schema, "result", schema["$defs"]))


def _differences(value: Any, schema: dict[str, Any], where: str, definitions: dict[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        yield from _differences(value, definitions[schema["$ref"].rpartition("/")[2]], where, definitions)
    elif "const" in schema:
        if value != schema["const"]:
            yield f"{where}: {value!r} in place of {schema['const']!r}"
    elif "enum" in schema:
        if value not in schema["enum"]:
            yield f"{where}: {value!r} in place of one of {schema['enum']}"
    elif "anyOf" in schema:
        found = [list(_differences(value, option, where, definitions)) for option in schema["anyOf"]]
        yield from min(found, key=len)
    elif "type" in schema and not _is_of(value, schema["type"]):
        yield f"{where}: {type(value).__name__} in place of {schema['type']}"
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _differences(item, schema.get("items", {}), f"{where}.{index}", definitions)
    elif isinstance(value, dict):
        yield from (f"{where}.{name}: missing" for name in schema.get("required", ()) if name not in value)
        for name, item in value.items():
            known = schema.get("properties", {}).get(name, schema.get("additionalProperties", {}))
            yield from _differences(item, known, f"{where}.{name}", definitions)


def _is_of(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _JSON_TYPES[kind])
