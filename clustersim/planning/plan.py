"""The best way to train a model: every legal layout on every candidate cluster, proven without simulating all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

from clustersim.economics import Rates, rates_of, spending
from clustersim.errors import Fault, ScenarioError
from clustersim.planning.assumptions import spending_words
from clustersim.planning.layout_search import Candidate, Counts, Search
from clustersim.planning.layout_work import Simulated, workers_for
from clustersim.planning.layouts import Layout, LayoutShape
from clustersim.planning.plan_job import Job, jobs_of
from clustersim.planning.plan_limits import violations_of
from clustersim.planning.plan_option import OBJECTIVES, Option, Yardstick
from clustersim.planning.plan_ways import ways_out
from clustersim.planning.validation_error import class_error_of, error_text
from clustersim.scenario.plan import Objective
from clustersim.scenario.spec import Scenario
from clustersim.scenario.units import PS_PER_S

PLAN_SCHEMA = "clustersim/plan/1"


@dataclass(frozen=True, slots=True)
class Plan:
    """The best layout, what it is the best of, and how that is known."""

    name: str
    objective: Objective
    compared_by: str  # what the objective is measured by, in words
    winner: Option
    runner_up: Option | None  # the fastest of all other shapes on the winner's GPUs
    pareto: tuple[Option, ...]  # of the options that keep to all limits
    options: tuple[Option, ...]  # the fastest on each cluster and number of GPUs that has any
    near: tuple[Option, ...]  # the runner-up, and a few more shapes on the winner's GPUs that were looked at
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
            "compared_by": self.compared_by,
            "winner": self.winner.to_dict(),
            "runner_up": None if self.runner_up is None else self.runner_up.to_dict(),
            "pareto": [option.to_dict() for option in self.pareto],
            "options": [option.to_dict() | {"on_front": option in self.pareto} for option in self.options],
            "near": [option.to_dict() for option in self.near],
            "legal": counts.legal,
            "evaluated": counts.evaluated,
            "pruned": counts.pruned,
            "pruned_by": {"memory": counts.too_large, "bound": counts.outrun},
            "simulated": {"alone": counts.alone, "whole": counts.simulated},
            "refused": {"layouts": counts.refused, "first": counts.refusal},
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
    searched = [_searched(job, processes) for job in jobs]
    if not any(one.best for one in searched):
        raise ScenarioError(_nothing_found(searched))
    return _decided(searched, asked)


@dataclass(frozen=True, slots=True)
class _Searched:
    """What the search on one cluster and number of GPUs found."""

    job: Job
    counts: Counts
    best: Option | None = None
    runner_up: Option | None = None
    near: tuple[Option, ...] = ()
    rates: Rates | None = None
    warnings: tuple[str, ...] = ()


_NUM_NEAR = 5


def _searched(job: Job, num_jobs: int) -> _Searched:
    """Return the fastest layout on the GPUs of a job, or the leanest if none fits."""
    setting = job.setting()
    if setting is None:
        return _Searched(job, Counts())
    with workers_for(setting, num_jobs) as workers:
        job.require_one_device(workers.own.alone.cluster)
        found = Search(job.space, workers, setting.capacity_bytes).run()
        if not found.best and found.leanest is None:
            return _Searched(job, found.counts)
        best = found.best[0] if found.best else workers.own.simulated(found.leanest[1])  # type: ignore[index]
    rates = rates_of(setting.scenario)
    near = [_simulated_option(job, one, rates) for one in found.others[:1]]
    runner_up = near[0] if near else None
    told = {option.layout.shape for option in near} | {best.layout.shape}
    near += [_bounded_option(job, one, rates) for one in _other_shapes(found.candidates, told, _NUM_NEAR - len(near))]
    option = _simulated_option(job, best, rates)
    return _Searched(job, found.counts, option, runner_up, tuple(near), rates, best.warnings)


def _other_shapes(candidates: Sequence[Candidate], told: set[LayoutShape], num_more: int) -> Iterator[Candidate]:
    """Yield the next few layouts of other shapes that were looked at, the first of each."""
    told = set(told)
    for candidate in candidates:
        if num_more and candidate.layout.shape not in told:
            told.add(candidate.layout.shape)
            num_more -= 1
            yield candidate


def _simulated_option(job: Job, one: Simulated, rates: Rates) -> Option:
    return replace(_option(job, one.layout, one.makespan_ps, one.peak_bytes, rates), explained=one.explained)


def _bounded_option(job: Job, one: Candidate, rates: Rates) -> Option:
    return replace(_option(job, one.layout, one.step_ps, one.peak_bytes, rates), is_proven=False)


def _option(job: Job, layout: Layout, step_ps: int, peak_bytes: int, rates: Rates) -> Option:
    step_time_s, error = step_ps / PS_PER_S, class_error_of(job.scenario)
    spent = spending(rates, step_time_s)
    option = Option(
        job.cluster_name,
        layout,
        job.file_of(layout),
        step_time_s,
        None if error is None else error.interval_s(step_time_s),
        layout.num_gpus,
        peak_bytes,
        job.capacity_bytes,
        spent.cost_usd,
        spent.energy_j,
        job.num_steps,
    )
    return replace(option, violations=tuple(violations_of(option, job.spec.limits, rates)))


def _decided(searched: Sequence[_Searched], objective: Objective) -> Plan:
    """Return the plan: the best of those that keep to all limits, or the nearest to them."""
    options = [one.best for one in searched if one.best]
    yardstick = Yardstick.of(options)
    keeping = [option for option in options if not option.violations]
    if keeping:
        winner, unmet = min(keeping, key=lambda option: yardstick.value(option, objective)), ""
    else:
        winner = min(
            options, key=lambda option: (max(v.excess for v in option.violations), yardstick.value(option, objective))
        )
        unmet = f"no layout on {_looked_at(searched)} keeps to " + "; ".join(
            violation.text for violation in winner.violations
        )
    own = next(one for one in searched if one.best is winner)
    return Plan(
        own.job.name,
        objective,
        yardstick.words(objective),
        winner,
        own.runner_up,
        yardstick.front(keeping or [winner]),
        tuple(options),
        own.near,
        reduce(Counts.plus, (one.counts for one in searched)),
        unmet,
        tuple(dict.fromkeys(_assumptions(searched, own, yardstick))),
    )


def _nothing_found(searched: Sequence[_Searched]) -> Fault:
    """Return why there is no layout: none is legal, or none that is could be run."""
    tried = " and ".join(f"{one.job.num_gpus} GPUs of {one.job.cluster_name}" for one in searched)
    refusal = next((one.counts.refusal for one in searched if one.counts.refused), None)
    if refusal is not None:
        return Fault("parallelism", f"no layout of {tried} could be simulated, the first as: {refusal}")
    return Fault("parallelism", f"no layout of {tried} is legal", hint=ways_out(searched[0].job.space))


def _assumptions(searched: Sequence[_Searched], own: _Searched, yardstick: Yardstick) -> Iterator[str]:
    job = own.job
    yield error_text(class_error_of(job.scenario))
    yield f"looked at: {_looked_at(searched)}"
    yield from job.assumptions()
    if own.rates:
        yield from spending_words(own.rates)
    kinds = "; GPUs of different kinds count alike there" if len({one.job.cluster_name for one in searched}) > 1 else ""
    if not yardstick.is_priced:
        yield f"no price is known of some of these GPUs: all are compared by GPU-time where cost is asked for{kinds}"
    if not yardstick.is_powered:
        yield f"the power of some of these GPUs is not known: all are compared by GPU-time instead of energy{kinds}"
    yield from own.warnings


def _looked_at(searched: Sequence[_Searched]) -> str:
    """Return the numbers of GPUs that were searched, by cluster."""
    by_cluster: dict[str, list[str]] = {}
    for one in searched:
        none = "" if one.best else " (no layout could be simulated)" if one.counts.refused else " (no layout is legal)"
        by_cluster.setdefault(one.job.cluster_name, []).append(f"{one.job.num_gpus}{none}")
    return "; ".join(f"{', '.join(numbers)} GPUs of {name}" for name, numbers in by_cluster.items())
