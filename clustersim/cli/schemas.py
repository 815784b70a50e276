"""The verb that prints the JSON Schemas of our file formats."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import click

from clustersim.cli.options import common_options, output_option
from clustersim.scenario.schema import scenario_schema


def _result_schema() -> dict[str, Any]:
    from clustersim.report.result_schema import result_schema

    return result_schema()


_ANSWERS: dict[str, tuple[str, str, str]] = {
    "scale": ("clustersim.planning.scaling", "Scaling", "SCALE_SCHEMA"),
    "size-gpus": ("clustersim.planning.fewest", "Fewest", "FEWEST_SCHEMA"),
    "size-model": ("clustersim.planning.largest", "Largest", "LARGEST_SCHEMA"),
    "size-cluster": ("clustersim.planning.cheapest", "Cheapest", "CHEAPEST_SCHEMA"),
    "sensitivity": ("clustersim.planning.sensitivity", "Sensitivity", "SENSITIVITY_SCHEMA"),
}
"""answer -> (module, its record there, name of its schema there)."""


def answer_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of the answer to a question of a plan."""
    from clustersim.report.result_schema import document_schema

    place, record, schema_name = _ANSWERS[name]
    module = import_module(place)
    return document_schema(getattr(module, record), getattr(module, schema_name), f"clustersim {name}")


_SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {
    "scenario": scenario_schema,
    "result": _result_schema,
    **{name: partial(answer_schema, name) for name in _ANSWERS},
}


@click.command()
@click.argument("name", type=click.Choice(list(_SCHEMAS)), default="scenario", metavar="[NAME]")
@output_option
@common_options
def schema(name: str, output: str | None) -> None:
    """Print the JSON Schema of a file format.

    NAME is scenario (the default), result, scale, size-gpus, size-model, size-cluster or sensitivity.
    """
    text = json.dumps(_SCHEMAS[name](), indent=2)
    if output is None:
        click.echo(text)
    else:
        with open(output, "w", encoding="utf-8") as file:
            file.write(text + "\n")
