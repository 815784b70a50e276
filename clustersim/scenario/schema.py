"""The JSON Schema of scenario files, for editors and other tools."""

from __future__ import annotations

from typing import Any

from clustersim.scenario.spec import Scenario

_INCLUDE = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    "description": "Files whose values hold where this file has none; paths relative to this file.",
}


def scenario_schema() -> dict[str, Any]:
    """Return the JSON Schema of a scenario file, in our own names of the keys."""
    schema: dict[str, Any] = _without_examples(Scenario.model_json_schema(by_alias=False))
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "clustersim scenario"
    schema["properties"]["include"] = _INCLUDE
    return schema


def _without_examples(schema: Any) -> Any:
    """Return `schema` with each description cut to its first paragraph: the rest of a docstring is for Python users."""
    if isinstance(schema, list):
        return [_without_examples(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    cut = {key: _without_examples(value) for key, value in schema.items()}
    if isinstance(cut.get("description"), str):
        cut["description"] = cut["description"].split("\n\n")[0]
    return cut
