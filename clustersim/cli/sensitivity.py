"""The verb that asks how much an answer moves with what it assumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from clustersim.cli.output import emit_document_or_report, progress
from clustersim.cli.questions import question_options, runner_of

if TYPE_CHECKING:
    from clustersim.limits import Limits


@click.command()
@click.argument("scenario")
@click.option(
    "--samples", type=click.IntRange(1, 10_000), default=64, show_default=True, help="Latin hypercube points."
)
@click.option("--seed", type=click.IntRange(0), help="Of the samples; absent: the scenario's.")
@question_options
def sensitivity(
    scenario: str,
    samples: int,
    seed: int | None,
    as_json: bool,
    output: str | None,
    overrides: tuple[str, ...],
    bindings: tuple[str, ...],
    limits: Limits,
) -> None:
    """Tell how much step time, cost and energy move with each assumption, and between which values they are with all.

    Kernels, bandwidths, latencies, prices and power, each at its two ends; then all together, by a Latin hypercube.
    """
    from clustersim.planning.sensitivity import sensitivity as study
    from clustersim.scenario.load import load_scenario

    loaded = load_scenario(scenario, overrides)
    runner = runner_of(bindings, limits)
    with progress(f"varying what {scenario} assumes") as say:
        found = study(loaded, samples, seed, runner, lambda number: say(f"{number} outcomes"))

    def report(document: Any) -> Any:
        from clustersim.report.terminal_sensitivity import sensitivity_report

        return sensitivity_report(document)

    emit_document_or_report(found.to_dict(), report, as_json, output)
