"""Dragonfly: groups of routers, every router of a group linked to all others, and every group to every other."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from clustersim.scenario.fabrics.fabric import Count, LinkSpec
from clustersim.scenario.fabrics.hosted import HostedFabric
from clustersim.scenario.fabrics.layout import NodeLayout, check_layout


class Dragonfly(NodeLayout, HostedFabric):
    """Nodes on routers in groups: at most one link between routers of a group, one between groups, and one again.

    Examples
    --------
    >>> sizes = {"nodes": 72, "gpus_per_node": 1, "nics_per_router": 2, "routers_per_group": 4}
    >>> fabric = Dragonfly(fabric="dragonfly", global_links_per_router=2, scaleup={}, nic={}, **sizes)
    >>> fabric.num_groups, fabric.links_per_pair, fabric.wires_per_link
    (9, 1, 1)
    """

    fabric: Literal["dragonfly"] = Field(description="Nodes on groups of routers, the groups fully joined.")
    nics_per_router: Count = Field(description="Number of NICs on a router (p).")
    routers_per_group: Count = Field(description="Number of routers in a group, each linked to all others (a).")
    global_links_per_router: Count = Field(
        description="Number of a router's wires to other groups (h); at most a * h + 1 groups are joined. With fewer, "
        "each two groups have several links, at most one a router, and wires beyond that run side by side as one link."
    )
    local_link: LinkSpec | None = Field(None, description="Link between two routers of a group; absent: as a NIC's.")
    global_link: LinkSpec | None = Field(None, description="One wire between two groups; absent: as a NIC's link.")

    @model_validator(mode="after")
    def _can_be_joined(self) -> Self:
        check_layout(self, self.gpus_per_node)
        if self.num_groups > self.global_ports_per_group + 1:
            ports = f"{self.routers_per_group} * {self.global_links_per_router}"
            raise ValueError(
                f"{self.num_groups} groups; routers_per_group * global_links_per_router = {ports} join "
                f"{self.global_ports_per_group + 1}"
            )
        return self

    @property
    def num_groups(self) -> int:
        """Number of groups, whole ones; the last may have free ports."""
        num_routers = -(-self.nodes * self.nics_per_node // self.nics_per_router)
        return -(-num_routers // self.routers_per_group)

    @property
    def global_ports_per_group(self) -> int:
        """Number of wires that leave a group."""
        return self.routers_per_group * self.global_links_per_router

    @property
    def links_per_pair(self) -> int:
        """Number of links between two groups, each between routers of its own."""
        if self.num_groups == 1:
            return 0
        return min(self.global_ports_per_group // (self.num_groups - 1), self.routers_per_group)

    @property
    def wires_per_link(self) -> int:
        """Number of wires side by side in each of these links."""
        if self.num_groups == 1:
            return 0
        return self.global_ports_per_group // (self.links_per_pair * (self.num_groups - 1))
