"""Peaks of memory read off programs, without running them: a rank's ops have their order, whatever they take."""

from __future__ import annotations

from collections.abc import Mapping

from clustersim.ops import Plugin, Program
from clustersim.scenario.spec import Scenario
from clustersim.topology.cluster import Cluster
from clustersim.workload.job import lowered_replicas
from clustersim.workload.overhead import fragmentation_of


def program_peaks(scenario: Scenario, cluster: Cluster, plugins: Mapping[str, Plugin] | None = None) -> tuple[int, ...]:
    """Return the peak of each pp_rank of the scenario's job, the largest over its replicas. [bytes]

    It is what a run gives, where no policy orders the ops while they run.

    Raises
    ------
    ScenarioError
        As `build_job` does.
    """
    fragmentation = fragmentation_of(scenario)
    peaks = [0] * scenario.parallelism.pp
    for replica in lowered_replicas(scenario, cluster, plugins):
        for pp_rank, (program, held) in enumerate(zip(replica.pipeline.programs, replica.static_bytes, strict=True)):
            allocated = sum(held) - held.framework_bytes + _activations_peak(program)
            reserved = -(-allocated * fragmentation.numerator // fragmentation.denominator)
            peaks[pp_rank] = max(peaks[pp_rank], allocated + reserved + held.framework_bytes)
    return tuple(peaks)


def _activations_peak(program: Program) -> int:
    live = peak = 0
    for taken, changed in zip(program.start_bytes, program.end_bytes, strict=True):
        live += taken
        peak = max(peak, live)
        live += changed
    return peak
