"""What micro-batches take of a rank's memory, and how much of it there is."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class ActivationLimit:
    """What a rank may hold of activations at once: exactly one of the three is given."""

    microbatches: int | None = None  # stage-micro-batches, each from the start of F to the end of its W or B
    activations: Fraction | None = None  # bytes, in units of the activation of one micro-batch on the stage
    size_bytes: int | None = None


class Footprint(NamedTuple):
    """What a micro-batch of a stage takes of the one rank that holds it, and how much there is.

    In bytes, or with every micro-batch as 1, as the limit counts.
    """

    activation: int  # taken when F starts, and again by a recomputation
    kept: int  # from the end of F to the backward
    weight_grad: int  # from the end of I to the end of W
    limit: int

    def forward_fits(self, live: int) -> bool:
        """Return whether an F may start while `live` is taken."""
        return live + self.activation <= self.limit

    def input_grad_fits(self, live: int) -> bool:
        """Return whether an I may start while `live` is taken, what its own F kept included."""
        return live - self.kept + self.activation <= self.limit

    def forwards_that_fit(self, most: int) -> int:
        """Return how many F may come before the first I, `most` at most."""
        return min(most, (self.limit - self.activation) // self.kept + 1) if self.kept else most

    def weight_grads_that_fit(self, most: int) -> int:
        """Return how many W may be left at the end of an I, `most` at most; the I itself takes a whole activation."""
        return min(most, (self.limit - self.activation) // self.weight_grad + 1) if self.weight_grad else most
