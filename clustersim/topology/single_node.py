"""Single node: GPUs on one switch, each with its own link up and down."""

from __future__ import annotations

from clustersim.scenario.fabrics import SingleNode
from clustersim.topology.cluster import Cluster, both_ways, gpu_attributes


def switch_route(source: int, destination: int) -> tuple[int, ...]:
    """Return the sender's link up (2 * GPU) and the receiver's link down (2 * GPU + 1).

    Examples
    --------
    >>> switch_route(0, 3)
    (0, 7)
    """
    return (2 * source, 2 * destination + 1)


def single_node(spec: SingleNode) -> Cluster:
    """Return the cluster of `spec`."""
    gpus = tuple(f"gpu{gpu}" for gpu in range(spec.gpus))
    nodes = dict.fromkeys(gpus, gpu_attributes(spec.device, host="node0")) | {"switch": {"kind": "switch"}}
    links = tuple(link for gpu in gpus for link in both_ways(gpu, "switch", spec.scaleup))
    return Cluster(spec.fabric, nodes, gpus, links, switch_route)
