"""The verb that asks for a size: of the job, the model or the cluster."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import click

from clustersim.cli.options import common_options
from clustersim.cli.output import emit_document_or_report, progress
from clustersim.cli.questions import (
    UNMET,
    limit_s_of,
    names_of,
    question_options,
    runner_of,
    time_options,
    tokens_of,
)
from clustersim.errors import Fault, ScenarioError

if TYPE_CHECKING:
    from clustersim.limits import Limits
    from clustersim.scenario.spec import Scenario

_tokens_option = click.option(
    "--tokens", metavar="N", callback=tokens_of, help="300B tokens, 3e11; absent: the scenario's token_budget."
)
_most_option = click.option("--max-gpus", "most_gpus", type=click.IntRange(1), help="GPUs that there are at the most.")


@click.group()
@common_options
def size() -> None:
    """Find the fewest GPUs, the largest model, or the cheapest cluster; exit code 3 where none meets the limit."""


@size.command("gpus", short_help="Fewest GPUs that train on so many tokens in time.")
@click.argument("scenario")
@_tokens_option
@time_options
@_most_option
@click.option("--weak", is_flag=True, help="Let the global batch grow with the GPUs.")
@click.option("--sure", is_flag=True, help="Meet the limit at the later end of the interval, too.")
@question_options
def gpus(
    scenario: str,
    tokens: int | None,
    days: float | None,
    start: date | None,
    end: date | None,
    most_gpus: int | None,
    weak: bool,
    sure: bool,
    as_json: bool,
    output: str | None,
    overrides: tuple[str, ...],
    bindings: tuple[str, ...],
    limits: Limits,
) -> int:
    """Find the fewest GPUs that train on so many tokens by a date; data parallelism grows, all other axes stay."""
    from clustersim.planning.fewest import fewest_gpus
    from clustersim.scenario.load import load_scenario

    limit_s = limit_s_of(days, start, end)
    if limit_s is None:
        raise click.UsageError("by when? give --days 30, or --by 2027-03-01")
    loaded = load_scenario(scenario, overrides)
    runner = runner_of(bindings, limits)
    with progress(f"sizing {scenario}") as say:
        found = fewest_gpus(
            loaded,
            _tokens(loaded, tokens),
            limit_s,
            most_gpus,
            weak,
            sure,
            runner,
            lambda number: say(f"{number} GPUs"),
        )
    _emit(found.to_dict(), "fewest_report", as_json, output)
    return 0 if found.answer else UNMET


@size.command("model", short_help="Largest model that fits in memory.")
@click.argument("scenario")
@click.option("--key", default="model.num_layers", show_default=True, help="Size of the model that grows.")
@click.option("--step", type=click.IntRange(1), help="What values are multiples of; absent: for layers the stages.")
@click.option("--models", metavar="A,B|all", callback=names_of, help="Models of the gallery, llama-* too.")
@question_options
def model(
    scenario: str,
    key: str,
    step: int | None,
    models: list[str] | None,
    as_json: bool,
    output: str | None,
    overrides: tuple[str, ...],
    bindings: tuple[str, ...],
    limits: Limits,
) -> int:
    """Find the largest model that fits in memory: the most layers (or another size), or the largest of the gallery."""
    from clustersim.planning.largest import largest_model, largest_of_models
    from clustersim.scenario.load import load_scenario

    loaded = load_scenario(scenario, overrides)
    runner = runner_of(bindings, limits)
    with progress(f"sizing {scenario}") as say:
        if models:
            found = largest_of_models(loaded, ["*"] if models == ["all"] else models, runner)
        else:
            found = largest_model(loaded, key, step, runner, lambda value: say(f"{key} {value}"))
    _emit(found.to_dict(), "largest_report", as_json, output)
    return 0 if found.answer else UNMET


@size.command("cluster", short_help="Cheapest cluster of a list.")
@click.argument("scenario")
@click.option("--clusters", required=True, metavar="A,B", callback=names_of, help="Topologies: names or paths.")
@_tokens_option
@time_options
@_most_option
@question_options
def cluster(
    scenario: str,
    clusters: list[str],
    tokens: int | None,
    days: float | None,
    start: date | None,
    end: date | None,
    most_gpus: int | None,
    as_json: bool,
    output: str | None,
    overrides: tuple[str, ...],
    bindings: tuple[str, ...],
    limits: Limits,
) -> int:
    """Find the cheapest cluster of a list: as many GPUs as the scenario has, or with a date the fewest that meet it."""
    from clustersim.planning.cheapest import cheapest_cluster
    from clustersim.scenario.load import load_scenario

    limit_s = limit_s_of(days, start, end)
    loaded = load_scenario(scenario, overrides)
    runner = runner_of(bindings, limits)
    with progress(f"pricing {scenario}") as say:
        found = cheapest_cluster(loaded, clusters, _tokens(loaded, tokens), limit_s, most_gpus, runner, say)
    _emit(found.to_dict(), "cheapest_report", as_json, output)
    return 0 if found.answer else UNMET


def _tokens(scenario: Scenario, tokens: int | None) -> int:
    """Return the tokens of a training: those that are asked for, or the scenario's."""
    found = tokens if tokens is not None else scenario.training.token_budget
    if found is None:
        what = "on how many tokens? nothing says so"
        raise ScenarioError(Fault("training.token_budget", what, hint="give --tokens 300B, or the key"))
    return found


def _emit(document: Any, name: str, as_json: bool, output: str | None) -> None:
    def report(values: Any) -> Any:
        from clustersim.report import terminal_size

        return getattr(terminal_size, name)(values)

    emit_document_or_report(document, report, as_json, output)
