"""The verb that runs every combination of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from clustersim.cli.limits import limit_options, limits_of
from clustersim.cli.options import common_options, json_option, report_option, set_option
from clustersim.cli.output import emit_json, emit_report, emit_text, progress

NOTHING_RAN = 2


@click.command()
@click.argument("scenario")
@click.option(
    "--axis", "axes", multiple=True, metavar="KEY=A,B", help="Values of a key; adds to the file's sweep.axes."
)
@json_option
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, writable=True), help="Write to a .csv, .jsonl or .json."
)
@click.option("--plot", metavar="FILE", help="Draw step time and bubble to FILE.png, .svg or .pdf (extra plots).")
@set_option
@report_option
@click.option(
    "--max-sweep-points",
    type=click.IntRange(1),
    default=10_000,
    show_default=True,
    metavar="N",
    help="Most combinations.",
)
@limit_options
@common_options
def sweep(
    scenario: str,
    axes: tuple[str, ...],
    as_json: bool,
    output: str | None,
    plot: str | None,
    overrides: tuple[str, ...],
    report: str | None,
    max_sweep_points: int,
    max_events: int | None,
    max_wall: float | None,
    max_rss: int | None,
) -> int:
    """Run every combination of values, the last axis varying fastest; what can't be run is a row with its reason."""
    from clustersim.planning.sweep import SweepRow
    from clustersim.planning.sweep import sweep as sweep_scenario
    from clustersim.report.sweep_files import check_sweep_path
    from clustersim.scenario.load import load_scenario

    if output is not None:
        check_sweep_path(Path(output))
    if plot is not None:
        from clustersim.report.plots import check_plot_name

        check_plot_name(plot)
    loaded = load_scenario(scenario, overrides)
    num_done = 0
    with progress(f"sweeping {scenario}") as say:

        def count_row(_row: SweepRow) -> None:
            nonlocal num_done
            num_done += 1
            say(f"sweeping {scenario}: {num_done} points done")

        limits = limits_of(max_events, max_wall, max_rss)
        found = sweep_scenario(loaded, _parsed_axes(axes), limits, max_sweep_points, count_row).to_dict()
    if report is not None:
        from clustersim.report.html.sweep_page import sweep_page

        emit_text(sweep_page(loaded.name, found), report)
    if plot is not None:
        from clustersim.report.plots import plot_sweep

        plot_sweep(loaded.name, found, Path(plot))
    _emit(loaded.name, found, as_json, output)
    return 0 if any(row["status"] != "refused" for row in found["rows"]) else NOTHING_RAN


def _emit(name: str, found: Mapping[str, Any], as_json: bool, output: str | None) -> None:
    if output is not None:
        from clustersim.report.sweep_files import sweep_text

        emit_text(sweep_text(found, Path(output).suffix.lower()), output)
    elif as_json:
        emit_json(found, None)
    else:
        from clustersim.report.terminal_sweep import sweep_report

        emit_report(sweep_report(name, found))


def _parsed_axes(texts: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Return the values that each ``key=a,b`` gives, read as YAML."""
    from clustersim.scenario.node import plain
    from clustersim.scenario.read_yaml import read_yaml
    from clustersim.scenario.text import Text

    axes = {}
    for text in texts:
        key, equals, values = text.partition("=")
        if not equals or not key.strip() or not values.strip():
            raise click.UsageError(
                f"--axis {text}: an axis is a key and its values; write --axis batch.num_microbatches=4,8"
            )
        listed = values if values.strip().startswith("[") else f"[{values}]"
        value = plain(read_yaml(Text(f"--axis {text}", listed)))
        axes[key.strip()] = value if isinstance(value, tuple) else (value,)
    return axes
