"""The verb that runs a list of flows on a topology."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from clustersim.cli.limits import limit_options
from clustersim.cli.options import common_options, json_option, output_option
from clustersim.cli.output import emit_json, emit_report, progress

if TYPE_CHECKING:
    from clustersim.engine.flows import GivenFlow
    from clustersim.limits import Limits
    from clustersim.trace import FlowTrace

NETWORK_SCHEMA = "clustersim/network/1"
BUSIEST_LINKS = 10


@click.command()
@click.argument("topology")
@click.option(
    "--flows",
    "file",
    required=True,
    metavar="FILE.csv",
    help="Columns source, destination (GPUs by number), bytes (a number, or a size with its unit), start_s.",
)
@click.option("--gpus", type=click.IntRange(1, 1_000_000), help="Size to which a gallery topology is built.")
@json_option
@output_option
@click.option("--check", is_flag=True, help="Check the laws that all flows keep.")
@limit_options
@common_options
def network(
    topology: str,
    file: str,
    gpus: int | None,
    as_json: bool,
    output: str | None,
    check: bool,
    limits: Limits,
) -> None:
    """Run a list of flows on a topology (a name from the gallery, or a file): when each ends, and the busiest links.

    Every flow sends for itself: links are shared by max-min fairness, unless the topology says `sharing: fifo`.
    """
    from clustersim.engine.flows import GivenFlow, run_flows
    from clustersim.scenario.flow_file import read_flows
    from clustersim.scenario.topology_file import load_topology
    from clustersim.topology.table import build_cluster

    cluster = build_cluster(load_topology(topology, gpus))  # type: ignore[arg-type]
    flows = [GivenFlow(*row) for row in read_flows(file, len(cluster.gpus))]
    with progress(f"running {len(flows)} flows"):
        trace = run_flows(flows, cluster, limits)
    if check:
        from clustersim.analysis.invariants import check_flows

        check_flows(trace)
    document = _document(flows, trace)
    if as_json or (output or "").lower().endswith(".json"):
        emit_json(document, output)
    else:
        from clustersim.report.terminal_network import network_report

        emit_report(network_report(topology, document), output)


def _document(flows: list[GivenFlow], trace: FlowTrace) -> dict[str, Any]:
    from clustersim.analysis.communication import busiest_links
    from clustersim.scenario.units import PS_PER_S

    return {
        "schema": NETWORK_SCHEMA,
        "flows": [
            {
                "source": flow.source,
                "destination": flow.destination,
                "bytes": flow.size_bytes,
                "start_s": flow.start_ps / PS_PER_S,
                "end_s": end_ps / PS_PER_S,
            }
            for flow, end_ps in zip(flows, trace.transfers.end_ps.tolist(), strict=True)
        ],
        "busiest_links": [
            {
                "link": load.name,
                "utilization": load.utilization,
                "bytes": load.size_bytes,
                "queued_s": load.queued_ps / PS_PER_S,
                "slowed_s": load.slowed_ps / PS_PER_S,
            }
            for load in busiest_links(trace, BUSIEST_LINKS)
        ],
    }
