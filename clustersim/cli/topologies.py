"""The verb that describes a topology."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from clustersim.cli.options import common_options, json_option
from clustersim.cli.output import emit_json, emit_report

if TYPE_CHECKING:
    from clustersim.scenario.fabrics import Fabric
    from clustersim.topology.cluster import Cluster


@click.command()
@click.argument("topology")
@click.option("--gpus", type=click.IntRange(1, 1_000_000), help="Size to which a gallery topology is built.")
@json_option
@common_options
def describe(topology: str, gpus: int | None, as_json: bool) -> None:
    """Describe a topology (a name from the gallery, or a file): parameters, size, and a route."""
    from clustersim.scenario.topology_file import load_topology
    from clustersim.topology.table import build_cluster

    fabric = load_topology(topology, gpus)
    document = _document(topology, fabric, build_cluster(fabric))  # type: ignore[arg-type]
    if as_json:
        emit_json(document, None)
    else:
        from clustersim.report.terminal_catalogue import topology_report

        emit_report(topology_report(document))


def _document(name: str, fabric: Fabric, cluster: Cluster) -> dict[str, Any]:
    values = fabric.model_dump(mode="json", exclude_none=True)
    parameters = [
        {"name": key, "value": values.get(key), "description": field.description or ""}
        for key, field in type(fabric).model_fields.items()
    ]
    return {
        "schema": "clustersim/topology/1",
        "name": name,
        "description": (type(fabric).__doc__ or "").partition("\n")[0].replace("``", ""),
        "num_gpus": len(cluster.gpus),
        "num_links": len(cluster.links),
        "parameters": parameters,
        "route": _route(cluster),
    }


def _route(cluster: Cluster) -> dict[str, Any]:
    """Return the route from the first GPU to the last and its hops, or the reason why there is none."""
    from clustersim.errors import UnroutableError
    from clustersim.scenario.units import PS_PER_S

    ends = {"source_gpu": 0, "destination_gpu": len(cluster.gpus) - 1}
    try:
        links = [cluster.links[link] for link in cluster.route(*ends.values())]
    except UnroutableError as error:
        return {**ends, "hops": [], "unroutable": error.faults[0].what}
    hops = [
        {
            "link": link.name,
            "bandwidth_bytes_per_s": None if link.bandwidth_bytes_per_s is None else float(link.bandwidth_bytes_per_s),
            "latency_s": link.latency_ps / PS_PER_S,
        }
        for link in links
    ]
    return {**ends, "hops": hops, "latency_s": sum(link.latency_ps for link in links) / PS_PER_S}
