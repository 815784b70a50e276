"""The verb that tells how long a collective takes on a topology, as nccl-tests would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from clustersim.cli.options import common_options, json_option, output_option
from clustersim.cli.output import emit_document_or_report

COLLECTIVE_SCHEMA = "clustersim/collective/1"


@click.command()
@click.argument("operation")
@click.argument("topology")
@click.option("--gpus", type=click.IntRange(1, 1_000_000), help="GPUs that take part, from the first; absent: all.")
@click.option(
    "--sizes",
    default="1MiB:1GiB",
    show_default=True,
    metavar="FROM:TO|SIZE,...",
    help="Sizes as nccl-tests count them, each twice the one before, or a list.",
)
@click.option("--algorithm", help="ring, tree, ...; absent: the fastest of those that a library chooses among.")
@json_option
@output_option
@common_options
def collective(
    operation: str,
    topology: str,
    gpus: int | None,
    sizes: str,
    algorithm: str | None,
    as_json: bool,
    output: str | None,
) -> None:
    """Time a collective of the first GPUs of a topology (a name from the gallery, or a file), nothing else going on.

    OPERATION is all-reduce, all-gather, reduce-scatter, broadcast or all-to-all.
    """
    from clustersim.scenario.topology_file import load_topology
    from clustersim.topology.table import build_cluster
    from clustersim.workload.group_plan import GroupPlanner, idle_ps

    cluster = build_cluster(load_topology(topology, gpus))  # type: ignore[arg-type]
    num_gpus = len(cluster.gpus) if gpus is None else gpus
    if num_gpus > len(cluster.gpus):
        raise click.UsageError(f"--gpus {num_gpus}: the topology has {len(cluster.gpus)}")
    planner = GroupPlanner(range(num_gpus), cluster)
    rows = []
    for size_bytes in _sizes(sizes):
        plan = planner.plan(operation, size_bytes, algorithm)
        rows.append(_row(operation, plan.algorithm, size_bytes, num_gpus, idle_ps(plan, cluster)))
    document = {
        "schema": COLLECTIVE_SCHEMA,
        "operation": operation,
        "topology": topology,
        "num_gpus": num_gpus,
        "rows": rows,
    }

    def report(document: Any) -> Any:
        from clustersim.report.terminal_collective import collective_report

        return collective_report(document)

    emit_document_or_report(document, report, as_json, output)


def _row(operation: str, algorithm: str, size_bytes: int, num_gpus: int, time_ps: int) -> dict[str, Any]:
    from clustersim.ops import BUS_SHARES
    from clustersim.scenario.units import PS_PER_S

    bytes_per_s = size_bytes * PS_PER_S / time_ps if time_ps else None
    shares = BUS_SHARES[operation]
    factor = shares * (num_gpus - 1) / num_gpus if shares else 1.0
    return {
        "bytes": size_bytes,
        "time_s": time_ps / PS_PER_S,
        "algorithm": algorithm,
        "algorithm_bandwidth_bytes_per_s": bytes_per_s,
        "bus_bandwidth_bytes_per_s": None if bytes_per_s is None else bytes_per_s * factor,
    }


def _sizes(text: str) -> Iterator[int]:
    """Yield the sizes that ``--sizes`` asks for. [bytes]"""
    first, colon, last = text.partition(":")
    if not colon:
        yield from (_size(part) for part in text.split(","))
        return
    size_bytes, end_bytes = _size(first), _size(last)
    if not 0 < size_bytes <= end_bytes:
        raise click.UsageError(f"--sizes: got {text!r}; a range goes from a size above 0 to one not below it")
    while size_bytes <= end_bytes:
        yield size_bytes
        size_bytes *= 2


def _size(text: str) -> int:
    from clustersim.scenario.units import parse_size_bytes

    try:
        return int(text) if text.strip().isdecimal() else parse_size_bytes(text.strip())
    except ValueError as error:
        raise click.UsageError(f"--sizes: {error}") from None
