"""The files that a run leaves beside its report: their options, and writing them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from clustersim.cli.excerpts import excerpt_of, excerpt_options
from clustersim.cli.options import report_option
from clustersim.cli.output import emit_text, tell

if TYPE_CHECKING:
    from clustersim.report.excerpt import Excerpt
    from clustersim.result import Result

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Files and folders, None where none is asked for, and the part of a run that traces and tables hold."""

    report: str | None
    tables: str | None
    table_format: str
    trace: str | None
    kineto: str | None
    plot: str | None
    excerpt: Excerpt

    def check(self) -> None:
        """Refuse what can't be written before the run, which may be long."""
        if self.trace is not None:
            from clustersim.report.trace_files import check_trace_name

            check_trace_name(self.trace)
        if self.plot is not None:
            from clustersim.report.plots import check_plot_name

            check_plot_name(self.plot)

    def write(self, result: Result) -> None:
        """Write them all."""
        self._write_tables(result)
        self._write_traces(result)
        if self.plot is not None:
            from clustersim.report.plots import plot_run

            plot_run(result, Path(self.plot))
        if self.report is not None:
            from clustersim.report.html.run_page import run_page

            emit_text(run_page(result), self.report)

    def tell_what_is_left_out(self, result: Result) -> None:
        """Say how much of the run is in traces and tables, if that is not all."""
        from clustersim.report.excerpt import WHOLE, keep, left_out

        if self.excerpt != WHOLE and (said := left_out(keep(result.trace, self.excerpt))):
            tell(f"{', '.join(filter(None, (self.trace, self.kineto, self.tables)))}: {said}")

    def _write_tables(self, result: Result) -> None:
        if self.tables is None:
            return
        if self.table_format == "parquet":
            from clustersim.report.frames import write_parquet

            write_parquet(result.trace, Path(self.tables), self.excerpt)
            return
        from clustersim.report.excerpt import keep
        from clustersim.report.excerpt_tables import tables_of
        from clustersim.report.tables import write_columns

        write_columns(tables_of(keep(result.trace, self.excerpt)), Path(self.tables))

    def _write_traces(self, result: Result) -> None:
        if self.trace is None and self.kineto is None:
            return
        from clustersim.report.trace_files import write_kineto_folder, write_trace

        if self.trace is not None:
            write_trace(result.trace, Path(self.trace), result.name, self.excerpt)
        if self.kineto is not None:
            write_kineto_folder(result.trace, Path(self.kineto), result.name, self.excerpt)


def run_file_options(function: _Function) -> Any:
    """Return `function` with the options that say which files a run leaves, as the RunFiles in `files`."""

    @wraps(function)
    def with_files(
        *args: Any,
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
        **rest: Any,
    ) -> Any:
        is_written = any(path is not None for path in (trace, kineto, tables))
        excerpt = excerpt_of(trace_window, trace_ranks, trace_every, trace_max_slices, is_written)
        files = RunFiles(report, tables, table_format, trace, kineto, plot, excerpt)
        return function(*args, files=files, **rest)

    options = (
        report_option,
        click.option(
            "--tables", metavar="DIR", help="Write ops, transfers, links, memory and ranks as files to a folder."
        ),
        click.option(
            "--table-format", type=click.Choice(["csv", "parquet"]), default="csv", help="Of --tables; CSV if absent."
        ),
        click.option(
            "--trace", metavar="FILE", help="Write a trace for Perfetto: FILE.pftrace, or FILE.json.gz or .json."
        ),
        click.option("--kineto", metavar="DIR", help="Write a profile as PyTorch's to a folder, a file for each rank."),
        click.option("--plot", metavar="FILE", help="Draw Gantt and memory to FILE.png, .svg or .pdf (extra plots)."),
        excerpt_options,
    )
    found: Any = with_files
    for option in reversed(options):
        found = option(found)
    return found
