"""How much memory the ranks of a job have, before anything is run."""

from __future__ import annotations

from clustersim.scenario.devices import load_device
from clustersim.scenario.spec import Scenario
from clustersim.topology.rank_layout import RankLayout
from clustersim.topology.table import build_cluster
from clustersim.workload.job import gpus_of_ranks


def capacities_by_rank(scenario: Scenario) -> tuple[int | None, ...]:
    """Return the memory of the smallest GPU of each pp_rank, None where one has no device. [bytes]

    Examples
    --------
    >>> from clustersim.scenario.load import load_scenario
    >>> [size // 2**30 for size in capacities_by_rank(load_scenario("llama-3.1-8b-64gpus"))]
    [80]
    """
    cluster, sizes = build_cluster(scenario.cluster.topology), scenario.parallelism
    layout, device_by_gpu = RankLayout(sizes.tp, sizes.cp, sizes.dp, sizes.pp, sizes.order), cluster.devices
    devices: list[dict[str | None, None]] = [{} for _ in range(sizes.pp)]
    for rank, gpu in enumerate(gpus_of_ranks(scenario, layout.num_ranks, cluster)):
        devices[layout.coordinates(rank).pp][device_by_gpu[gpu]] = None
    return tuple(None if None in names else min(load_device(str(name)).memory for name in names) for names in devices)
