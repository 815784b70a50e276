"""The verb that simulates one scenario."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clustersim.cli.limits import limit_options, limits_of
from clustersim.cli.options import common_options, json_option, output_option, plugin_option, report_option, set_option
from clustersim.cli.output import emit_report, emit_text, progress
from clustersim.cli.what_if import what_if_option

if TYPE_CHECKING:
    from clustersim.result import Result

UNFIT = 3


@click.command()
@click.argument("scenario")
@json_option
@output_option
@set_option
@plugin_option
@report_option
@click.option("--tables", metavar="DIR", help="Write ops, transfers, links, memory and ranks as CSV files to a folder.")
@what_if_option
@click.option("--check", is_flag=True, help="Check the laws that every run keeps.")
@click.option("--no-fold", is_flag=True, help="Simulate every GPU; this version always does.")
@limit_options
@common_options
def run(
    scenario: str,
    as_json: bool,
    output: str | None,
    overrides: tuple[str, ...],
    bindings: tuple[str, ...],
    report: str | None,
    tables: str | None,
    changes: dict[str, Fraction],
    check: bool,
    no_fold: bool,  # noqa: ARG001 - nothing is folded yet
    max_events: int | None,
    max_wall: float | None,
    max_rss: int | None,
) -> int:
    """Simulate a scenario (a file, or a name from the gallery) and report where the time goes.

    With -o, a file that ends in .json gets the result document, and any other the report as text. The exit code is 3
    if the job does not fit in memory; the report then says what would make it fit, and what that would cost.
    """
    from clustersim.cli.plugins import load_plugins
    from clustersim.simulation import simulate

    plugins, limits = load_plugins(bindings), limits_of(max_events, max_wall, max_rss)
    with progress(f"simulating {scenario}") as say:
        result = simulate(scenario, overrides, limits, plugins)
        if check:
            _check(result)
        if changes:
            from clustersim.changed_costs import what_if

            result = what_if(result, changes, limits, plugins)
        if result.memory.fits is False:
            from clustersim.planning.fit_advice import with_advice

            say("it does not fit: looking for what would")
            result = with_advice(result, limits, plugins)
    if tables is not None:
        _write_tables(result, tables)
    if report is not None:
        from clustersim.report.html.run_page import run_page

        emit_text(run_page(result), report)
    if as_json or (output or "").lower().endswith(".json"):
        emit_text(result.to_json(), output)
    else:
        from clustersim.report.terminal_run import run_report

        emit_report(run_report(result), output)
    return UNFIT if result.memory.fits is False else 0


def _check(result: Result) -> None:
    from clustersim.analysis.invariants import check_invariants

    check_invariants(result.trace)


def _write_tables(result: Result, folder: str) -> None:
    from clustersim.report.tables import write_tables

    write_tables(result.trace, Path(folder))
