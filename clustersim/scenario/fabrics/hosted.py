"""Families of nodes with NICs: what a node has, and what sets single nodes apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from clustersim.scenario.fabrics.fabric import MAX_GPUS, Count, Fabric, LinkSpec
from clustersim.scenario.hostlist import HostNames, expand_hosts

HOST_PREFIX = "node"
_HOST = re.compile(rf"{HOST_PREFIX}(0|[1-9][0-9]{{0,6}})", re.ASCII)


class HostOverride(BaseModel):
    """What sets some nodes apart: another device, other links, slower compute, or that no job may use them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    match: HostNames = Field(
        description="The nodes it holds for: node3, node3-5 or node[0-3,7], or a list of such; nodes count from node0."
    )
    device: str | None = Field(None, min_length=1, description="Accelerator of these nodes; absent: as elsewhere.")
    scaleup: LinkSpec | None = Field(None, description="Scale-up links of these nodes; absent: as elsewhere.")
    nic: LinkSpec | None = Field(None, description="NIC links of these nodes; absent: as elsewhere.")
    slowdown: Annotated[float, Field(ge=1, le=1000)] | None = Field(
        None, description="How many times as long compute takes on these nodes, as on a hot or a faulty GPU; absent: 1."
    )
    reserved: Annotated[bool, Field(strict=True)] | None = Field(
        None, description="Whether jobs must leave these nodes out, as they are down or drained; absent: no."
    )

    @field_validator("match")
    @classmethod
    def _are_nodes(cls, match: tuple[str, ...]) -> tuple[str, ...]:
        for text in match:
            for name in expand_hosts(text, _is_host):
                if not _is_host(name):
                    raise ValueError(f"got {name!r}; nodes are called {HOST_PREFIX}0, {HOST_PREFIX}1 and so on")
        return match

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the nodes it holds for."""
        names = (name for text in self.match for name in expand_hosts(text, _is_host))
        return tuple(int(name.removeprefix(HOST_PREFIX)) for name in names)


def _is_host(name: str) -> bool:
    return _HOST.fullmatch(name) is not None


class HostedFabric(Fabric):
    """Nodes of GPUs, each with NICs on a network of switches."""

    nodes: Count = Field(description="Number of nodes.")
    gpus_per_node: Count = Field(description="Number of GPUs in a node.")
    nics_per_node: Count = Field(
        1,
        description="Number of NICs in a node; GPU g of a node has NIC g * nics_per_node // gpus_per_node, or with "
        "more NICs than GPUs all from there to the next GPU's first, and each (source, destination) takes one by hash.",
    )
    nic: LinkSpec = Field(description="Link between a NIC and its switch; links above that have its latency too.")
    hosts: Annotated[tuple[HostOverride, ...], Field(max_length=MAX_GPUS)] = Field(
        (), description="What sets single nodes apart; where several match a node, the last holds, key by key."
    )

    @model_validator(mode="after")
    def _at_most_max_gpus(self) -> Self:
        if self.num_gpus > MAX_GPUS:
            raise ValueError(f"nodes * gpus_per_node is {self.num_gpus}; at most {MAX_GPUS} GPUs are allowed")
        if self.nodes * self.nics_per_node > MAX_GPUS:
            raise ValueError(
                f"nodes * nics_per_node is {self.nodes * self.nics_per_node}; at most {MAX_GPUS} are allowed"
            )
        missing = max((number for override in self.hosts for number in override.numbers), default=0)
        if missing >= self.nodes:
            last = f"{HOST_PREFIX}{self.nodes - 1}"
            raise ValueError(f"hosts: there is no {HOST_PREFIX}{missing}; the last node is {last}")
        return self

    @property
    def num_gpus(self) -> int:
        return self.nodes * self.gpus_per_node

    @property
    def num_hosts(self) -> int:
        return self.nodes

    @property
    def host_prefix(self) -> str:
        return HOST_PREFIX

    @cached_property
    def override_by_node(self) -> Mapping[int, Mapping[str, Any]]:
        """What holds for each node that is set apart: the keys that were given, by node number."""
        by_node: dict[int, dict[str, Any]] = {}
        for override in self.hosts:
            given = {key: getattr(override, key) for key in override.model_fields_set - {"match"}}
            for number in override.numbers:
                by_node.setdefault(number, {}).update(given)
        return by_node

    def of_node(self, node: int, key: str) -> Any:
        """Return what a node has under `key` (device, scaleup or nic): its own, or that of all."""
        own = self.override_by_node.get(node, {}).get(key)
        return getattr(self, key) if own is None else own

    @property
    def reserved_hosts(self) -> tuple[int, ...]:
        return tuple(node for node, given in self.override_by_node.items() if given.get("reserved"))

    def scaled_to(self, num_gpus: int) -> Self:
        """Return this fabric with the nodes that `num_gpus` GPUs need, beside the reserved ones and all named ones."""
        named = max((number + 1 for override in self.hosts for number in override.numbers), default=0)
        needed = -(-num_gpus // self.gpus_per_node) + len(self.reserved_hosts)
        return self._with(nodes=max(needed, named))
