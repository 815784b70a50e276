"""Ring: each GPU is linked to its two neighbours and forwards for the others."""

from __future__ import annotations

from functools import partial

from clustersim.scenario.fabrics import Ring
from clustersim.topology.cluster import Cluster, gpu_attributes, one_way


def ring_route(num_gpus: int, source: int, destination: int) -> tuple[int, ...]:
    """Return the links of the shorter way round, clockwise (to higher numbers) where both are as long.

    Link i leaves GPU i clockwise, link num_gpus + i counter-clockwise.

    Examples
    --------
    >>> ring_route(4, 3, 1), ring_route(4, 3, 2)
    ((3, 0), (7,))
    """
    clockwise = (destination - source) % num_gpus
    if 2 * clockwise <= num_gpus:
        return tuple((source + hop) % num_gpus for hop in range(clockwise))
    return tuple(num_gpus + (source - hop) % num_gpus for hop in range(num_gpus - clockwise))


def ring(spec: Ring) -> Cluster:
    """Return the cluster of `spec`; two GPUs share one wire, one GPU has none."""
    gpus = tuple(f"gpu{gpu}" for gpu in range(spec.gpus))
    clockwise = tuple(one_way(gpu, gpus[(i + 1) % spec.gpus], spec.link) for i, gpu in enumerate(gpus))
    counter_clockwise = tuple(one_way(gpu, gpus[i - 1], spec.link) for i, gpu in enumerate(gpus))
    # Between two GPUs both ways round are the same wire, and a GPU has no link to itself.
    links = {1: (), 2: clockwise}.get(spec.gpus, clockwise + counter_clockwise)
    nodes = dict.fromkeys(gpus, gpu_attributes(spec.device))
    return Cluster(spec.fabric, nodes, gpus, links, partial(ring_route, spec.gpus))
