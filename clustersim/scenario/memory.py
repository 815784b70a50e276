"""What a scenario says of memory that is no tensor of the model: buffers, the framework's own, fragmentation."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from clustersim.scenario.frameworks import Fragmentation
from clustersim.scenario.units import SizeBytes


class MemoryOptions(BaseModel):
    """What a GPU holds beside weights, gradients, optimizer state and activations.

    With explicit stage costs what is absent is nothing; with a model it is derived, or stands in the framework's file.

    Examples
    --------
    >>> MemoryOptions(context="1 GiB").context
    1073741824
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    framework: str | None = Field(
        None,
        max_length=100,
        description="Framework of the gallery, for what is absent below; absent: megatron, and fsdp with zero_stage 3.",
    )
    buffers: SizeBytes | None = Field(
        None, description="Buffers for communication that a GPU allocates; absent: derived from the model."
    )
    context: SizeBytes | None = Field(None, description="What a process holds before it allocates anything.")
    communicator: SizeBytes | None = Field(None, description="What each group that a GPU is in takes.")
    logit: Annotated[SizeBytes, Field(ge=4)] | None = Field(
        None, description="What a logit takes at the peak of the loss, 4 B of which stay from the forward on."
    )
    fragmentation: Fragmentation | None = Field(
        None, description="Reserved by the allocator and not in use, as a share of what is allocated."
    )

    def framework_name(self, zero_stage: int) -> str:
        """Return the framework of the gallery: as given, or the one that shards so.

        Examples
        --------
        >>> MemoryOptions().framework_name(1), MemoryOptions().framework_name(3)
        ('megatron', 'fsdp')
        """
        return self.framework or ("fsdp" if zero_stage == 3 else "megatron")
