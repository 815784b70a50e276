"""What a topology file may say: one frozen model per fabric family, told apart by ``fabric``.

Every parameter is documented here and nowhere else; ``schema`` and ``describe`` show these texts. A new family is one
model here, one line in `Topology`, one builder file in ``clustersim/topology`` and one line in its table.
"""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator, model_validator

from clustersim.scenario.units import BandwidthBytesPerS, TimePs

MAX_GPUS = 1_000_000

Count = Annotated[int, Field(strict=True, ge=1, le=MAX_GPUS)]


class LinkSpec(BaseModel):
    """One direction of a link; an empty mapping is an ideal wire.

    Examples
    --------
    >>> LinkSpec(bandwidth="400 Gbps", latency="2 us")
    LinkSpec(bandwidth=Fraction(50000000000, 1), latency=2000000, sharing=None)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bandwidth: BandwidthBytesPerS | None = Field(None, description="Bandwidth of each direction; absent: unlimited.")
    latency: TimePs = Field(0, description="Latency of each direction, paid after the transfer; absent: none.")
    sharing: Literal["fair", "fifo"] | None = Field(
        None, description="How several senders share the link: fifo serves one message after the other."
    )

    @field_validator("sharing")
    @classmethod
    def _only_fifo_yet(cls, sharing: str | None) -> str | None:
        if sharing == "fair":
            raise ValueError("max-min sharing is not available in this version; 'fifo' is, and is the default")
        return sharing


class Fabric(BaseModel):
    """What all fabric families have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str | None = Field(
        None,
        min_length=1,
        description="Accelerator of every GPU: a name from the device catalogue, such as H100-SXM5-80GB.",
    )

    @property
    def num_gpus(self) -> int | None:
        """Number of GPUs; None where only the graph file knows."""
        raise NotImplementedError

    def scaled_to(self, num_gpus: int) -> Self:
        """Return this fabric with room for `num_gpus` GPUs, as a gallery topology is built for ``cluster.gpus``.

        A fabric of nodes gets the smallest whole number of nodes that holds them; any other gets so many GPUs.
        """
        return self._with(gpus=num_gpus)

    def resolved(self, base: Path) -> Self:  # noqa: ARG002
        """Return this fabric with the files that it names looked up from the folder `base`."""
        return self

    def _with(self, **changes: object) -> Self:
        """Return a copy with `changes`, validated again (a plain copy would skip the bounds)."""
        kept = {name: getattr(self, name) for name in self.model_fields_set if name not in changes}
        return type(self)(**kept, **changes)


class _CountedFabric(Fabric):
    """A fabric whose only size is its number of GPUs."""

    gpus: Count = Field(description="Number of GPUs.")

    @property
    def num_gpus(self) -> int:
        return self.gpus


class FullMesh(_CountedFabric):
    """Every pair of GPUs has its own link in each direction: no two pairs ever wait for one another."""

    fabric: Literal["full-mesh"] = Field(description="Every pair of GPUs has its own link in each direction.")
    link: LinkSpec = Field(LinkSpec(), description="The link of every ordered pair of GPUs; absent: an ideal wire.")


class Ring(_CountedFabric):
    """Each GPU is linked to its two neighbours; GPUs forward for others, the shorter way round, ties clockwise."""

    fabric: Literal["ring"] = Field(description="Each GPU is linked to its two neighbours, in both directions.")
    link: LinkSpec = Field(LinkSpec(), description="The link from a GPU to each neighbour; absent: an ideal wire.")


class SingleNode(_CountedFabric):
    """GPUs on one switch: a message goes up its sender's link and down its receiver's.

    Examples
    --------
    >>> SingleNode(fabric="single-node", gpus=8, scaleup={"bandwidth": "450 GB/s"}).scaled_to(4).num_gpus
    4
    """

    fabric: Literal["single-node"] = Field(description="GPUs on one switch.")
    gpus: Count = Field(
        validation_alias=AliasChoices("gpus", "gpus_per_node"), description="Number of GPUs (also: gpus_per_node)."
    )
    scaleup: LinkSpec = Field(
        description="Link between a GPU and the switch, per GPU and direction; a route crosses two of them."
    )


class LeafSpine(Fabric):
    """Nodes of GPUs on a scale-up switch, joined by NICs, leaf switches and, past one leaf, spine switches.

    Examples
    --------
    >>> wires = {"scaleup": {"bandwidth": "450 GB/s"}, "nic": {"bandwidth": "400 Gbps"}}
    >>> fabric = LeafSpine(fabric="leaf-spine", nodes=128, gpus_per_node=8, nics_per_node=8, **wires)
    >>> fabric.scaled_to(20).nodes, fabric.leaf_nodes, fabric.num_leaves, fabric.num_spines
    (3, 4, 32, 32)
    """

    fabric: Literal["leaf-spine"] = Field(description="Nodes joined by two tiers of switches.")
    nodes: Count = Field(description="Number of nodes.")
    gpus_per_node: Count = Field(description="Number of GPUs in a node.")
    scaleup: LinkSpec = Field(
        description="Link between a GPU and its node's switch, per GPU and direction; a route crosses two of them."
    )
    nics_per_node: Count = Field(
        1, description="Number of NICs in a node; GPU g of a node uses NIC g * nics_per_node // gpus_per_node."
    )
    nic: LinkSpec = Field(description="Link between a NIC and its leaf switch; leaf-spine links have its latency too.")
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

    @model_validator(mode="after")
    def _at_most_max_gpus(self) -> Self:
        if self.num_gpus > MAX_GPUS:
            raise ValueError(f"nodes * gpus_per_node is {self.num_gpus}; at most {MAX_GPUS} GPUs are allowed")
        if self.nodes * self.nics_per_node > MAX_GPUS:
            raise ValueError(
                f"nodes * nics_per_node is {self.nodes * self.nics_per_node}; at most {MAX_GPUS} are allowed"
            )
        return self

    @property
    def num_gpus(self) -> int:
        return self.nodes * self.gpus_per_node

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

    def scaled_to(self, num_gpus: int) -> Self:
        return self._with(nodes=-(-num_gpus // self.gpus_per_node))


class GraphFile(Fabric):
    """Any graph, read from a file: nodes of ``kind: gpu`` are the GPUs, every other node only forwards."""

    fabric: Literal["graph"] = Field(description="Any graph, read from a GraphML or node-link JSON file.")
    file: str = Field(
        min_length=1,
        max_length=4096,
        description="Path of the graph file (.graphml or .json), relative to the topology file; "
        "edge attributes bandwidth and latency are text with units.",
    )

    @field_validator("file")
    @classmethod
    def _a_path_of_a_known_format(cls, file: str) -> str:
        if "://" in file:
            raise ValueError(f"got {file!r}; a graph is read from a file, not from a URL")
        if not file.lower().endswith((".graphml", ".json")):
            raise ValueError(f"got {file!r}; a graph file ends in .graphml or .json (node-link)")
        return file

    @property
    def num_gpus(self) -> None:
        return None

    def scaled_to(self, num_gpus: int) -> Self:  # noqa: ARG002
        """Return this fabric as it is: a graph has the GPUs that its file names."""
        return self

    def resolved(self, base: Path) -> Self:
        return self._with(file=str((base / self.file).absolute()))


Topology = Annotated[FullMesh | Ring | SingleNode | LeafSpine | GraphFile, Field(discriminator="fabric")]
