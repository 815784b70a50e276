"""The verb that runs every point of a sweep."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clustersim.cli.limits import limit_options
from clustersim.cli.options import common_options, json_option, report_option, set_option
from clustersim.cli.output import emit_json, emit_report, emit_text, progress, tell
from clustersim.cli.sweep_options import executor_option, parsed_axes, sweep_options

if TYPE_CHECKING:
    from clustersim.limits import Limits
    from clustersim.planning.sweep import SweepRow

NOTHING_RAN = 2


@click.command()
@click.argument("scenario")
@sweep_options
@executor_option
@json_option
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, writable=True),
    help="Write to a store, .db, which the same command resumes; or to a .csv, .parquet, .jsonl or .json.",
)
@click.option("--plot", metavar="FILE", help="Draw step time and bubble to FILE.png, .svg or .pdf (extra plots).")
@set_option
@report_option
@click.option(
    "--max-sweep-points", type=click.IntRange(1), default=10_000, show_default=True, metavar="N", help="Most points."
)
@limit_options
@common_options
def sweep(
    scenario: str,
    axes: tuple[str, ...],
    parts: Mapping[str, Any],
    running: Mapping[str, Any],
    as_json: bool,
    output: str | None,
    plot: str | None,
    overrides: tuple[str, ...],
    report: str | None,
    max_sweep_points: int,
    limits: Limits,
) -> int:
    """Run every combination of values, the last axis varying fastest; what can't be run is a row with its reason."""
    from clustersim.planning.store import is_store
    from clustersim.planning.sweep import sweep as sweep_scenario
    from clustersim.scenario.load import load_scenario

    store = output if output is not None and is_store(Path(output)) else None
    _check_paths(None if store else output, plot)
    loaded = load_scenario(scenario, overrides)
    with progress(f"sweeping {scenario}") as say:
        teller = _Teller(f"sweeping {scenario}", say)
        try:
            found = sweep_scenario(
                loaded,
                parsed_axes(axes),
                limits,
                max_sweep_points,
                teller.count,
                store=store,
                on_start=teller.start,
                **parts,
                **running,
            ).to_dict()
        except KeyboardInterrupt:
            if store is not None:
                tell(f"interrupted: what is done is in {store}; the same command goes on from there")
            raise
    write_pictures(loaded.name, found, report, plot)
    if store is not None:
        tell(f"{store}: {teller.said()}")
    _emit(loaded.name, found, as_json, output, store)
    return exit_code(found)


def _check_paths(output: str | None, plot: str | None) -> None:
    """Refuse files that can't be written before the sweep is run, not after it."""
    from clustersim.planning.store import SUFFIXES
    from clustersim.report.sweep_files import check_sweep_path

    if output is not None:
        check_sweep_path(Path(output), SUFFIXES)
    if plot is not None:
        from clustersim.report.plots import check_plot_name

        check_plot_name(plot)


class _Teller:
    """Says how far a sweep is, and how long it may still take."""

    def __init__(self, text: str, say: Callable[[str], None]) -> None:
        self.text = text
        self.say_text = say
        self.num_before = self.num_done = self.num_points = 0
        self.started_s = time.monotonic()

    def start(self, num_done: int, num_points: int) -> None:
        self.num_before = self.num_done = num_done
        self.num_points = num_points
        self.started_s = time.monotonic()

    def count(self, _row: SweepRow) -> None:
        from clustersim.report.quantities import duration

        self.num_done += 1
        spent_s = time.monotonic() - self.started_s
        left_s = spent_s / (self.num_done - self.num_before) * (self.num_points - self.num_done)
        self.say_text(f"{self.text}: {self.num_done} of {self.num_points} points, about {duration(left_s)} left")

    def said(self) -> str:
        """Return what was done, in one line."""
        before = f", {self.num_before} of them before" if self.num_before else ""
        return f"{self.num_done} of {self.num_points} points are done{before}"


def write_pictures(name: str, found: Mapping[str, Any], report: str | None, plot: str | None) -> None:
    """Write the page and the picture of a sweep, where they are asked for."""
    if report is not None:
        from clustersim.report.html.sweep_page import sweep_page

        emit_text(sweep_page(name, found), report)
    if plot is not None:
        from clustersim.report.plots import plot_sweep

        plot_sweep(name, found, Path(plot))


def _emit(name: str, found: Mapping[str, Any], as_json: bool, output: str | None, store: str | None) -> None:
    if output is not None and store is None:
        from clustersim.report.sweep_files import write_sweep

        write_sweep(found, Path(output))
    elif as_json:
        emit_json(found, None)
    elif store is None:
        from clustersim.report.terminal_sweep import sweep_report

        emit_report(sweep_report(name, found))


def exit_code(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> int:
    """Return 0 if a point ran, or there was none to run."""
    from clustersim.report.sweep_files import has_run

    return 0 if any(map(has_run, found["rows"])) or not found["rows"] else NOTHING_RAN
