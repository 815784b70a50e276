"""What if a resource were better: the same job, order and algorithms run again with changed costs.

The critical path promises a step time (:mod:`clustersim.analysis.sensitivity`); the run with changed costs says what it
really is. Where the two differ another path has become critical. The factor at which it does is then looked for where
the lines of the two paths meet, run by run, until one is found at which the promise holds.

Notes
-----
Changed costs are rounded up to the picosecond, each for itself: the promise counts as kept if it is off by no more than
a picosecond for each segment of the path. Over the time of one resource the makespan is convex as long as no flows
share links; then a promise that holds at one factor holds at all smaller ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

from clustersim.analysis.critical_path import critical_path
from clustersim.analysis.sensitivity import COMPUTE, LATENCY, SCALE_UP, promised_ps, resource_times_ps
from clustersim.engine.run import run
from clustersim.limits import Limits
from clustersim.ops import CollectivePlan, Group, Job, Pipeline, Plugin, Program
from clustersim.result import Result, WhatIfSummary
from clustersim.scenario.units import PS_PER_S
from clustersim.topology.changed_links import with_changed_links
from clustersim.topology.cluster import Cluster, Link
from clustersim.topology.link_roles import link_roles
from clustersim.topology.table import build_cluster
from clustersim.trace import Trace
from clustersim.workload.job import build_job
from clustersim.workload.opcost import scaled

_MAX_RUNS = 12  # that look for where a promise ends
_FINEST = 10**9  # factors are looked for as fractions with denominators up to this


def what_if(
    result: Result,
    factor_by_resource: Mapping[str, Fraction],
    limits: Limits | None = None,
    plugins: Mapping[str, Plugin] | None = None,
) -> Result:
    """Return `result` with what becomes of its step time if resources, one at a time, were better by a factor.

    Parameters
    ----------
    result
        Of a run of the same version.
    factor_by_resource
        For names of ``analysis.sensitivity.RESOURCES``: by what the speed or the bandwidth is multiplied, or the
        latency divided; above 1.
    limits
        Budgets of each run.
    plugins
        As `simulate` takes them.
    """
    cluster = build_cluster(result.scenario.cluster.topology)
    study = _Study(build_job(result.scenario, cluster, plugins), cluster, result.trace, limits)
    found = [study.answer(resource, factor) for resource, factor in factor_by_resource.items()]
    return replace(result, what_if=(*result.what_if, *found))


@dataclass(frozen=True, slots=True)
class _Line:
    """How long one path takes, by what a resource's time is multiplied: ``at_0_ps + slope_ps * share``."""

    at_0_ps: Fraction
    slope_ps: Fraction
    num_segments: int

    def at(self, share: Fraction) -> Fraction:
        """Return the length of the path. [ps]"""
        return self.at_0_ps + self.slope_ps * share

    def meets(self, other: _Line) -> Fraction:
        """Return the share at which both are as long; 1 where they do not meet between 0 and 1."""
        if self.slope_ps == other.slope_ps:
            return Fraction(1)
        share = (other.at_0_ps - self.at_0_ps) / (self.slope_ps - other.slope_ps)
        return share if 0 < share < 1 else Fraction(1)


def _line(trace: Trace, resource: str, share: Fraction) -> _Line:
    """Return the line of a run's critical path, the resource's time being `share` of what it was."""
    path = critical_path(trace)
    time_ps = Fraction(resource_times_ps(trace, path)[resource])
    return _Line(trace.makespan_ps - time_ps, time_ps / share, len(path))


class _Study:
    """One job on one cluster, run with changed costs."""

    def __init__(self, job: Job, cluster: Cluster, trace: Trace, limits: Limits | None) -> None:
        self.job, self.cluster, self.trace, self.limits = job, cluster, trace, limits

    def answer(self, resource: str, factor: Fraction) -> WhatIfSummary:
        """Return what becomes of the step time, and up to which factor the promise holds."""
        line = _line(self.trace, resource, Fraction(1))
        changed = self._run(resource, 1 / factor)
        return WhatIfSummary(
            resource,
            float(factor),
            _step_s(promised_ps(self.trace.makespan_ps, int(line.slope_ps), factor), self.trace),
            _step_s(changed.makespan_ps, self.trace),
            float(1 / self._exact_from(resource, line, changed, 1 / factor)),
        )

    def _run(self, resource: str, share: Fraction) -> Trace:
        job, cluster = with_costs(self.job, self.cluster, resource, share)
        return run(job, cluster, self.limits)

    def _exact_from(self, resource: str, line: _Line, changed: Trace, share: Fraction) -> Fraction:
        """Return the least share, no less than `share`, at which the promise was found to hold; 1 if there is none."""
        for _ in range(_MAX_RUNS):
            if abs(changed.makespan_ps - line.at(share)) <= line.num_segments:
                return share
            share = line.meets(_line(changed, resource, share)).limit_denominator(_FINEST)
            if share >= 1:
                break
            changed = self._run(resource, share)
        return Fraction(1)


def _step_s(makespan_ps: Fraction | int, trace: Trace) -> float:
    return float(makespan_ps / (PS_PER_S * trace.num_steps))


def with_costs(job: Job, cluster: Cluster, resource: str, share: Fraction) -> tuple[Job, Cluster]:
    """Return a job and a cluster on which what a resource does takes `share` of the time, rounded up.

    Messages and collectives go the same ways, by the same algorithms, whatever would now be better.
    """
    if resource == COMPUTE:
        return replace(job, pipelines=_each_once(job.pipelines, partial(_faster_pipeline, share=share))), cluster
    if resource == LATENCY:
        groups = _sooner_groups(job.groups, share)
        return replace(job, groups=groups), with_changed_links(cluster, partial(_sooner_link, share=share))
    return job, with_changed_links(cluster, partial(_wider_link, cluster, resource == SCALE_UP, share))


def _each_once(pipelines: Sequence[Pipeline], change: partial[Pipeline]) -> tuple[Pipeline, ...]:
    """Return what `change` makes of each; what was one object stays one."""
    changed = {id(pipeline): change(pipeline) for pipeline in {id(p): p for p in pipelines}.values()}
    return tuple(changed[id(pipeline)] for pipeline in pipelines)


def _faster_pipeline(pipeline: Pipeline, share: Fraction) -> Pipeline:
    known: dict[int, Program] = {}
    for program in pipeline.programs:
        if id(program) not in known:
            durations_ps = tuple(scaled(duration, share) for duration in program.durations_ps)
            known[id(program)] = replace(program, durations_ps=durations_ps)
    return replace(pipeline, programs=tuple(known[id(program)] for program in pipeline.programs))


def _sooner_groups(groups: Sequence[Group], share: Fraction) -> tuple[Group, ...]:
    """Return groups whose plans have shorter latencies; a plan that groups share stays one object, as its phases do."""
    known: dict[int, CollectivePlan] = {}
    for group in groups:
        for plan in group.plans.values():
            if id(plan) not in known:
                phases = tuple(replace(phase, latency_ps=scaled(phase.latency_ps, share)) for phase in plan.phases)
                known[id(plan)] = replace(plan, phases=phases)
    return tuple(replace(group, plans={key: known[id(plan)] for key, plan in group.plans.items()}) for group in groups)


def _sooner_link(_number: int, link: Link, share: Fraction) -> Link:
    return replace(link, latency_ps=scaled(link.latency_ps, share), overhead_ps=scaled(link.overhead_ps, share))


def _wider_link(cluster: Cluster, inside: bool, share: Fraction, number: int, link: Link) -> Link:
    """Return a link with more bandwidth if it is one of those inside scale-up domains, or of all others."""
    (role,) = link_roles(cluster, (number,))
    if link.bandwidth_bytes_per_s is None or (role == SCALE_UP) != inside:
        return link
    return replace(link, bandwidth_bytes_per_s=link.bandwidth_bytes_per_s / share)
