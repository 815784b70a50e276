"""The verb that holds step times against published measurements."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from clustersim.cli.options import common_options, json_option, output_option
from clustersim.cli.output import emit_document_or_report, progress

if TYPE_CHECKING:
    from clustersim.planning.validation import Deviation

VALIDATION_SCHEMA = "clustersim/validation/1"


@click.command("validate-model")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--jobs", type=click.IntRange(1, 1024), help="Processes; absent: one a core.")
@json_option
@output_option
@common_options
def validate_model(names: tuple[str, ...], jobs: int | None, as_json: bool, output: str | None) -> None:
    """Run the packaged measurements (or those whose name holds a NAME) and tell how far off our step times are."""
    from clustersim.planning.validation import deviations, read_measurements

    wanted = [row for row in read_measurements() if not names or any(name in row.name for name in names)]
    if not wanted:
        raise click.UsageError(f"no measurement's name holds {' or '.join(names)}")
    with progress(f"running {len(wanted)} configurations"):
        found = list(deviations(wanted, jobs or os.cpu_count() or 1))

    def report(document: Any) -> Any:
        from clustersim.report.terminal_validation import validation_report

        return validation_report(document)

    emit_document_or_report(validation_document(found), report, as_json, output)


def validation_document(found: list[Deviation]) -> dict[str, Any]:
    """Return errors by group, orders of layouts, and the error of every configuration, as JSON has them."""
    from dataclasses import asdict

    from clustersim.planning.layout_order import layout_orders
    from clustersim.planning.validation import summaries

    return {
        "schema": VALIDATION_SCHEMA,
        "groups": [asdict(summary) for summary in summaries(found)],
        "orders": [asdict(order) for order in layout_orders(found)],
        "rows": [
            {
                "name": row.measurement.name,
                "group": row.measurement.group,
                "source": row.measurement.source,
                "table": row.measurement.table,
                "measured_step_time_s": row.measurement.step_time_s,
                "step_time_s": row.step_time_s,
                "error": row.step_time_error,
                "measured_peak_bytes": row.measurement.peak_memory_bytes,
                "peak_bytes": row.peak_bytes,
                "memory_error": row.memory_error,
                "reason": row.reason,
            }
            for row in found
        ],
    }
