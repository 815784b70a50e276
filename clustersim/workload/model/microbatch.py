"""A micro-batch, and how it is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clustersim.scenario.precision import NARROW, PrecisionName
from clustersim.workload.model.precision import PRECISIONS, Precision

Recompute = Literal["none", "selective", "full"]


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """A micro-batch, and how it is computed."""

    num_samples: int = 1
    precision: PrecisionName = "bf16"
    flash_attention: bool = True
    recompute: Recompute = "none"

    @property
    def sizes(self) -> Precision:
        """Bytes of values."""
        return PRECISIONS[self.precision]

    @property
    def outside_linears(self) -> PrecisionName:
        """Format of all but the linear layers of transformer layers: fp8 and fp4 are for those alone."""
        return "bf16" if self.precision in NARROW else self.precision


ONE_SAMPLE = MicroBatch()
