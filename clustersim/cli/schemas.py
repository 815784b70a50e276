"""The verb that prints the JSON Schemas of our file formats."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from clustersim.cli.options import common_options, output_option
from clustersim.scenario.schema import scenario_schema


def _result_schema() -> dict[str, Any]:
    from clustersim.report.result_schema import result_schema

    return result_schema()


_SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {"scenario": scenario_schema, "result": _result_schema}


@click.command()
@click.argument("name", type=click.Choice(list(_SCHEMAS)), default="scenario")
@output_option
@common_options
def schema(name: str, output: str | None) -> None:
    """Print the JSON Schema of a file format."""
    text = json.dumps(_SCHEMAS[name](), indent=2)
    if output is None:
        click.echo(text)
    else:
        with open(output, "w", encoding="utf-8") as file:
            file.write(text + "\n")
