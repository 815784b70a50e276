"""The verb that draws scaling curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from clustersim.cli.output import emit_document_or_report, progress
from clustersim.cli.questions import UNMET, numbers_of, question_options, runner_of

if TYPE_CHECKING:
    from clustersim.limits import Limits


@click.command()
@click.argument("scenario")
@click.option(
    "--gpus", "numbers", required=True, metavar="FIRST:LAST", callback=numbers_of, help="64:4096, or 64,96,128."
)
@click.option(
    "--weak", is_flag=True, help="Let the global batch grow with the GPUs; absent: it stays (strong scaling)."
)
@click.option(
    "--network-limit",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.2,
    show_default=True,
    help="Share of the critical path from which on the network is called the limit.",
)
@question_options
def scale(
    scenario: str,
    numbers: list[int],
    weak: bool,
    network_limit: float,
    as_json: bool,
    output: str | None,
    overrides: tuple[str, ...],
    bindings: tuple[str, ...],
    limits: Limits,
) -> int:
    """Run a scenario on more and more GPUs: speed-up, efficiency, and from where on the network is the limit.

    Data parallelism grows with the GPUs, all other axes stay. The exit code is 3 if no number of GPUs could be run.
    """
    from clustersim.planning.scaling import scaling
    from clustersim.scenario.load import load_scenario

    loaded = load_scenario(scenario, overrides)
    runner = runner_of(bindings, limits)
    with progress(f"scaling {scenario}") as say:
        found = scaling(loaded, numbers, weak, network_limit, runner, lambda number: say(f"{number} GPUs"))

    def report(document: Any) -> Any:
        from clustersim.report.terminal_scale import scale_report

        return scale_report(document)

    emit_document_or_report(found.to_dict(), report, as_json, output)
    return 0 if found.points else UNMET
