"""Sweeps: one simulation for every point, in this process or in many, into a store or not."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from clustersim.errors import Fault, ScenarioError
from clustersim.limits import Limits
from clustersim.planning.dispatch import Point, dispatched
from clustersim.planning.identity import identity_of, keys_of
from clustersim.planning.points import Points, points_of
from clustersim.planning.pool import Factory, brought, num_processors, processes
from clustersim.planning.row import MEASURES, PlacedRow, SweepRow
from clustersim.planning.shard import Shard
from clustersim.planning.store import MemoryStore, RowStore, SweepStore
from clustersim.planning.work import Base, run_point
from clustersim.scenario.load import load_scenario, vary
from clustersim.scenario.node import Node, node_of
from clustersim.scenario.spec import Scenario, Sweep

SWEEP_SCHEMA = "clustersim/sweep/1"
MAX_POINTS = 10_000

_SECONDS_BETWEEN_WRITES = 0.2

__all__ = ["MAX_POINTS", "MEASURES", "SWEEP_SCHEMA", "SweepResult", "SweepRow", "stored", "sweep"]


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The points that are done, in the order of all points: of combinations, the last axis varies fastest."""

    axes: Mapping[str, tuple[Any, ...]]
    rows: tuple[SweepRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``sweep --json``."""
        axes = {axis: list(values) for axis, values in self.axes.items()}
        return {"schema": SWEEP_SCHEMA, "axes": axes, "rows": [row.to_dict() for row in self.rows]}


def sweep(
    scenario: Scenario | str | Path,
    axes: Mapping[str, Sequence[Any] | Mapping[str, Any]] | None = None,
    limits: Limits | None = None,
    max_points: int = MAX_POINTS,
    on_row: Callable[[SweepRow], None] | None = None,
    *,
    store: str | Path | None = None,
    jobs: int | None = 1,
    executor: Factory | None = None,
    shard: str = "1/1",
    linked: Sequence[Sequence[str]] = (),
    where: Sequence[str] = (),
    samples: Mapping[str, int] | None = None,
    retry_failed: bool = False,
    on_start: Callable[[int, int], None] | None = None,
) -> SweepResult:
    """Return a row for every point of a sweep: all combinations of the axes' values, or as many samples.

    Parameters
    ----------
    scenario
        A Scenario that was loaded, the path of a file, or a name from the gallery.
    axes
        Values of dotted keys, or spreads as a file has them; they add to the scenario's own ``sweep.axes`` and replace
        those of the same key.
    limits
        Budgets of each simulation; a point that uses one up is refused.
    max_points
        Points allowed.
    on_row
        Called with each row as it is done; with several jobs in any order.
    store
        An SQLite file that gets the rows as they are done. What is there already is not run again: the same call goes
        on where another one ended, however it ended.
    jobs
        Processes; None: as many as there are processors. 1 is this process alone. With more than one, a script that
        calls this needs ``if __name__ == "__main__":``, as all that start processes do.
    executor
        Makes a ``concurrent.futures.Executor`` that is used in their place, and holds two tasks a job at once.
    shard
        ``"i/N"``: every N-th point from the i-th on, counted from 1; merge the stores of all N.
    linked, where, samples
        As in a scenario's ``sweep``: groups of axes that go together, conditions, and ``{"random": 100}`` or
        ``{"latin-hypercube": 100}``. The first two add to what the scenario has, the last replaces it.
    retry_failed
        Whether points are run again that have failed rows in the store.
    on_start
        Called once with how many of this call's points are done already, and how many it has.

    Raises
    ------
    ScenarioError
        There is nothing to vary, or an axis is no key of a scenario. What is wrong with one point is told in its row.
    LimitError
        There are more points than `max_points`.
    InputError
        The store can't be used, or holds another sweep.
    ExecutorError
        The executor runs nothing.
    """
    if not isinstance(scenario, Scenario):
        scenario = load_scenario(scenario)
    asked = merged_sweep(scenario, axes or {}, linked, where, samples)
    base = vary(scenario, {"sweep": Node(None)})
    points = points_of(base, asked, max_points)
    positions = Shard.parsed(shard).positions(len(points.points))
    with _opened(store, base, asked, points) as rows:
        done = rows.positions(without_failed=retry_failed)
        left = [(position, points.points[position]) for position in positions if position not in done]
        if on_start is not None:
            on_start(len(positions) - len(left), len(positions))
        with closing(_rows(Base(base, limits), left, jobs, executor)) as coming:
            _collect(coming, rows, on_row)
        return stored(rows)


def stored(rows: RowStore) -> SweepResult:
    """Return the sweep in a store, as far as it is done."""
    return SweepResult(rows.axes, tuple(row for _, row in rows.rows()))


def merged_sweep(
    scenario: Scenario,
    axes: Mapping[str, Any],
    linked: Sequence[Sequence[str]] = (),
    where: Sequence[str] = (),
    samples: Mapping[str, int] | None = None,
) -> Sweep:
    """Return the sweep of a scenario with more of its parts given, checked.

    Raises
    ------
    ScenarioError
        All mistakes.
    """
    own = scenario.sweep or Sweep()
    merged = {**own.axes, **axes}
    if not merged:
        hint = "give the scenario `sweep: {axes: {...}}`, or --axis batch.num_microbatches=4,8"
        raise ScenarioError(Fault("sweep.axes", "there is nothing to vary", hint=hint))
    parts = {
        "axes": {
            axis: dict(values) if isinstance(values, Mapping) else list(values) for axis, values in merged.items()
        },
        "linked": [*own.linked, *linked],
        "where": [*own.where, *where],
        "samples": samples or own.samples,
    }
    found = vary(scenario, {"sweep": node_of(parts, None, ("sweep",))}).sweep
    return found or own


def _opened(store: str | Path | None, base: Scenario, asked: Sweep, points: Points) -> MemoryStore | SweepStore:
    if store is None:
        return MemoryStore(points.axes)
    identity = identity_of(base, asked, points.points)
    return SweepStore.create(Path(store), base.name, identity, points.axes, keys_of(identity, points.points))


def _rows(
    base: Base, points: Sequence[Point], jobs: int | None, executor: Factory | None
) -> Generator[list[PlacedRow], None, None]:
    """Yield the rows of points as they are done, by whatever runs them."""
    num_jobs = num_processors() if jobs is None else jobs
    if executor is not None:
        yield from dispatched(base, points, partial(brought, executor), num_jobs)
    elif min(num_jobs, len(points)) > 1:
        num_processes = min(num_jobs, len(points))
        yield from dispatched(base, points, partial(processes, num_processes), num_processes)
    else:
        for position, values in points:
            yield [(position, run_point(base, values))]


def _collect(coming: Iterator[list[PlacedRow]], store: RowStore, on_row: Callable[[SweepRow], None] | None) -> None:
    """Write rows as they come, those of a moment at once: a disk takes as long for one as for many."""
    pending: list[PlacedRow] = []
    started_s, num_writes = time.monotonic(), 0
    try:
        for rows in coming:
            pending += rows
            if on_row is not None:
                for _, row in rows:
                    on_row(row)
            if time.monotonic() - started_s > num_writes * _SECONDS_BETWEEN_WRITES:
                store.add(pending)
                pending, num_writes = [], num_writes + 1
    finally:
        store.add(pending)
