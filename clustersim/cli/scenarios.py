"""Verbs that read scenarios without running them."""

from __future__ import annotations

from typing import Any

import click

from clustersim.cli.options import common_options, json_option, output_option, set_option
from clustersim.cli.output import emit_json, emit_text
from clustersim.errors import Fault, ScenarioError, TopologyError
from clustersim.scenario.load import load_scenario
from clustersim.scenario.show import Row, resolved
from clustersim.scenario.spec import Scenario


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@json_option
@output_option
@set_option
@common_options
def validate(files: tuple[str, ...], as_json: bool, output: str | None, overrides: tuple[str, ...]) -> None:
    """Check scenario files and report every mistake of all of them."""
    faults_by_file = {file: _faults_of(file, overrides) for file in files}
    if as_json or (output or "").lower().endswith(".json"):
        checked = [
            {"file": file, "ok": not faults, "faults": [_fault(fault) for fault in faults]}
            for file, faults in faults_by_file.items()
        ]
        emit_json({"schema": "clustersim/validate/1", "files": checked}, output)
    else:
        emit_text("".join(f"{file}: ok\n" for file in files if not faults_by_file[file]), output)
    faults = [fault for found in faults_by_file.values() for fault in found]
    if faults:
        raise ScenarioError(faults)


def _faults_of(file: str, overrides: tuple[str, ...]) -> tuple[Fault, ...]:
    try:
        _check_graph(load_scenario(file, overrides))
    except (ScenarioError, TopologyError) as error:
        return error.faults
    return ()


def _fault(fault: Fault) -> dict[str, Any]:
    position = fault.position
    return {
        "where": fault.where,
        "what": fault.what,
        "hint": fault.hint,
        "position": {"file": position.file, "line": position.line, "column": position.column} if position else None,
    }


def _check_graph(scenario: Scenario) -> None:
    """Read a graph file, which says only then how many GPUs there are; other topologies are checked by now."""
    if scenario.cluster.topology.num_gpus is None:
        from clustersim.topology.table import build_cluster
        from clustersim.workload.job import gpus_of_ranks

        gpus_of_ranks(scenario, scenario.parallelism.num_gpus, build_cluster(scenario.cluster.topology))


@click.command()
@click.argument("scenario")
@json_option
@output_option
@set_option
@common_options
def show(scenario: str, as_json: bool, output: str | None, overrides: tuple[str, ...]) -> None:
    """Show a scenario with all values resolved, and where each of them comes from."""
    rows = resolved(load_scenario(scenario, overrides))
    if as_json or (output or "").lower().endswith(".json"):
        values = [{"key": row.key, "value": row.value, "origin": row.origin} for row in rows]
        emit_json({"schema": "clustersim/show/1", "values": values}, output)
    else:
        emit_text("".join(f"{line}\n" for line in _lines(rows)), output)


def _lines(rows: tuple[Row, ...]) -> list[str]:
    key_width = max(len(row.key) for row in rows)
    value_width = min(40, max(len(row.value) for row in rows))
    return [f"{row.key:{key_width}}  {row.value:{value_width}}  {row.origin}" for row in rows]
