"""How the communication library behaves on a fabric: few constants, each with a physical meaning."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from clustersim.scenario.units import TimePs

Share = Annotated[float, Field(gt=0, le=1)]
"""Part of a bandwidth; exact as it is written."""


class Protocol(BaseModel):
    """How data is handed from one GPU to the next.

    Examples
    --------
    >>> protocol = Protocol(scaleup_step="2 us", scaleup_efficiency=0.8)
    >>> protocol.scaleup_step, protocol.efficiency(crosses_network=False, is_relayed=False)
    (2000000, Fraction(4, 5))
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    launch: TimePs = Field(0, description="Once per collective: start of the kernel, and of its first step.")
    scaleup_step: TimePs = Field(0, description="Each step over scale-up links, beside the wires' latency.")
    network_step: TimePs = Field(0, description="Each step over the network, beside the wires' latency.")
    scaleup_efficiency: Share = Field(1.0, description="Share of the scale-up links' bandwidth that data reaches.")
    network_efficiency: Share = Field(1.0, description="Share of the NICs' bandwidth that data reaches.")
    relay_efficiency: Share = Field(1.0, description="What is left of that where a GPU in between passes data on.")

    def step_ps(self, crosses_network: bool) -> int:
        """Return what a step takes beside the wires' latency. [ps]"""
        return self.network_step if crosses_network else self.scaleup_step

    def efficiency(self, crosses_network: bool, is_relayed: bool) -> Fraction:
        """Return the share of the bandwidth that data reaches."""
        share = Fraction(str(self.network_efficiency if crosses_network else self.scaleup_efficiency))
        return share * Fraction(str(self.relay_efficiency)) if is_relayed else share


class Library(BaseModel):
    """The protocols of a communication library; one that is not given is not there, but for the plain one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fitted: tuple[Literal["scaleup", "network"], ...] = Field(
        (),
        description="Where the constants were fitted to curves measured on this machine: within a node or a scale-up "
        "domain, or over the network; elsewhere they are taken over, at least in part, and count as assumed.",
    )
    in_training: Share = Field(
        1.0, description="What is left of the bandwidth that data reaches while GPUs compute beside it."
    )
    simple: Protocol = Field(default_factory=Protocol, description="The plain protocol, for large sizes.")
    tree: Protocol | None = Field(
        None,
        description="The plain protocol in a tree, where a GPU handles several streams at once; absent: as simple.",
    )
    low_latency: Protocol | None = Field(
        None, description="A protocol with flags among the data: shorter steps, less of the bandwidth (NCCL's LL128)."
    )
    nvls: Protocol | None = Field(None, description="Reduction in the scale-up switch (NVLink SHARP).")
    in_network: Protocol | None = Field(None, description="Reduction in the network's switches (SHARP).")
