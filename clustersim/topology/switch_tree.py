"""Trees of switches: leaves above NIC ports, spines or aggregation and core switches above them.

Wires are numbered tier after tier: leaf l and upper switch u of its pod have wire ``l * uppers_per_pod + u``, then
upper switch u of pod p and its core switch c have wire ``(p * uppers_per_pod + u) * cores_per_upper + c``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.scenario.fabrics import LinkSpec, TreeShape
from clustersim.topology.cluster import Ints
from clustersim.topology.wires import Wires, part_of


@dataclass(frozen=True, slots=True)
class TreeRoutes:
    """Routes between NIC ports: up to the first tier where they meet, and down.

    Parameters
    ----------
    shape
        Sizes of the tree.
    first_wire
        Number of the first wire between a leaf and the switch above it.
    by_hash
        Whether the way up is chosen by the flow's hash (ECMP) and not by the destination port (d-mod-k).

    References
    ----------
    E. Zahavi, "Fat-tree routing and node ordering providing contention free traffic for MPI global collectives",
    Journal of Parallel and Distributed Computing 72(11), 2012, section 3 (d-mod-k).
    """

    shape: TreeShape
    first_wire: int
    by_hash: bool

    def __call__(self, source_port: int, destination_port: int, spread: int) -> tuple[int, ...]:
        """Return the links between the leaf switches of two ports; none under one leaf.

        With d-mod-k all that goes to one port meets in one switch of each tier, and the ports of one leaf, or of one
        pod, spread over all of them.
        """
        shape = self.shape
        leaf, last_leaf = source_port // shape.ports_per_leaf, destination_port // shape.ports_per_leaf
        if leaf == last_leaf:
            return ()
        choice = spread if self.by_hash else destination_port
        choice, upper = divmod(choice, shape.uppers_per_pod)
        up = self.first_wire + leaf * shape.uppers_per_pod + upper
        down = self.first_wire + last_leaf * shape.uppers_per_pod + upper
        pod, last_pod = leaf // shape.leaves_per_pod, last_leaf // shape.leaves_per_pod
        if pod == last_pod:
            return (2 * up, 2 * down + 1)
        core = choice % shape.cores_per_upper
        first_core_wire = self.first_wire + shape.num_leaves * shape.uppers_per_pod
        to_core, from_core = (
            first_core_wire + (p * shape.uppers_per_pod + upper) * shape.cores_per_upper + core for p in (pod, last_pod)
        )
        return (2 * up, 2 * to_core, 2 * from_core + 1, 2 * down + 1)

    def many(self, source_port: Ints, destination_port: Ints) -> list[Ints]:
        """Return the links of many routes, hop by hop, -1 where a route has none; without a hash."""
        shape = self.shape
        leaf, last_leaf = source_port // shape.ports_per_leaf, destination_port // shape.ports_per_leaf
        choice, upper = np.divmod(destination_port, max(1, shape.uppers_per_pod))  # none above a single leaf
        up, down = (self.first_wire + of * shape.uppers_per_pod + upper for of in (leaf, last_leaf))
        pod, last_pod = leaf // shape.leaves_per_pod, last_leaf // shape.leaves_per_pod
        climbs, stays = leaf != last_leaf, pod == last_pod
        cores = max(1, shape.cores_per_upper)  # none where there is one pod: nothing crosses them
        first_core_wire = self.first_wire + shape.num_leaves * shape.uppers_per_pod
        to_core, from_core = (
            first_core_wire + (of * shape.uppers_per_pod + upper) * cores + choice % cores for of in (pod, last_pod)
        )
        return [
            np.where(climbs, 2 * up, -1),
            np.where(climbs & ~stays, 2 * to_core, -1),
            np.where(climbs & ~stays, 2 * from_core + 1, -1),
            np.where(climbs, 2 * down + 1, -1),
        ]


def tree_wires(shape: TreeShape, nic: LinkSpec) -> tuple[Wires, Wires]:
    """Return the wires above the leaves and those above aggregation switches, in shares of a NIC's link."""
    leaf_link = part_of(nic, *shape.leaf_share.as_integer_ratio())
    upper_link = part_of(nic, *shape.upper_share.as_integer_ratio())

    def leaf_wire(number: int) -> tuple[str, str, LinkSpec]:
        leaf, upper = divmod(number, shape.uppers_per_pod)
        pod = leaf // shape.leaves_per_pod
        return f"leaf{leaf}", _upper_name(shape, pod * shape.uppers_per_pod + upper), leaf_link

    def upper_wire(number: int) -> tuple[str, str, LinkSpec]:
        upper, core = divmod(number, shape.cores_per_upper)
        first = upper % shape.uppers_per_pod * shape.cores_per_upper
        return _upper_name(shape, upper), f"core{first + core}", upper_link

    return (
        Wires(shape.num_leaves * shape.uppers_per_pod, leaf_wire, period=1),
        Wires(shape.num_uppers * shape.cores_per_upper, upper_wire, period=1),
    )


def tree_nodes(shape: TreeShape) -> dict[str, dict[str, object]]:
    """Return the attributes of every switch, tier by tier."""
    names_by_kind = {
        "leaf": [f"leaf{leaf}" for leaf in range(shape.num_leaves)],
        "agg" if shape.cores_per_upper else "spine": [_upper_name(shape, upper) for upper in range(shape.num_uppers)],
        "core": [f"core{core}" for core in range(shape.num_cores)],
    }
    nodes: dict[str, dict[str, object]] = {}
    for kind, names in names_by_kind.items():
        attributes: dict[str, object] = {"kind": kind}
        nodes |= dict.fromkeys(names, attributes)
    return nodes


def _upper_name(shape: TreeShape, upper: int) -> str:
    return f"agg{upper}" if shape.cores_per_upper else f"spine{upper}"
