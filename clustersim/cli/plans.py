"""The verb that searches for the best layout of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from clustersim.cli.options import common_options, json_option, output_option, set_option
from clustersim.cli.output import emit_json, emit_report, emit_text, progress

if TYPE_CHECKING:
    from clustersim.planning.plan import Plan

INFEASIBLE = 3


@click.command()
@click.argument("scenario")
@click.option(
    "--objective",
    type=click.Choice(["step-time", "cost", "energy", "gpus"]),
    help="What the best layout has least of; absent: as the scenario says, or step-time.",
)
@click.option("--megatron", is_flag=True, help="Print the winner as Megatron-LM's flags.")
@click.option("--torchtitan", is_flag=True, help="Print the winner as torchtitan's settings.")
@click.option("--jobs", type=click.IntRange(1, 1024), help="Processes; absent: one a core.")
@json_option
@output_option
@set_option
@common_options
def plan(
    scenario: str,
    objective: str | None,
    megatron: bool,
    torchtitan: bool,
    jobs: int | None,
    as_json: bool,
    output: str | None,
    overrides: tuple[str, ...],
) -> int:
    """Search every legal layout of a job, and prove which is the best.

    What the scenario says stays as it is; what it leaves out of parallelism, schedule, micro-batches, recomputation and
    ZeRO is searched. The winner is written by -o as a scenario file.
    """
    from clustersim.planning.plan import plan as make_plan

    with progress(f"planning {scenario}"):
        found = make_plan(scenario, objective, overrides, jobs)  # type: ignore[arg-type]
    document = found.to_dict()
    if as_json:
        emit_json(document, None)
    elif megatron or torchtitan:
        emit_text(_settings(found, megatron, torchtitan), None)
    else:
        from clustersim.report.terminal_plan import plan_report

        emit_report(plan_report(document))
    if output is not None and output.lower().endswith(".json"):
        emit_json(dict(found.winner.scenario), output)
    elif output is not None:
        emit_text(_scenario_text(found), output)
    if found.unmet:
        click.echo(found.unmet, err=True)
        return INFEASIBLE
    return 0


def _scenario_text(found: Plan) -> str:
    """Return the winner as a scenario file."""
    from clustersim.scenario.importers.draft import Imported
    from clustersim.scenario.importers.written import scenario_text

    winner = found.winner
    comment = (
        f"The plan that is the best by {found.objective}: {winner.step_time_s:.6g} s a step on {winner.gpus} GPUs."
    )
    return scenario_text(Imported(winner.scenario), comment)


def _settings(found: Plan, megatron: bool, torchtitan: bool) -> str:
    """Return the winner in other tools' words."""
    from clustersim.scenario.exporters.megatron import megatron_flags
    from clustersim.scenario.exporters.torchtitan import torchtitan_settings
    from clustersim.scenario.load import scenario_from_mapping

    scenario = scenario_from_mapping(found.winner.scenario)
    texts = [megatron_flags(scenario)] if megatron else []
    texts += [torchtitan_settings(scenario)] if torchtitan else []
    return "\n".join(texts)
