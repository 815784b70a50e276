"""Fat tree: nodes on a k-ary tree of switches; the NICs of a node are neighbours on a leaf switch."""

from __future__ import annotations

from clustersim.scenario.fabrics import FatTree, LeafSpine
from clustersim.topology.cluster import Cluster
from clustersim.topology.hosts import hosts_of_nodes
from clustersim.topology.switch_tree import TreeRoutes, tree_nodes, tree_wires
from clustersim.topology.wires import WireLinks


def fat_tree(spec: FatTree) -> Cluster:
    """Return the cluster of `spec`."""
    return tree_cluster(spec)


def tree_cluster(spec: FatTree | LeafSpine) -> Cluster:
    """Return a cluster whose NIC i is on port i of a tree of switches."""
    hosts, shape, by_hash = hosts_of_nodes(spec), spec.shape, spec.routing == "ecmp"
    gpus = tuple(f"gpu{gpu}" for gpu in range(spec.num_gpus))
    links = WireLinks((*hosts.wires(lambda nic: f"leaf{nic // shape.ports_per_leaf}"), *tree_wires(shape, spec.nic)))
    routes = hosts.routes(TreeRoutes(shape, hosts.first_network_wire, by_hash), hashes=by_hash)
    return Cluster(spec.fabric, hosts.nodes() | tree_nodes(shape), gpus, links, routes)
