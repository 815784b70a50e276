"""Verbs that read scenarios without running them."""

from __future__ import annotations

import json

import click

from clustersim.cli.options import common_options, json_option, set_option
from clustersim.errors import Fault, ScenarioError, TopologyError
from clustersim.scenario.load import load_scenario
from clustersim.scenario.show import Row, resolved
from clustersim.scenario.spec import Scenario


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@set_option
@common_options
def validate(files: tuple[str, ...], overrides: tuple[str, ...]) -> None:
    """Check scenario files and report every mistake of all of them."""
    faults: list[Fault] = []
    for file in files:
        try:
            _check_graph(load_scenario(file, overrides))
        except (ScenarioError, TopologyError) as error:
            faults += error.faults
        else:
            click.echo(f"{file}: ok")
    if faults:
        raise ScenarioError(faults)


def _check_graph(scenario: Scenario) -> None:
    """Read a graph file, which says only then how many GPUs there are; other topologies are checked by now."""
    if scenario.cluster.topology.num_gpus is None:
        from clustersim.topology.placement import place
        from clustersim.topology.table import build_cluster

        place(scenario.cluster.placement, scenario.parallelism.num_gpus, build_cluster(scenario.cluster.topology))


@click.command()
@click.argument("scenario")
@json_option
@set_option
@common_options
def show(scenario: str, as_json: bool, overrides: tuple[str, ...]) -> None:
    """Show a scenario with all values resolved, and where each of them comes from."""
    rows = resolved(load_scenario(scenario, overrides))
    if as_json:
        values = [{"key": row.key, "value": row.value, "origin": row.origin} for row in rows]
        click.echo(json.dumps({"schema": "clustersim/show/1", "values": values}, indent=2))
    else:
        click.echo("\n".join(_lines(rows)))


def _lines(rows: tuple[Row, ...]) -> list[str]:
    key_width = max(len(row.key) for row in rows)
    value_width = min(40, max(len(row.value) for row in rows))
    return [f"{row.key:{key_width}}  {row.value:{value_width}}  {row.origin}" for row in rows]
