"""The best way to train a model: every legal layout on every candidate cluster, proven without simulating all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any, get_args

from clustersim.analysis.mean_times import MeanTimes
from clustersim.economics import Rates, rates_of, spending
from clustersim.errors import Fault, ScenarioError
from clustersim.planning.assumptions import spending_words
from clustersim.planning.layout_search import Counts, Found, Search
from clustersim.planning.layout_work import workers_for
from clustersim.planning.layouts import Layout
from clustersim.planning.plan_job import Job, jobs_of
from clustersim.planning.plan_limits import Violation, violations_of
from clustersim.planning.validation_error import class_error_of, error_text
from clustersim.scenario.plan import Objective
from clustersim.scenario.spec import Scenario

PLAN_SCHEMA = "clustersim/plan/1"
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


@dataclass(frozen=True, slots=True)
class Option:
    """The fastest layout on one cluster and number of GPUs, or another one that is worth telling."""

    cluster: str  # name of its topology
    layout: Layout
    scenario: Mapping[str, Any]  # that runs it, as a file has it
    step_time_s: float
    gpus: int
    peak_bytes: int
    capacity_bytes: int | None
    cost_usd: float | None  # of a step
    energy_j: float | None  # of a step
    training_s: float | None  # of all steps of the token budget, if there is one
    explained: MeanTimes | None = None
    is_proven: bool = True  # no other layout there is faster
    violations: tuple[Violation, ...] = ()

    def value(self, objective: Objective) -> tuple[float, ...]:
        """Return what is compared: the smallest is the best."""
        gpu_s = self.gpus * self.step_time_s
        first = {
            "step-time": self.step_time_s,
            "cost": gpu_s if self.cost_usd is None else self.cost_usd,
            "energy": gpu_s if self.energy_j is None else self.energy_j,
            "gpus": self.gpus,
        }[objective]
        return first, self.step_time_s, self.gpus, self.peak_bytes

    def axes(self) -> tuple[float, ...]:
        """Return what the front weighs against one another; see :func:`pareto_front`."""
        return tuple(self.value(objective)[0] for objective in OBJECTIVES)

    def to_dict(self) -> dict[str, Any]:
        """Return the option as ``plan --json`` has it."""
        names = ("step_time_s", "gpus", "peak_bytes", "cost_usd", "energy_j", "training_s", "cluster", "capacity_bytes")
        explained = None if self.explained is None else self.explained._asdict()
        more = {"layout": self.layout._asdict(), "is_proven": self.is_proven, "explained": explained}
        return {"scenario": dict(self.scenario)} | {name: getattr(self, name) for name in names} | more


@dataclass(frozen=True, slots=True)
class Plan:
    """The best layout, what it is the best of, and how that is known."""

    name: str
    objective: Objective
    winner: Option
    runner_up: Option | None  # the fastest of another shape on the winner's GPUs
    pareto: tuple[Option, ...]
    near: tuple[Option, ...]  # the next few shapes on the winner's GPUs, by their bounds
    counts: Counts
    unmet: str  # what limit can't be met, and by how much the winner misses it; empty if all are met
    assumptions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``plan --json``."""
        counts = self.counts
        return {
            "schema": PLAN_SCHEMA,
            "name": self.name,
            "objective": self.objective,
            "winner": self.winner.to_dict(),
            "runner_up": None if self.runner_up is None else self.runner_up.to_dict(),
            "pareto": [option.to_dict() for option in self.pareto],
            "near": [option.to_dict() for option in self.near],
            "legal": counts.legal,
            "evaluated": counts.evaluated,
            "pruned": counts.pruned,
            "pruned_by": {"memory": counts.too_large, "bound": counts.outrun},
            "simulated": {"alone": counts.alone, "whole": counts.simulated},
            "unmet": self.unmet,
            "assumptions": list(self.assumptions),
        }


def plan(
    scenario: Scenario | str | Path,
    objective: Objective | None = None,
    overrides: Sequence[str] = (),
    num_jobs: int | None = None,
) -> Plan:
    """Return the best layout of a job, in which whatever the scenario does not say is searched.

    Parameters
    ----------
    scenario
        A loaded Scenario, the path of a file, or a name from the gallery. Its ``plan`` section has limits, candidate
        clusters and values to choose from.
    objective
        "step-time", "cost", "energy" or "gpus"; None: the scenario's, or else step-time.
    overrides
        Values to replace in a file, such as ``parallelism.tp=8``.
    num_jobs
        Processes; None: one a core.

    Raises
    ------
    ScenarioError
        The scenario has mistakes, or no layout of it is legal.

    Notes
    -----
    A limit that can't be met is no error: the plan is then the nearest one that can, and ``unmet`` says so.
    """
    jobs = jobs_of(scenario, overrides, objective)
    asked = jobs[0].spec.objective if objective is None else objective
    if asked not in OBJECTIVES:
        what = f"got {asked!r}; a plan is the best by one of {', '.join(OBJECTIVES)}"
        raise ScenarioError(Fault("plan.objective", what))
    processes = num_jobs or os.cpu_count() or 1
    searched = [_searched(job, processes, find_leanest=len(jobs) == 1) for job in jobs]
    if len(jobs) > 1 and not any(one.best for one in searched):
        searched = [_searched(job, processes, find_leanest=True) for job in jobs]
    options = [one for one in searched if one.best]
    counts = reduce(Counts.plus, (one.counts for one in searched))
    if not options:
        raise ScenarioError(Fault("parallelism", _nothing_legal(jobs), hint="free some of the choices that are fixed"))
    return _decided(jobs, options, counts, asked)


@dataclass(frozen=True, slots=True)
class _Searched:
    """What the search on one cluster and number of GPUs found."""

    job: Job
    counts: Counts
    best: Option | None
    runner_up: Option | None = None
    near: tuple[Option, ...] = ()
    rates: Rates | None = None
    warnings: tuple[str, ...] = ()


_NUM_NEAR = 5


def _searched(job: Job, num_jobs: int, find_leanest: bool = False) -> _Searched:
    """Return the fastest layout on the GPUs of a job, or the leanest if none fits and that is asked for."""
    setting = job.setting()
    if setting is None:
        return _Searched(job, Counts(), None)
    with workers_for(setting, num_jobs) as workers:
        job.require_one_device(workers.own.alone.cluster)
        found = Search(job.space, workers, setting.capacity_bytes, find_leanest).run()
        if not found.best and found.leanest is None:
            return _Searched(job, found.counts, None)
        best = found.best[0] if found.best else workers.own.simulated(found.leanest[1])  # type: ignore[index]
        others = _other_shapes(found, best.layout)
        layouts = [best.layout, *others[:1]]
        explained = dict(zip(layouts, workers.call("explained", [(layout,) for layout in layouts]), strict=True))
    rates = rates_of(setting.scenario)
    option = _option(job, best.layout, best.step_time_s, best.peak_bytes, rates)
    option = replace(option, explained=explained[best.layout])
    near = [
        replace(
            _option(job, one.layout, one.step_ps / 10**12, one.peak_bytes, rates),
            is_proven=False,
            explained=explained.get(one.layout),
        )
        for one in found.candidates
        if one.layout in others
    ]
    runner_up = replace(near[0], step_time_s=near[0].explained.step_time_s) if near and near[0].explained else None
    return _Searched(job, found.counts, option, runner_up, tuple(near), rates, best.warnings)


def _other_shapes(found: Found, best: Layout) -> list[Layout]:
    """Return the next few layouts of other shapes, the fastest of each: recomputation and ZeRO make no other one."""
    shapes, others = {best[:8]}, list[Layout]()
    for candidate in found.candidates:
        if candidate.layout[:8] not in shapes:
            shapes.add(candidate.layout[:8])
            others.append(candidate.layout)
        if len(others) == _NUM_NEAR:
            break
    return others


def _option(job: Job, layout: Layout, step_time_s: float, peak_bytes: int, rates: Rates) -> Option:
    spent = spending(rates, step_time_s)
    option = Option(
        job.cluster_name,
        layout,
        job.file_of(layout),
        step_time_s,
        layout.num_gpus,
        peak_bytes,
        job.capacity_bytes,
        spent.cost_usd,
        spent.energy_j,
        None if job.num_steps is None else job.num_steps * step_time_s,
    )
    return replace(option, violations=tuple(violations_of(option, job.spec.limits, job.num_steps)))


def _decided(jobs: Sequence[Job], searched: Sequence[_Searched], counts: Counts, objective: Objective) -> Plan:
    """Return the plan: the best of those that keep to all limits, or the nearest to them."""
    options = [one.best for one in searched if one.best]
    keeping = [option for option in options if not option.violations]
    if keeping:
        winner, unmet = min(keeping, key=lambda option: option.value(objective)), ""
    else:
        winner = min(options, key=lambda option: (max(v.excess for v in option.violations), option.value(objective)))
        unmet = "no layout keeps to " + "; ".join(violation.text for violation in winner.violations)
    own = next(one for one in searched if one.best is winner)
    assumptions = tuple(dict.fromkeys(_assumptions(jobs, own, winner)))
    front = pareto_front(keeping or [winner])
    return Plan(own.job.name, objective, winner, own.runner_up, front, own.near, counts, unmet, assumptions)


def pareto_front(options: Sequence[Option]) -> tuple[Option, ...]:
    """Return the options that no other one is at least as good as: in step time, cost, energy and GPUs.

    On one cluster and number of GPUs cost and energy go with the step time, so that its fastest layout is all of the
    front there.
    """
    ranked = sorted(options, key=lambda option: (option.value("step-time"), option.layout))
    front: list[Option] = []
    for option in ranked:
        axes = option.axes()
        if not any(all(a <= b for a, b in zip(other.axes(), axes, strict=True)) for other in front):
            front.append(option)
    return tuple(front)


def _nothing_legal(jobs: Sequence[Job]) -> str:
    tried = " and ".join(f"{job.num_gpus} GPUs of {job.cluster_name}" for job in jobs)
    return f"no layout of {tried} is legal with the choices that the scenario makes"


def _assumptions(jobs: Sequence[Job], own: _Searched, winner: Option) -> Iterator[str]:
    job = own.job
    yield error_text(class_error_of(job.scenario))
    yield from job.assumptions()
    if own.rates:
        yield from spending_words(own.rates)
    if winner.cost_usd is None:
        yield "no price of these GPUs is known: layouts are compared by GPU-hours where cost is asked for"
    if any(other is not job for other in jobs):
        yield "GPUs of different kinds count alike where neither prices nor power are known"
    yield from own.warnings
