"""Many runs of one scenario, with other durations of its ops each time."""

from __future__ import annotations

from clustersim.engine.clock import Timeline
from clustersim.engine.compiled import StaticRuns, static_runs_of
from clustersim.engine.network import Network
from clustersim.engine.run_ahead import what_needs_time_order
from clustersim.errors import Fault, ScenarioError
from clustersim.scenario.spec import Scenario
from clustersim.topology.table import build_cluster
from clustersim.workload.job import build_job


def static_runs(scenario: Scenario) -> StaticRuns:
    """Return the first replica of a scenario as something to be run many times, with other durations of its ops.

    Raises
    ------
    ScenarioError
        Something in it depends on the order of times: its runs can't be evaluated without events.

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.scenario.load import load_scenario
    >>> runs = static_runs(load_scenario("gpipe-4x16"))
    >>> twice = 2 * runs.durations_ps
    >>> (runs.makespans_ps(np.stack([runs.durations_ps, twice])) // 10**9).tolist()
    [570, 1140]
    """
    cluster = build_cluster(scenario.cluster.topology)
    job = build_job(scenario, cluster)
    network = Network(Timeline(), cluster, job)
    if reason := what_needs_time_order(job, network):
        what = f"{reason}, so that its runs depend on the order of times"
        raise ScenarioError(Fault("runtime", what, hint="simulate them one by one"))
    return static_runs_of(job, network)
