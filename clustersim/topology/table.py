"""The fabric families, by the name that ``fabric`` takes in a topology file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from clustersim.scenario.fabrics import Topology
from clustersim.topology.cluster import Cluster
from clustersim.topology.dragonfly import dragonfly
from clustersim.topology.fat_tree import fat_tree
from clustersim.topology.full_mesh import full_mesh
from clustersim.topology.graph_file import graph
from clustersim.topology.leaf_spine import leaf_spine
from clustersim.topology.rail_fat_tree import nvl_domain, rail_fat_tree
from clustersim.topology.ring import ring
from clustersim.topology.single_node import single_node
from clustersim.topology.torus import torus

FABRICS: dict[str, Callable[[Any], Cluster]] = {
    "full-mesh": full_mesh,
    "ring": ring,
    "single-node": single_node,
    "leaf-spine": leaf_spine,
    "graph": graph,
    "fat-tree": fat_tree,
    "rail-fat-tree": rail_fat_tree,
    "nvl-domain": nvl_domain,
    "dragonfly": dragonfly,
    "torus": torus,
}


def build_cluster(topology: Topology) -> Cluster:
    """Return the cluster that a topology describes.

    Raises
    ------
    TopologyError
        For a graph file that can't be used.

    Examples
    --------
    >>> from clustersim.scenario.fabrics import Ring
    >>> cluster = build_cluster(Ring(fabric="ring", gpus=4))
    >>> [cluster.links[link].name for link in cluster.route(0, 2)]
    ['gpu0->gpu1', 'gpu1->gpu2']
    """
    cluster = FABRICS[topology.fabric](topology)
    return replace(cluster, library=topology.collectives) if topology.collectives else cluster
