"""How the GPUs of one node are wired to one another."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from clustersim.scenario.fabrics.fabric import LinkSpec

Layout = Literal["nvswitch", "mesh", "nvlink-ring", "cube-mesh", "pcie"]

_CUBE_MESH_GPUS = 8


class NodeLayout(BaseModel):
    """Parameters of the wiring inside a node, for every family that has nodes."""

    scaleup: LinkSpec = Field(
        description="All links of a GPU to the other GPUs of its node together, per GPU and direction; a route crosses "
        "two of them through a switch, or its part of one directly."
    )
    layout: Layout = Field(
        "nvswitch",
        description="Wiring inside a node: nvswitch (any switch that joins all), mesh (a link for each pair, "
        "scaleup / (GPUs - 1)), nvlink-ring (two neighbours, scaleup / 2 each), cube-mesh (8 GPUs as in DGX-1V: six "
        "NVLinks each, one or two to four neighbours), pcie (two sockets; the scaleup link is that to its socket).",
    )
    socket_link: LinkSpec | None = Field(
        None, description="Link between the two sockets of a pcie layout, per direction; no other layout has one."
    )


def check_layout(node: NodeLayout, num_gpus: int) -> None:
    """Raise ValueError if a node of `num_gpus` GPUs can't be wired as it says."""
    if node.layout == "cube-mesh" and num_gpus != _CUBE_MESH_GPUS:
        raise ValueError(f"a cube-mesh has {_CUBE_MESH_GPUS} GPUs; got {num_gpus}")
    if node.layout == "pcie" and node.socket_link is None:
        raise ValueError("layout pcie needs a socket_link: what joins the two sockets")
    if node.layout != "pcie" and node.socket_link is not None:
        raise ValueError(f"socket_link means nothing to layout {node.layout}; it is for pcie")
