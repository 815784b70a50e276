"""Full mesh and ring: GPUs that are wired to one another without switches."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from clustersim.scenario.fabrics.fabric import CountedFabric, LinkSpec


class FullMesh(CountedFabric):
    """Every pair of GPUs has its own link in each direction: no two pairs ever wait for one another."""

    fabric: Literal["full-mesh"] = Field(description="Every pair of GPUs has its own link in each direction.")
    link: LinkSpec = Field(LinkSpec(), description="The link of every ordered pair of GPUs; absent: an ideal wire.")


class Ring(CountedFabric):
    """Each GPU is linked to its two neighbours; GPUs forward for others, the shorter way round, ties clockwise."""

    fabric: Literal["ring"] = Field(description="Each GPU is linked to its two neighbours, in both directions.")
    link: LinkSpec = Field(LinkSpec(), description="The link from a GPU to each neighbour; absent: an ideal wire.")
