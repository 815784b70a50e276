"""The JSON Schema describes every key, in our own names."""

from typing import Any

from clustersim.scenario.schema import scenario_schema


def _properties(schema: Any) -> list[tuple[str, dict[str, Any]]]:
    if isinstance(schema, list):
        return [found for item in schema for found in _properties(item)]
    if not isinstance(schema, dict):
        return []
    own = list(schema.get("properties", {}).items())
    return own + [found for item in schema.values() for found in _properties(item)]


def test_every_key_is_described() -> None:
    # a section whose key says no more than its model is described there
    properties = _properties(scenario_schema())
    undescribed = [name for name, value in properties if not (value.get("description") or "$ref" in value)]
    assert undescribed == []


def test_shorthands_are_allowed() -> None:
    schema = scenario_schema()
    schedule = schema["properties"]["schedule"]["anyOf"]
    assert "zb-h1" in schedule[0]["enum"]
    assert schema["$defs"]["ClusterSpec"]["properties"]["topology"]["anyOf"][0]["type"] == "string"


def test_the_required_keys() -> None:
    assert scenario_schema()["required"] == ["version", "cluster", "batch", "schedule"]


def test_quantities_are_text() -> None:
    forward = scenario_schema()["$defs"]["RankCosts"]["properties"]["forward"]
    assert forward["type"] == "string"
