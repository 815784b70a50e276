"""Leaf-spine: two tiers of switches of any number of ports."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal, Self

from pydantic import Field, model_validator

from clustersim.scenario.fabrics.fabric import Count
from clustersim.scenario.fabrics.hosted import HostedFabric
from clustersim.scenario.fabrics.layout import NodeLayout, check_layout
from clustersim.scenario.fabrics.tree_shape import TreeShape, two_tiers

Routing = Literal["d-mod-k", "ecmp"]
ROUTING_TEXT = (
    "Way up where there are several: d-mod-k by the destination's NIC, so that all of one leaf's NICs have ways of "
    "their own; ecmp by a hash of source and destination, as switches without adaptive routing do."
)


class LeafSpine(NodeLayout, HostedFabric):
    """Nodes of GPUs on a scale-up switch, joined by NICs, leaf switches and, past one leaf, spine switches.

    Examples
    --------
    >>> wires = {"scaleup": {"bandwidth": "450 GB/s"}, "nic": {"bandwidth": "400 Gbps"}}
    >>> fabric = LeafSpine(fabric="leaf-spine", nodes=128, gpus_per_node=8, nics_per_node=8, **wires)
    >>> fabric.scaled_to(20).nodes, fabric.leaf_nodes, fabric.num_leaves, fabric.num_spines
    (3, 4, 32, 32)
    """

    fabric: Literal["leaf-spine"] = Field(description="Nodes joined by two tiers of switches.")
    nodes_per_leaf: Count | None = Field(
        None,
        description="Number of nodes under a leaf switch; absent: 32 // nics_per_node, at least 1 "
        "(half the ports of a 64-port switch).",
    )
    spines: Count | None = Field(
        None,
        description="Number of spine switches; absent: a leaf's number of NICs / oversubscription, rounded up, "
        "so that a leaf-spine link is as fast as a NIC. One leaf needs none.",
    )
    oversubscription: float = Field(
        1.0,
        strict=True,
        gt=0,
        le=1000,
        allow_inf_nan=False,
        description="Bandwidth of a leaf's NICs over the bandwidth of its links to the spines; 1 is non-blocking.",
    )
    routing: Routing = Field("d-mod-k", description=ROUTING_TEXT)

    @model_validator(mode="after")
    def _can_be_wired(self) -> Self:
        check_layout(self, self.gpus_per_node)
        return self

    @property
    def leaf_nodes(self) -> int:
        """Number of nodes that a leaf switch has ports for: as given, or its default."""
        return self.nodes_per_leaf or max(1, 32 // self.nics_per_node)

    @property
    def num_leaves(self) -> int:
        """Number of leaf switches; the last may have fewer nodes."""
        return -(-self.nodes // self.leaf_nodes)

    @property
    def num_spines(self) -> int:
        """Number of spine switches; 0 when one leaf holds all nodes."""
        if self.num_leaves == 1:
            return 0
        return self.spines or math.ceil(self.leaf_nodes * self.nics_per_node / self.exact_oversubscription)

    @property
    def exact_oversubscription(self) -> Fraction:
        """The oversubscription as it is written: 1.1 is 11/10, not the nearest float."""
        return Fraction(str(self.oversubscription))

    @property
    def shape(self) -> TreeShape:
        """Sizes of the tree of switches."""
        ports_per_leaf = self.leaf_nodes * self.nics_per_node
        return two_tiers(ports_per_leaf, self.num_leaves, self.num_spines, self.exact_oversubscription)
