"""Drawn jobs with other costs: none of them ends before the path that was critical, whatever becomes better or worse.

So the path is made of things that do wait for one another; one that was not would be undercut for some costs.
"""

from __future__ import annotations

from fractions import Fraction

from test_whole_jobs import drawn_scenario

from clustersim.analysis.critical_path import Cause, critical_path
from clustersim.analysis.sensitivity import RESOURCES, resource_times_ps
from clustersim.changed_costs import with_costs
from clustersim.engine.run import run
from clustersim.ops import Job
from clustersim.scenario.load import scenario_from_mapping
from clustersim.topology.cluster import Cluster
from clustersim.topology.table import build_cluster
from clustersim.workload.job import build_job

NUM_SEEDS = 60


def job_of(seed: int) -> tuple[Job, Cluster]:
    scenario = scenario_from_mapping(drawn_scenario(seed))
    cluster = build_cluster(scenario.cluster.topology)
    return build_job(scenario, cluster), cluster


def test_no_run_ends_before_the_path() -> None:
    num_checked = 0
    for seed in range(NUM_SEEDS):
        job, cluster = job_of(seed)
        trace = run(job, cluster)
        path = critical_path(trace)
        if job.policy is not None or (path.cause == Cause.CONTENTION).any():
            continue  # with other costs the order of ops would be another, or who shares with whom
        num_checked += 1
        times_ps = resource_times_ps(trace, path)
        for resource in RESOURCES:
            for share in (Fraction(1, 2), Fraction(3)):
                changed = run(*with_costs(job, cluster, resource, share))
                least_ps = trace.makespan_ps - times_ps[resource] * (1 - share)
                assert changed.makespan_ps >= least_ps - len(path), f"seed {seed}, {resource} x {share}"
    assert num_checked >= 8
