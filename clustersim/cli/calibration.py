"""The verb that fits a device's constants to measurements."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clustersim.cli.options import common_options, json_option, set_option
from clustersim.cli.output import emit_json, emit_report, emit_text, progress

if TYPE_CHECKING:
    from clustersim.planning.calibration import Calibration
    from clustersim.scenario.measured import MeasuredFile

_SUFFIXES = (".yaml", ".yml")


@click.command()
@click.argument("measurements", metavar="MEASUREMENTS.csv")
@click.option("--base", metavar="SCENARIO", help="What each line of the CSV varies; absent: lines say everything.")
@click.option("--device", metavar="NAME|FILE", help="Where the fit starts; absent: the device of the rows' topologies.")
@click.option("--parameters", metavar="A,B", help="Which constants are fitted; absent: all that the times tell.")
@click.option(
    "--hold-out",
    type=click.FloatRange(0, 0.9),
    default=0.25,
    show_default=True,
    metavar="SHARE",
    help="Share of the configurations that the fit does not see.",
)
@click.option(
    "--hold-out-by",
    type=click.Choice(["source"]),
    help="Hold out one source after the other in its place, and fit to all in the end.",
)
@click.option("--balance", is_flag=True, help="Let every source count the same, however many rows it has.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of what is held out.")
@click.option("--jobs", type=click.IntRange(1, 1024), help="Processes; absent: one a core.")
@json_option
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, writable=True), help="Write the device to a .yaml file."
)
@set_option
@common_options
def calibrate(
    measurements: str,
    base: str | None,
    device: str | None,
    parameters: str | None,
    hold_out: float,
    hold_out_by: str | None,
    balance: bool,
    seed: int,
    jobs: int | None,
    as_json: bool,
    output: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Fit a device's constants, and the share of bandwidth left to collectives, to measured times; tell how well.

    Columns of the CSV are keys of a scenario (parallelism.tp, or tp alone), a time with its unit in the name or in the
    cells (step_time_s; or forward_time_ms and backward_time_ms of a layer), and if you like name and source. JSON lines
    as those of the packaged measurements are read, too.
    """
    from clustersim.planning.calibrate import HoldOut
    from clustersim.planning.calibrate import calibrate as fit_constants
    from clustersim.planning.calibrated_device import calibrated_text, rows_on, starting_device
    from clustersim.planning.timed import runner
    from clustersim.scenario.measured_file import is_json_lines, read_measured

    if output is not None and Path(output).suffix.lower() not in _SUFFIXES:
        raise click.UsageError(f"-o {output}: a device file ends in {' or '.join(_SUFFIXES)}")
    if is_json_lines(measurements) and (base is not None or overrides):
        raise click.UsageError("--base and --set are for a CSV; each line of JSON holds a whole scenario")
    names = _names(parameters)
    file = read_measured(measurements, _base(base, overrides))
    start = starting_device(file.rows, device)
    rows = rows_on(file.rows, start)
    how = HoldOut(hold_out, hold_out_by is not None, seed)
    with progress(f"running {len(rows)} rows") as say, runner(jobs or os.cpu_count() or 1) as run:
        found = fit_constants(rows, start, run, names, how, balance, say)
    document = _document(found, file)
    if output is not None:
        emit_text(calibrated_text(found, file), output)
    if as_json:
        emit_json(document, None)
    else:
        from clustersim.report.terminal_calibration import calibration_report

        emit_report(calibration_report(document, output))


def _names(text: str | None) -> tuple[str, ...]:
    """Return the constants that a user lists."""
    from clustersim.errors import nearest
    from clustersim.planning.constants import PARAMETERS

    names = tuple(dict.fromkeys(part.strip() for part in (text or "").split(",") if part.strip()))
    for name in names:
        if name not in PARAMETERS:
            hint = nearest(name, list(PARAMETERS)) or f"constants: {', '.join(PARAMETERS)}"
            raise click.UsageError(f"--parameters: no constant is called '{name}'; {hint}")
    return names


def _base(scenario: str | None, overrides: tuple[str, ...]) -> Any:
    from clustersim.scenario.load import load_scenario
    from clustersim.scenario.measured_file import Base

    return Base(None, overrides) if scenario is None else Base(load_scenario(scenario, overrides))


def _document(found: Calibration, file: MeasuredFile) -> dict[str, Any]:
    num_left_out = len(file.rows) - len(found.rows)
    measurements = {"path": file.name, "sha256": file.sha256, "num_other_devices": num_left_out}
    return {**found.to_dict(), "measurements": measurements}
