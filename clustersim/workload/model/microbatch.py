"""A micro-batch, and how it is computed."""

from __future__ import annotations

from dataclasses import dataclass

from clustersim.scenario.precision import NARROW, PrecisionName
from clustersim.workload.model.precision import PRECISIONS, Precision
from clustersim.workload.model.recompute import Recompute, RecomputedLayers


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """A micro-batch, and how it is computed."""

    num_samples: int = 1
    precision: PrecisionName = "bf16"
    flash_attention: bool = True
    recompute: Recompute = "none"
    recomputed_modules: tuple[str, ...] = ("core_attn",)  # of selective recomputation
    recomputed_layers: RecomputedLayers = RecomputedLayers()  # noqa: RUF009 - frozen; of full recomputation
    logit_bytes: int = 4  # at the peak of the loss; 4 stay from the forward on

    @property
    def sizes(self) -> Precision:
        """Bytes of values."""
        return PRECISIONS[self.precision]

    @property
    def outside_linears(self) -> PrecisionName:
        """Format of all but the linear layers of transformer layers: fp8 and fp4 are for those alone."""
        return "bf16" if self.precision in NARROW else self.precision


ONE_SAMPLE = MicroBatch()
