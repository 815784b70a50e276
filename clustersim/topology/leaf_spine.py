"""Leaf-spine: nodes on a scale-up wiring each, joined by NICs, leaf switches and spine switches.

Under one leaf a message never climbs to a spine.
"""

from __future__ import annotations

from clustersim.scenario.fabrics import LeafSpine
from clustersim.topology.cluster import Cluster
from clustersim.topology.fat_tree import tree_cluster


def leaf_spine(spec: LeafSpine) -> Cluster:
    """Return the cluster of `spec`."""
    return tree_cluster(spec)
