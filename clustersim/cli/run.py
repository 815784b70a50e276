"""The verb that simulates one scenario."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clustersim.cli.excerpts import excerpt_of, excerpt_options
from clustersim.cli.limits import limit_options
from clustersim.cli.options import common_options, json_option, output_option, plugin_option, report_option, set_option
from clustersim.cli.output import emit_report, emit_text, progress, tell
from clustersim.cli.what_if import what_if_option

if TYPE_CHECKING:
    from clustersim.limits import Limits
    from clustersim.report.excerpt import Excerpt
    from clustersim.result import Result

UNFIT = 3


@click.command()
@click.argument("scenario")
@json_option
@output_option
@set_option
@plugin_option
@report_option
@click.option("--tables", metavar="DIR", help="Write ops, transfers, links, memory and ranks as files to a folder.")
@click.option(
    "--table-format", type=click.Choice(["csv", "parquet"]), default="csv", help="Of --tables; CSV if absent."
)
@click.option("--trace", metavar="FILE", help="Write a trace for Perfetto: FILE.pftrace, or FILE.json.gz or .json.")
@click.option("--kineto", metavar="DIR", help="Write a profile as PyTorch's to a folder, a file for each rank.")
@click.option("--plot", metavar="FILE", help="Draw Gantt and memory to FILE.png, .svg or .pdf (extra plots).")
@excerpt_options
@what_if_option
@click.option("--check", is_flag=True, help="Check the laws that every run keeps.")
@click.option("--no-fold", is_flag=True, help="Simulate every GPU, also those that provably do the same.")
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
    table_format: str,
    trace: str | None,
    kineto: str | None,
    plot: str | None,
    trace_window: tuple[int, int] | None,
    trace_ranks: tuple[int, ...] | None,
    trace_every: int,
    trace_max_slices: int | None,
    changes: dict[str, Fraction],
    check: bool,
    no_fold: bool,
    limits: Limits,
) -> int:
    """Simulate a scenario (a file, or a name from the gallery) and report where the time goes.

    With -o, a file that ends in .json gets the result document, and any other the report as text. The exit code is 3
    if the job does not fit in memory; the report then says what would make it fit, and what that would cost.
    """
    from clustersim.cli.plugins import load_plugins
    from clustersim.simulation import simulate

    plugins = load_plugins(bindings)
    _check_names(trace, plot)
    is_written = any(path is not None for path in (trace, kineto, tables))
    excerpt = excerpt_of(trace_window, trace_ranks, trace_every, trace_max_slices, is_written)
    with progress(f"simulating {scenario}") as say:
        result = simulate(scenario, overrides, limits, plugins, fold=not no_fold)
        if check:
            _check(result)
        if result.memory.fits is False:
            from clustersim.planning.fit_advice import with_advice

            say("it does not fit: looking for what would")
            result = with_advice(result, limits, plugins)
        if changes:
            from clustersim.changed_costs import what_if

            say("running again with changed costs")
            result = what_if(result, changes, limits, plugins)
        _write_tables(result, tables, table_format, excerpt)
        _write_traces(result, trace, kineto, excerpt)
        _draw(result, plot, report)
    if is_written:
        _say_what_is_left_out(result, excerpt, trace, kineto, tables)
    if as_json or (output or "").lower().endswith(".json"):
        emit_text(result.to_json(), output)
    else:
        from clustersim.report.terminal_run import run_report

        emit_report(run_report(result), output)
    return UNFIT if result.memory.fits is False else 0


def _check_names(trace: str | None, plot: str | None) -> None:
    """Refuse what can't be written before the run, which may be long."""
    if trace is not None:
        from clustersim.report.trace_files import check_trace_name

        check_trace_name(trace)
    if plot is not None:
        from clustersim.report.plots import check_plot_name

        check_plot_name(plot)


def _check(result: Result) -> None:
    from clustersim.analysis.invariants import check_invariants

    check_invariants(result.trace)


def _write_tables(result: Result, tables: str | None, table_format: str, excerpt: Excerpt) -> None:
    if tables is None:
        return
    if table_format == "parquet":
        from clustersim.report.frames import write_parquet

        write_parquet(result.trace, Path(tables), excerpt)
        return
    from clustersim.report.excerpt import keep
    from clustersim.report.excerpt_tables import tables_of
    from clustersim.report.tables import write_columns

    write_columns(tables_of(keep(result.trace, excerpt)), Path(tables))


def _write_traces(result: Result, trace: str | None, kineto: str | None, excerpt: Excerpt) -> None:
    if trace is None and kineto is None:
        return
    from clustersim.report.trace_files import write_kineto_folder, write_trace

    if trace is not None:
        write_trace(result.trace, Path(trace), result.name, excerpt)
    if kineto is not None:
        write_kineto_folder(result.trace, Path(kineto), result.name, excerpt)


def _say_what_is_left_out(result: Result, excerpt: Excerpt, *written: str | None) -> None:
    from clustersim.report.excerpt import keep, left_out

    said = left_out(keep(result.trace, excerpt))
    if said:
        tell(f"{', '.join(filter(None, written))}: {said}")


def _draw(result: Result, plot: str | None, report: str | None) -> None:
    if plot is not None:
        from clustersim.report.plots import plot_run

        plot_run(result, Path(plot))
    if report is not None:
        from clustersim.report.html.run_page import run_page

        emit_text(run_page(result), report)
