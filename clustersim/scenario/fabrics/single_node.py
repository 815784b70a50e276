"""Single node: GPUs in one box."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import AliasChoices, Field, model_validator

from clustersim.scenario.fabrics.fabric import Count, CountedFabric
from clustersim.scenario.fabrics.layout import NodeLayout, check_layout


class SingleNode(NodeLayout, CountedFabric):
    """GPUs of one node: a message goes up its sender's link and down its receiver's, or as the layout says.

    Examples
    --------
    >>> SingleNode(fabric="single-node", gpus=8, scaleup={"bandwidth": "450 GB/s"}).scaled_to(4).num_gpus
    4
    """

    fabric: Literal["single-node"] = Field(description="GPUs of one node, on a switch or wired directly.")
    gpus: Count = Field(
        validation_alias=AliasChoices("gpus", "gpus_per_node"), description="Number of GPUs (also: gpus_per_node)."
    )

    @model_validator(mode="after")
    def _can_be_wired(self) -> Self:
        check_layout(self, self.gpus)
        return self

    @property
    def num_hosts(self) -> int:
        return 1

    @property
    def host_prefix(self) -> str:
        return "node"
