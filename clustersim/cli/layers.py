"""The verb that prints what the parts of a model ask of a GPU."""

from __future__ import annotations

from typing import Any

import click

from clustersim.cli.options import common_options, json_option, output_option, set_option
from clustersim.cli.output import emit_document_or_report
from clustersim.errors import Fault, ScenarioError

LAYERS_SCHEMA = "clustersim/layers/1"


@click.command()
@click.argument("scenario")
@set_option
@json_option
@output_option
@common_options
def layers(scenario: str, overrides: tuple[str, ...], as_json: bool, output: str | None) -> None:
    """Print FLOP, bytes, parameters, activations and times of a model, part by part and operator by operator.

    All are those of one GPU of SCENARIO (a file, a config.json, or a name from the gallery) for one micro-batch;
    collectives are left out.
    """
    from dataclasses import asdict

    from clustersim.scenario.load import load_scenario
    from clustersim.workload.model_table import part_rows

    loaded = load_scenario(scenario, overrides)
    if loaded.model is None:
        what = "the scenario gives the costs of its stages, and has no model to look into"
        raise ScenarioError(Fault("model", what, hint="name a scenario with a `model`, or a config.json"))
    document = {
        "schema": LAYERS_SCHEMA,
        "name": loaded.name,
        "device": loaded.cluster.topology.device,
        "micro_batch_size": loaded.batch.micro_batch_size,
        "seq_length": loaded.model.seq_length,
        "parts": [asdict(row) for row in part_rows(loaded)],
    }

    def report(values: Any) -> Any:
        from clustersim.report.terminal_layers import layers_report

        return layers_report(values)

    emit_document_or_report(document, report, as_json, output)
