"""What all fabric families have in common, and the link that they are wired with."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from clustersim.scenario.fabrics.library import Library
from clustersim.scenario.units import BandwidthBytesPerS, TimePs, Watt

MAX_GPUS = 1_000_000

Count = Annotated[int, Field(strict=True, ge=1, le=MAX_GPUS)]


class LinkSpec(BaseModel):
    """One direction of a link; an empty mapping is an ideal wire.

    Examples
    --------
    >>> LinkSpec(bandwidth="400 Gbps", latency="2 us")
    LinkSpec(bandwidth=Fraction(50000000000, 1), latency=2000000, overhead=0, sharing=None)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bandwidth: BandwidthBytesPerS | None = Field(None, description="Bandwidth of each direction; absent: unlimited.")
    latency: TimePs = Field(0, description="Latency of each direction, which occupies nothing; absent: none.")
    overhead: TimePs = Field(
        0, description="What each message takes beside its bytes and the latency, as on a NIC; absent: nothing."
    )
    sharing: Literal["fair", "fifo"] | None = Field(
        None,
        description="How messages share the link: fair (max-min) or fifo, one after the other; "
        "absent: fair wherever several senders or a collective use it.",
    )


class PowerSpec(BaseModel):
    """What a cluster draws."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    node: Watt | None = Field(
        None, description="A node at the most, GPUs included; absent: by the `host` share of the economics."
    )
    pue: Annotated[float, Field(ge=1, le=10)] | None = Field(
        None,
        description="Power usage effectiveness: what the site draws over what nodes draw; absent: that of the "
        "economics.",
    )


class Fabric(BaseModel):
    """What all fabric families have in common.

    A host is what a job gets or is refused as a whole: a node, or a GPU where the family knows no nodes. Hosts have
    one prefix and are numbered from 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    device: str | None = Field(
        None,
        min_length=1,
        description="Accelerator of every GPU: a name from the device catalogue, such as H100-SXM5-80GB, or the path "
        "of a device file.",
    )
    collectives: Library | None = Field(
        None, description="How the communication library behaves; absent: only the wires count."
    )
    power: PowerSpec = Field(default_factory=PowerSpec, description="What the cluster draws, for energies.")

    @property
    def num_gpus(self) -> int | None:
        """Number of GPUs; None where only the graph file knows."""
        raise NotImplementedError

    @property
    def num_hosts(self) -> int | None:
        """Number of hosts; None where only the graph file knows."""
        return self.num_gpus

    @property
    def host_prefix(self) -> str:
        """What a host is called before its number."""
        return "gpu"

    @property
    def reserved_hosts(self) -> Collection[int]:
        """Numbers of the hosts that no job may use."""
        return ()

    def host_number(self, name: str) -> int | None:
        """Return the number of the host called `name`; None if there is none, or only the graph file knows.

        Examples
        --------
        >>> from clustersim.scenario.fabrics import Ring
        >>> ring = Ring(fabric="ring", gpus=4)
        >>> ring.host_number("gpu3"), ring.host_number("gpu4"), ring.host_number("gpu03")
        (3, None, None)
        """
        digits = name.removeprefix(self.host_prefix)
        if not digits.isdecimal() or len(digits) > len(str(MAX_GPUS)):
            return None
        number = int(digits)
        exists = self.num_hosts is not None and number < self.num_hosts
        return number if exists and name == f"{self.host_prefix}{number}" else None

    def scaled_to(self, num_gpus: int) -> Self:
        """Return this fabric with room for `num_gpus` GPUs, as a gallery topology is built for ``cluster.gpus``.

        A fabric of nodes gets the smallest whole number of nodes that holds them, reserved ones not counted; any
        other gets so many GPUs.
        """
        return self._with(gpus=num_gpus)

    def resolved(self, base: Path) -> Self:  # noqa: ARG002
        """Return this fabric with the files that it names looked up from the folder `base`."""
        return self

    def with_in_training(self, share: float) -> Self:
        """Return this fabric with another share of the bandwidth left to collectives while GPUs compute."""
        library = (self.collectives or Library()).model_copy(update={"in_training": share})
        return self.model_copy(update={"collectives": library})

    def _with(self, **changes: object) -> Self:
        """Return a copy with `changes`, validated again (a plain copy would skip the bounds)."""
        kept = {name: getattr(self, name) for name in self.model_fields_set if name not in changes}
        return type(self)(**kept, **changes)


class CountedFabric(Fabric):
    """A fabric whose only size is its number of GPUs."""

    gpus: Count = Field(description="Number of GPUs.")

    @property
    def num_gpus(self) -> int:
        return self.gpus
