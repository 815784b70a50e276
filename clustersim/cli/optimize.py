"""The verb that searches for the best order of a training step."""

from __future__ import annotations

import click

from clustersim.cli.limits import seconds_of
from clustersim.cli.options import common_options, json_option, output_option, set_option
from clustersim.cli.output import emit_json, emit_report, emit_text, progress


@click.command()
@click.argument("scenario")
@click.option(
    "--time-limit", metavar="TIME", default="60s", show_default=True, callback=seconds_of, help="Time for the search."
)
@json_option
@output_option
@set_option
@common_options
def optimize(scenario: str, time_limit: float, as_json: bool, output: str | None, overrides: tuple[str, ...]) -> None:
    """Search for the best order of F, I and W, proven for small shapes, within the limit of the schedule.

    The order is printed as PyTorch's compute-only CSV, or written to a file by -o; `schedule: {csv: FILE}` runs it.
    """
    from clustersim.planning.optimize import optimize as find_optimum
    from clustersim.report.terminal_optimum import optimum_report
    from clustersim.scenario.load import load_scenario
    from clustersim.schedules.render import render_csv

    loaded = load_scenario(scenario, overrides)
    with progress(f"searching for the best order of {scenario}"):
        optimum = find_optimum(loaded, time_limit)
    document, csv = optimum.to_dict(), render_csv(optimum.schedule)
    if as_json:
        emit_json({**document, "csv": csv}, None)
    else:
        emit_report(optimum_report(loaded.name, document))
    if output is not None:
        emit_text(csv, output)
    elif not as_json:
        emit_text(csv, None)
