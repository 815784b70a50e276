"""The verb that describes a topology."""

from __future__ import annotations

import click

from clustersim.cli.options import common_options, json_option, output_option
from clustersim.cli.output import emit_document_or_report


@click.command()
@click.argument("topology")
@click.option("--gpus", type=click.IntRange(1, 1_000_000), help="Size to which a gallery topology is built.")
@json_option
@output_option
@common_options
def describe(topology: str, gpus: int | None, as_json: bool, output: str | None) -> None:
    """Describe a topology (a name from the gallery, or a file): a picture, what it is made of, and what it can do."""
    from clustersim.cli.topology_document import topology_document
    from clustersim.report.terminal_topology import topology_report
    from clustersim.scenario.topology_file import load_topology
    from clustersim.topology.table import build_cluster

    fabric = load_topology(topology, gpus)
    document = topology_document(topology, fabric, build_cluster(fabric))  # type: ignore[arg-type]
    emit_document_or_report(document, topology_report, as_json, output)
