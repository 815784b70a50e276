"""Single node: GPUs on one switch, each with its own link up and down, or wired directly."""

from __future__ import annotations

from clustersim.scenario.fabrics import LinkSpec, SingleNode
from clustersim.topology.cluster import Cluster, Link, both_ways, gpu_attributes
from clustersim.topology.layouts import LAYOUTS, part_attributes
from clustersim.topology.wires import part_of


def single_node(spec: SingleNode) -> Cluster:
    """Return the cluster of `spec`."""
    gpus = tuple(f"gpu{gpu}" for gpu in range(spec.gpus))
    inside = LAYOUTS[spec.layout](spec.gpus)
    parts = {part: part_attributes(part) for part in inside.parts}
    nodes = dict.fromkeys(gpus, gpu_attributes(spec.device, host="node0")) | parts
    links: list[Link] = []
    for wire in inside.wires:
        lower, upper = (end if isinstance(end, str) else gpus[end] for end in (wire.lower, wire.upper))
        between_sockets = spec.socket_link or LinkSpec()
        links += both_ways(lower, upper, part_of(spec.scaleup, wire.parts, wire.of) if wire.of else between_sockets)
    return Cluster(spec.fabric, nodes, gpus, tuple(links), inside.route)
