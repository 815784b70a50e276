"""The verb that asks how much an answer moves with what it assumes."""

from __future__ import annotations

from typing import Any

import click

from clustersim.cli.limits import limit_options
from clustersim.cli.options import common_options, json_option, output_option, plugin_option, set_option
from clustersim.cli.output import emit_document_or_report, progress
from clustersim.cli.questions import runner_of


@click.command()
@click.argument("scenario")
@click.option(
    "--samples", type=click.IntRange(1, 10_000), default=64, show_default=True, help="Latin hypercube points."
)
@click.option("--seed", type=click.IntRange(0), help="Of the samples; absent: the scenario's.")
@json_option
@output_option
@set_option
@plugin_option
@limit_options
@common_options
def sensitivity(
    scenario: str,
    samples: int,
    seed: int | None,
    as_json: bool,
    output: str | None,
    overrides: tuple[str, ...],
    bindings: tuple[str, ...],
    max_events: int | None,
    max_wall: float | None,
    max_rss: int | None,
) -> None:
    """Tell how much step time, cost and energy move with each assumption, and between which values they are with all.

    Kernels, bandwidths, latencies, prices and power, each at its two ends; then all together, by a Latin hypercube.
    """
    from clustersim.planning.sensitivity import sensitivity as study
    from clustersim.scenario.load import load_scenario

    loaded = load_scenario(scenario, overrides)
    runner = runner_of(bindings, False, max_events, max_wall, max_rss)
    with progress(f"varying what {scenario} assumes") as say:
        found = study(loaded, samples, seed, runner, lambda number: say(f"{number} outcomes"))

    def report(document: Any) -> Any:
        from clustersim.report.terminal_sensitivity import sensitivity_report

        return sensitivity_report(document)

    emit_document_or_report(found.to_dict(), report, as_json, output)
