"""Topology: a fabric model becomes a `Cluster` of GPUs, directed links and routes.

A fabric family is a pure function ``model -> Cluster`` in a file of its own, and one line in `table`. Its contract:

- GPUs are numbered from 0, and GPU numbers run through a node before they go on to the next;
- ``links[i]`` is link i: one direction of a wire, with its own bandwidth and latency;
- the router gives the links of a route in order, each starting where the one before ended, as a closed form of the
  family's structure, and the same on every call. It is never longer than the shortest path in the graph, where a path
  inside a node leaves out NICs, one between nodes does not pass through further GPUs, and one in a dragonfly crosses
  at most one link between groups;
- building costs at most a few microseconds a link; `Cluster.graph` (networkx) is built only when asked for.
"""

from clustersim.topology.cluster import Cluster, Link
from clustersim.topology.placement import PLACEMENTS, place
from clustersim.topology.rank_layout import RankCoordinates, RankLayout
from clustersim.topology.table import FABRICS, build_cluster

__all__ = ["FABRICS", "PLACEMENTS", "Cluster", "Link", "RankCoordinates", "RankLayout", "build_cluster", "place"]
