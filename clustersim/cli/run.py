"""The verb that simulates one scenario."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

import click

from clustersim.cli.limits import limit_options
from clustersim.cli.options import common_options, json_option, output_option, plugin_option, set_option
from clustersim.cli.output import emit_report, emit_text, progress, tell_more
from clustersim.cli.run_files import RunFiles, run_file_options
from clustersim.cli.what_if import what_if_option

if TYPE_CHECKING:
    from clustersim.limits import Limits
    from clustersim.ops import Plugin
    from clustersim.result import Result

UNFIT = 3


@click.command()
@click.argument("scenario")
@json_option
@output_option
@set_option
@plugin_option
@run_file_options
@what_if_option
@click.option("--check", is_flag=True, help="Check the laws that every run keeps.")
@click.option("--no-fold", is_flag=True, help="Simulate every GPU, also those that provably do the same.")
@limit_options
@common_options
def run(
    scenario: str,
    as_json: bool,
    output: str | None,
    overrides: tuple[str, ...],
    bindings: tuple[str, ...],
    files: RunFiles,
    changes: dict[str, Fraction],
    check: bool,
    no_fold: bool,
    limits: Limits,
) -> int:
    """Simulate a scenario (a file, or a name from the gallery) and report where the time goes.

    With -o, a file that ends in .json gets the result document, and any other the report as text. The exit code is 3
    if the job does not fit in memory; the report then says what would make it fit, and what that would cost.
    """
    from clustersim.cli.plugins import load_plugins
    from clustersim.simulation import simulate

    plugins = load_plugins(bindings)
    files.check()
    with progress(f"simulating {scenario}") as say:
        result = simulate(scenario, overrides, limits, plugins, fold=not no_fold)
        if check:
            _check(result)
        result = _with_more_runs(result, changes, limits, plugins, say)
        files.write(result)
    files.tell_what_is_left_out(result)
    _emit(result, as_json, output)
    tell_more((f"engine: {result.provenance['engine']}", *result.provenance["constraints"]))
    return UNFIT if result.memory.fits is False else 0


def _check(result: Result) -> None:
    from clustersim.analysis.invariants import check_invariants

    check_invariants(result.trace)


def _with_more_runs(
    result: Result,
    changes: Mapping[str, Fraction],
    limits: Limits | None,
    plugins: Mapping[str, Plugin],
    say: Callable[[str], None],
) -> Result:
    """Return the result with what takes more runs to find: what would make it fit, and what changed costs give."""
    if result.memory.fits is False:
        from clustersim.planning.fit_advice import with_advice

        say("it does not fit: looking for what would")
        result = with_advice(result, limits, plugins)
    if changes:
        from clustersim.changed_costs import what_if

        say("running again with changed costs")
        result = what_if(result, changes, limits, plugins)
    return result


def _emit(result: Result, as_json: bool, output: str | None) -> None:
    if as_json or (output or "").lower().endswith(".json"):
        emit_text(result.to_json(), output)
        return
    from clustersim.report.terminal_run import run_report

    emit_report(run_report(result), output)
