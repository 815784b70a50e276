"""Leaf-spine: nodes on a scale-up switch each, joined by NICs, leaf switches and spine switches.

Inside a node a message crosses the scale-up switch only. Between nodes it takes GPU, NIC, leaf, (spine, leaf,) NIC,
GPU; under one leaf it never climbs to a spine.

Wires are numbered kind after kind (`LeafSpineWires`); wire w is link 2w upwards and link 2w + 1 downwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from clustersim.scenario.fabrics import LeafSpine, LinkSpec
from clustersim.topology.cluster import Cluster, Link, both_ways, gpu_attributes

# A GPU reaches its NIC over PCIe that is built to be at least as fast as the NIC, and a NIC's latency is quoted from
# GPU memory: what limits and delays a message is the NIC's own wire, so this one is ideal.
_PCIE = LinkSpec()


@dataclass(frozen=True, slots=True)
class LeafSpineWires:
    """Numbers of the wires: a closed form, so that no route is ever searched for."""

    num_gpus: int
    gpus_per_node: int
    nics_per_node: int
    nodes_per_leaf: int
    num_nics: int
    num_spines: int

    def nic_of(self, gpu: int) -> int:
        """Return the NIC that a GPU sends and receives through.

        Examples
        --------
        >>> wires = LeafSpineWires(16, 8, 2, nodes_per_leaf=1, num_nics=4, num_spines=2)
        >>> [wires.nic_of(gpu) for gpu in (0, 3, 4, 7, 8)]
        [0, 0, 1, 1, 2]
        """
        node, local = divmod(gpu, self.gpus_per_node)
        return node * self.nics_per_node + local * self.nics_per_node // self.gpus_per_node

    def leaf_of(self, nic: int) -> int:
        """Return the leaf switch above a NIC's node."""
        return nic // self.nics_per_node // self.nodes_per_leaf

    def gpu_switch(self, gpu: int) -> int:
        """Return the wire between a GPU and its node's scale-up switch."""
        return gpu

    def gpu_nic(self, gpu: int) -> int:
        """Return the wire between a GPU and its NIC."""
        return self.num_gpus + gpu

    def nic_leaf(self, nic: int) -> int:
        """Return the wire between a NIC and its leaf switch."""
        return 2 * self.num_gpus + nic

    def leaf_spine(self, leaf: int, spine: int) -> int:
        """Return the wire between a leaf switch and a spine switch."""
        return 2 * self.num_gpus + self.num_nics + leaf * self.num_spines + spine

    def __call__(self, source: int, destination: int) -> tuple[int, ...]:
        """Return the links from one GPU to another.

        The spine is the destination's NIC number modulo the number of spines (d-mod-k): all that goes to one NIC meets
        in one spine, and NICs of one leaf spread over all of them.

        References
        ----------
        E. Zahavi, "Fat-tree routing and node ordering providing contention free traffic for MPI global collectives",
        Journal of Parallel and Distributed Computing 72(11), 2012, section 3.
        """
        if source // self.gpus_per_node == destination // self.gpus_per_node:
            return (2 * self.gpu_switch(source), 2 * self.gpu_switch(destination) + 1)
        source_nic, destination_nic = self.nic_of(source), self.nic_of(destination)
        up = [self.gpu_nic(source), self.nic_leaf(source_nic)]
        down = [self.nic_leaf(destination_nic), self.gpu_nic(destination)]
        source_leaf, destination_leaf = self.leaf_of(source_nic), self.leaf_of(destination_nic)
        if source_leaf != destination_leaf:
            spine = destination_nic % self.num_spines
            up.append(self.leaf_spine(source_leaf, spine))
            down.insert(0, self.leaf_spine(destination_leaf, spine))
        return tuple(2 * wire for wire in up) + tuple(2 * wire + 1 for wire in down)


def uplink(spec: LeafSpine) -> LinkSpec:
    """Return the link between a leaf and a spine: a leaf's NIC bandwidth / (spines * oversubscription)."""
    if spec.nic.bandwidth is None:
        return spec.nic
    total_bytes_per_s = spec.nic.bandwidth * spec.leaf_nodes * spec.nics_per_node
    bandwidth = total_bytes_per_s / (spec.num_spines * spec.exact_oversubscription)
    return spec.nic.model_copy(update={"bandwidth": bandwidth})


def leaf_spine(spec: LeafSpine) -> Cluster:
    """Return the cluster of `spec`."""
    wires = LeafSpineWires(
        spec.num_gpus,
        spec.gpus_per_node,
        spec.nics_per_node,
        spec.leaf_nodes,
        num_nics=spec.nodes * spec.nics_per_node,
        num_spines=spec.num_spines,
    )
    gpus = tuple(f"gpu{gpu}" for gpu in range(spec.num_gpus))
    return Cluster(spec.fabric, _nodes(spec), gpus, tuple(_links(spec, wires)), wires)


def _nodes(spec: LeafSpine) -> dict[str, dict[str, object]]:
    """Return the attributes of every node: GPUs first, then tier by tier."""
    nodes: dict[str, dict[str, object]] = {}
    for node in range(spec.nodes):
        first = node * spec.gpus_per_node
        names = (f"gpu{gpu}" for gpu in range(first, first + spec.gpus_per_node))
        nodes |= dict.fromkeys(names, gpu_attributes(spec.device, host=f"node{node}"))
    tiers = {
        "switch": [f"node{node}/switch" for node in range(spec.nodes)],
        "nic": [_nic_name(spec, nic) for nic in range(spec.nodes * spec.nics_per_node)],
        "leaf": [f"leaf{leaf}" for leaf in range(spec.num_leaves)],
        "spine": [f"spine{spine}" for spine in range(spec.num_spines)],
    }
    for kind, names_of_kind in tiers.items():
        attributes: dict[str, object] = {"kind": kind}
        nodes |= dict.fromkeys(names_of_kind, attributes)
    return nodes


def _links(spec: LeafSpine, wires: LeafSpineWires) -> Iterator[Link]:
    """Yield the links in the order in which `LeafSpineWires` numbers the wires, upwards then downwards."""
    for gpu in range(spec.num_gpus):
        yield from both_ways(f"gpu{gpu}", f"node{gpu // spec.gpus_per_node}/switch", spec.scaleup)
    for gpu in range(spec.num_gpus):
        yield from both_ways(f"gpu{gpu}", _nic_name(spec, wires.nic_of(gpu)), _PCIE)
    for nic in range(wires.num_nics):
        yield from both_ways(_nic_name(spec, nic), f"leaf{wires.leaf_of(nic)}", spec.nic)
    if spec.num_spines == 0:
        return
    to_spine = uplink(spec)
    for leaf in range(spec.num_leaves):
        for spine in range(spec.num_spines):
            yield from both_ways(f"leaf{leaf}", f"spine{spine}", to_spine)


def _nic_name(spec: LeafSpine, nic: int) -> str:
    node, local = divmod(nic, spec.nics_per_node)
    return f"node{node}/nic{local}"
