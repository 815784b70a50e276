"""Fat trees of switches with a given number of ports, plain and rail-optimised, and NVLink domains on one."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from clustersim.scenario.fabrics.fabric import Count, LinkSpec
from clustersim.scenario.fabrics.hosted import HostedFabric
from clustersim.scenario.fabrics.layout import NodeLayout, check_layout
from clustersim.scenario.fabrics.leaf_spine import ROUTING_TEXT, Routing
from clustersim.scenario.fabrics.tree_shape import TreeShape, radix_tree

_MOST_OVERSUBSCRIPTION = 1000


def _one_a_tier(value: object) -> tuple[float, ...]:
    given = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not 1 <= len(given) <= 2:
        raise ValueError(f"got {len(given)} numbers; give one, or two: for leaf and for aggregation switches")
    numbers: list[float] = []
    for number in given:
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if not is_number or not 0 < number <= _MOST_OVERSUBSCRIPTION:
            raise ValueError(f"got {number!r}; an oversubscription is above 0 and at most {_MOST_OVERSUBSCRIPTION}")
        numbers.append(float(number))
    return tuple(numbers)


_SCHEMA = {"anyOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}, "maxItems": 2}]}
Oversubscription = Annotated[tuple[float, ...], BeforeValidator(_one_a_tier), WithJsonSchema(_SCHEMA)]


class SwitchedFabric(HostedFabric):
    """Nodes on a tree of switches that all have the same number of ports."""

    radix: int = Field(
        64,
        strict=True,
        ge=2,
        le=4096,
        description="Ports of every switch, half of them down: two tiers join radix^2 / 2 NICs, three radix^3 / 4.",
    )
    oversubscription: Oversubscription = Field(
        (1.0,),
        description="Bandwidth of a switch's links down over that of its links up, without which there are as many up "
        "as down: of leaf switches, or a list: of leaf, then of aggregation switches.",
    )
    routing: Routing = Field("d-mod-k", description=ROUTING_TEXT)

    @field_validator("radix")
    @classmethod
    def _is_even(cls, radix: int) -> int:
        if radix % 2:
            raise ValueError(f"got {radix}; a switch has as many ports down as up, so their number is even")
        return radix

    @model_validator(mode="after")
    def _at_most_three_tiers(self) -> Self:
        if self.num_leaves > self.radix * self.leaves_per_pod:
            most = self.radix * self.leaves_per_pod * self.radix // 2
            what = (
                f"{self.nodes * self.nics_per_node} NICs; three tiers of switches with {self.radix} ports join {most}"
            )
            raise ValueError(f"{what}; give a larger radix")
        return self

    @property
    def num_leaves(self) -> int:
        """Number of leaf switches; the last may have free ports."""
        return -(-self.nodes * self.nics_per_node // (self.radix // 2))

    @property
    def leaves_per_pod(self) -> int:
        """Number of leaf switches in a pod of a tree of three tiers."""
        return self.radix // 2

    @property
    def shape(self) -> TreeShape:
        """Sizes of the tree of switches."""
        exact = tuple(Fraction(str(number)) for number in self.oversubscription)
        return radix_tree(self.radix, self.num_leaves, self.leaves_per_pod, exact)


class FatTree(NodeLayout, SwitchedFabric):
    """A k-ary fat tree of one to three tiers, as its size demands; a node's NICs are neighbours on a leaf switch.

    Examples
    --------
    >>> sizes = {"gpus_per_node": 8, "nics_per_node": 8, "scaleup": {}, "nic": {}}
    >>> shape = FatTree(fabric="fat-tree", nodes=2048, **sizes).shape
    >>> shape.num_leaves, shape.num_pods, shape.num_uppers, shape.num_cores
    (512, 16, 512, 1024)
    """

    fabric: Literal["fat-tree"] = Field(description="Nodes joined by a k-ary fat tree of switches.")

    @model_validator(mode="after")
    def _can_be_wired(self) -> Self:
        check_layout(self, self.gpus_per_node)
        return self


class RailFabric(SwitchedFabric):
    """Nodes whose NIC r, for each r, is on a leaf switch of rail r together with those of its group of nodes."""

    cross_rail: Literal["spine", "scaleup"] = Field(
        "spine",
        description="How messages change rails: spine, through the switches above; scaleup, first to the GPU of the "
        "destination's rail in the sender's own node, as NCCL's PXN does.",
    )

    @model_validator(mode="after")
    def _pods_hold_whole_groups(self) -> Self:
        if self.nics_per_node > self.radix // 2:
            raise ValueError(f"{self.nics_per_node} rails; switches with {self.radix} ports join {self.radix // 2}")
        return self

    @property
    def group_nodes(self) -> int:
        """Number of nodes in a group, which have a leaf switch for each rail."""
        return self.radix // 2

    @property
    def num_leaves(self) -> int:
        """Number of leaf switches: one for each rail of each group."""
        return -(-self.nodes // self.group_nodes) * self.nics_per_node

    @property
    def leaves_per_pod(self) -> int:
        """Number of leaf switches in a pod: those of whole groups."""
        return max(1, self.radix // 2 // self.nics_per_node) * self.nics_per_node


class RailFatTree(NodeLayout, RailFabric):
    """A rail-optimised fat tree: NIC r of every node of a group is on the group's leaf switch of rail r.

    Examples
    --------
    >>> sizes = {"gpus_per_node": 8, "nics_per_node": 8, "scaleup": {}, "nic": {}}
    >>> fabric = RailFatTree(fabric="rail-fat-tree", nodes=64, **sizes)
    >>> fabric.group_nodes, fabric.shape.num_leaves, fabric.shape.num_uppers
    (32, 16, 32)
    """

    fabric: Literal["rail-fat-tree"] = Field(description="Nodes joined by a rail-optimised fat tree of switches.")

    @model_validator(mode="after")
    def _can_be_wired(self) -> Self:
        check_layout(self, self.gpus_per_node)
        return self


class NvlDomain(RailFabric):
    """Domains of nodes (trays) whose GPUs share scale-up switches, joined by a rail-optimised fat tree.

    Examples
    --------
    >>> sizes = {"gpus_per_node": 4, "nics_per_node": 4, "nodes_per_domain": 18, "scaleup": {}, "nic": {}}
    >>> NvlDomain(fabric="nvl-domain", nodes=36, **sizes).gpus_per_domain
    72
    """

    fabric: Literal["nvl-domain"] = Field(description="Domains of nodes on scale-up switches, joined by a fat tree.")
    nodes_per_domain: Count = Field(description="Number of nodes (trays) whose GPUs share scale-up switches.")
    scaleup: LinkSpec = Field(
        description="All links between a GPU and its domain's switches together, per direction; a route crosses two."
    )

    @property
    def gpus_per_domain(self) -> int:
        """Number of GPUs that share scale-up switches; the last domain may have fewer."""
        return self.nodes_per_domain * self.gpus_per_node
