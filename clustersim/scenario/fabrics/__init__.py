"""What a topology file may say: one frozen model per fabric family, told apart by ``fabric``.

Every parameter is documented in the model and nowhere else; ``schema`` and ``describe`` show these texts. A new family
is one model here, one line in `Topology`, one builder file in ``clustersim/topology`` and one line in its table.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from clustersim.scenario.fabrics.direct import FullMesh, Ring
from clustersim.scenario.fabrics.dragonfly import Dragonfly
from clustersim.scenario.fabrics.fabric import MAX_GPUS, Count, Fabric, LinkSpec
from clustersim.scenario.fabrics.fat_tree import FatTree, NvlDomain, RailFabric, RailFatTree, SwitchedFabric
from clustersim.scenario.fabrics.graph_file import GraphFile
from clustersim.scenario.fabrics.hosted import HostedFabric, HostOverride
from clustersim.scenario.fabrics.layout import Layout, NodeLayout
from clustersim.scenario.fabrics.leaf_spine import LeafSpine
from clustersim.scenario.fabrics.library import Library, Protocol
from clustersim.scenario.fabrics.single_node import SingleNode
from clustersim.scenario.fabrics.torus import Torus
from clustersim.scenario.fabrics.tree_shape import TreeShape

Topology = Annotated[
    FullMesh | Ring | SingleNode | LeafSpine | GraphFile | FatTree | RailFatTree | NvlDomain | Dragonfly | Torus,
    Field(discriminator="fabric"),
]

__all__ = [
    "MAX_GPUS",
    "Count",
    "Dragonfly",
    "Fabric",
    "FatTree",
    "FullMesh",
    "GraphFile",
    "HostOverride",
    "HostedFabric",
    "Layout",
    "LeafSpine",
    "Library",
    "LinkSpec",
    "NodeLayout",
    "NvlDomain",
    "Protocol",
    "RailFabric",
    "RailFatTree",
    "Ring",
    "SingleNode",
    "SwitchedFabric",
    "Topology",
    "Torus",
    "TreeShape",
]
