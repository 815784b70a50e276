"""The same job under several schedules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from clustersim.limits import Limits
from clustersim.ops import Plugin
from clustersim.planning.variant import Outcome, Status, run_variant
from clustersim.result import Result
from clustersim.scenario.spec import Scenario

COMPARISON_SCHEMA = "clustersim/compare/1"


@dataclass(frozen=True, slots=True)
class ComparedSchedule:
    """One schedule: what it costs and what it needs, as in a result document; None where it was refused."""

    schedule: str
    status: Status
    reason: str
    step_time_s: float | None
    exposed_communication_s: float | None
    bubble: dict[str, Any] | None
    memory: dict[str, Any] | None
    gap_to_bound: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One row a schedule, in the order asked for."""

    rows: tuple[ComparedSchedule, ...]

    @property
    def best(self) -> str | None:
        """The schedule with the shortest step among those that fit, the first of several."""
        fitting = [(row.step_time_s, row.schedule) for row in self.rows if row.status == "ok"]
        timed = [(time_s, schedule) for time_s, schedule in fitting if time_s is not None]
        return min(timed, key=lambda entry: entry[0])[1] if timed else None

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``compare --json``."""
        return {"schema": COMPARISON_SCHEMA, "best": self.best, "rows": [asdict(row) for row in self.rows]}


def compare(
    scenario: Scenario,
    schedules: Iterable[str],
    limits: Limits | None = None,
    plugins: Mapping[str, Plugin] | None = None,
    on_result: Callable[[str, Result], None] | None = None,
) -> Comparison:
    """Return `scenario` under each of the schedules; parameters of a schedule hold for that schedule only.

    A schedule is named as results name it; one of `plugins` may be named without ``plugin:``. `on_result` is called
    with each schedule that ran and its result, of which the comparison keeps but a row.
    """
    plugins = plugins or {}
    rows = []
    for name in dict.fromkeys(schedules):
        label = f"plugin:{name}" if name in plugins else name
        plugin = label.removeprefix("plugin:")
        asked: Any = {"plugin": plugin} if label != plugin else name
        changes = {} if label == scenario.schedule.label else {"schedule": asked}
        outcome = run_variant(scenario, changes, limits, plugins)
        if outcome.result is not None and on_result is not None:
            on_result(name, outcome.result)
        rows.append(_row(name, outcome))
    return Comparison(tuple(rows))


def _row(name: str, outcome: Outcome) -> ComparedSchedule:
    if outcome.result is None:
        return ComparedSchedule(name, outcome.status, outcome.reason, None, None, None, None, None)
    document = outcome.result.to_dict()
    return ComparedSchedule(
        name,
        outcome.status,
        outcome.reason,
        document["step_time_s"],
        document["time_s"]["exposed_communication"],
        document["bubble"],
        document["memory"],
        document["bound"]["gap"],
    )
