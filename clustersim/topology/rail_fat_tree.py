"""Rail-optimised fat tree: NIC r of each node of a group is on the group's leaf switch of rail r."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.scenario.fabrics import NvlDomain, RailFabric, RailFatTree
from clustersim.topology.cluster import Cluster, Ints
from clustersim.topology.hosts import Hosts, hosts_of_nodes
from clustersim.topology.layouts import LAYOUTS
from clustersim.topology.switch_tree import TreeRoutes, tree_nodes, tree_wires
from clustersim.topology.wires import WireLinks


@dataclass(frozen=True, slots=True)
class RailPorts:
    """Ports of the tree by NIC: the leaf switches of a group follow one another, rail by rail.

    Examples
    --------
    >>> ports = RailPorts(nics_per_node=2, group_nodes=4)
    >>> [ports.port(nic) for nic in (0, 1, 2, 7, 8)]
    [0, 4, 1, 7, 8]
    """

    nics_per_node: int
    group_nodes: int

    def port(self, nic: int) -> int:
        """Return the port that a NIC is on."""
        node, rail = divmod(nic, self.nics_per_node)
        group, place = divmod(node, self.group_nodes)
        return (group * self.nics_per_node + rail) * self.group_nodes + place

    def ports(self, nics: Ints) -> Ints:
        """Return the port of each NIC."""
        node, rail = np.divmod(nics, self.nics_per_node)
        group, place = np.divmod(node, self.group_nodes)
        return np.asarray((group * self.nics_per_node + rail) * self.group_nodes + place)

    def leaf_name(self, nic: int) -> str:
        """Return the name of the leaf switch that a NIC is on."""
        return f"leaf{self.port(nic) // self.group_nodes}"


@dataclass(frozen=True, slots=True)
class RailRoutes:
    """Routes between NICs over the ports that they are on."""

    ports: RailPorts
    tree: TreeRoutes

    def __call__(self, source_nic: int, destination_nic: int, spread: int) -> tuple[int, ...]:
        """Return the links between the leaf switches of two NICs."""
        return self.tree(self.ports.port(source_nic), self.ports.port(destination_nic), spread)

    def many(self, source_nic: Ints, destination_nic: Ints) -> list[Ints]:
        """Return the links of many routes, as `TreeRoutes` does."""
        return self.tree.many(self.ports.ports(source_nic), self.ports.ports(destination_nic))


def rail_fat_tree(spec: RailFatTree) -> Cluster:
    """Return the cluster of `spec`."""
    return rail_cluster(spec, spec.fabric, hosts_of_nodes(spec))


def nvl_domain(spec: NvlDomain) -> Cluster:
    """Return the cluster of `spec`: all GPUs of a domain are on one scale-up switch."""
    inside = LAYOUTS["nvswitch"](spec.gpus_per_domain)
    return rail_cluster(spec, spec.fabric, Hosts(spec, spec.gpus_per_domain, inside, domain_prefix="domain"))


def rail_cluster(spec: RailFabric, name: str, hosts: Hosts) -> Cluster:
    """Return a cluster of `hosts` whose NICs are on a tree of switches, rail by rail."""
    shape, by_hash = spec.shape, spec.routing == "ecmp"
    ports = RailPorts(spec.nics_per_node, spec.group_nodes)
    gpus = tuple(f"gpu{gpu}" for gpu in range(spec.num_gpus))
    links = WireLinks((*hosts.wires(ports.leaf_name), *tree_wires(shape, spec.nic)))
    network = RailRoutes(ports, TreeRoutes(shape, hosts.first_network_wire, by_hash))
    routes = hosts.routes(network, relays=spec.cross_rail == "scaleup", hashes=by_hash)
    return Cluster(name, hosts.nodes(has_rails=True) | tree_nodes(shape), gpus, links, routes)
