"""Verbs that set results side by side."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from clustersim.cli.limits import limit_options
from clustersim.cli.options import (
    common_options,
    json_option,
    output_option,
    plugin_option,
    report_option,
    set_option,
)
from clustersim.cli.output import emit_json, emit_report, emit_text, progress
from clustersim.errors import ScenarioError, ScheduleError, nearest

if TYPE_CHECKING:
    from clustersim.limits import Limits
    from clustersim.report.html.compare_page import ComparisonPage
    from clustersim.scenario.spec import Scenario

NOTHING_RAN = 2


@click.command()
@click.argument("scenario")
@click.option("--schedules", required=True, metavar="NAMES", help="Names joined by commas, or 'all'.")
@json_option
@output_option
@set_option
@plugin_option
@report_option
@limit_options
@common_options
def compare(
    scenario: str,
    schedules: str,
    as_json: bool,
    output: str | None,
    overrides: tuple[str, ...],
    bindings: tuple[str, ...],
    report: str | None,
    limits: Limits,
) -> int:
    """Run a scenario under several schedules and show them in one table.

    Plugins are named as they are bound; the scenario's own order from a file as csv:PATH.
    """
    from clustersim.cli.plugins import load_plugins
    from clustersim.planning.compare import compare as compare_schedules

    plugins = load_plugins(bindings)
    loaded = _loaded(scenario, overrides)
    names = _schedule_names(schedules, [*([loaded.schedule.label] if loaded.schedule.csv else []), *plugins])
    page = _page() if report is not None else None
    with progress(f"comparing {len(names)} schedules"):
        comparison = compare_schedules(loaded, names, limits, plugins, page.add if page else None).to_dict()
    if page and report is not None:
        emit_text(page.text(loaded.name, comparison), report)
    if as_json:
        emit_json(comparison, output)
    else:
        from clustersim.report.terminal_compare import comparison_report

        emit_report(comparison_report(loaded.name, comparison), output)
    return 0 if any(row["status"] != "refused" for row in comparison["rows"]) else NOTHING_RAN


def _page() -> ComparisonPage:
    from clustersim.report.html.compare_page import ComparisonPage

    return ComparisonPage()


def _loaded(scenario: str, overrides: tuple[str, ...]) -> Scenario:
    """Return the scenario, under the first schedule that takes it where the file's own does not."""
    from clustersim.scenario.load import load_scenario
    from clustersim.schedules.table import SCHEDULES

    try:
        return load_scenario(scenario, overrides)
    except ScenarioError:
        for name in SCHEDULES:
            with suppress(ScenarioError):
                return load_scenario(scenario, [*overrides, f"schedule={name}"])
        raise


def _schedule_names(text: str, brought: list[str]) -> list[str]:
    from clustersim.schedules.table import SCHEDULES

    allowed = [*brought, *SCHEDULES]
    if text.strip() == "all":
        return allowed
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in allowed]
    if unknown or not names:
        hint = nearest(unknown[0], allowed) if unknown else ""
        known = f"available: {', '.join(allowed)}, or all"
        raise ScheduleError(f"--schedules: no schedule is called '{(unknown or [text])[0]}'; {hint or known}")
    return names


@click.command()
@click.argument("before", metavar="A.json")
@click.argument("after", metavar="B.json")
@json_option
@output_option
@common_options
def diff(before: str, after: str, as_json: bool, output: str | None) -> None:
    """Show what changed from one result (of run --json) to another, and why."""
    from clustersim.report.difference import difference
    from clustersim.report.result_file import read_result

    found = difference(read_result(before), read_result(after))
    if as_json:
        emit_json(found.to_dict(), output)
    else:
        from clustersim.report.terminal_difference import difference_report

        emit_report(difference_report(found), output)
