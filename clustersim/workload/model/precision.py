"""Sizes of values in each number format of training."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from clustersim.scenario.precision import PrecisionName


@dataclass(frozen=True, slots=True)
class Precision:
    """Bytes of one value. [bytes]"""

    activation_bytes: int
    linear_bytes: int | Fraction  # of the inputs and weights that a linear layer multiplies, scales of blocks included
    weight_bytes: int
    gradient_bytes: int  # as accumulated over micro-batches, and reduced
    optimizer_bytes: int  # Adam: two moments, and what mixed precision keeps beside them
    step_bytes: int = 0  # made in the optimizer step and freed with it

    def operand_bytes(self, num_values: int) -> int:
        """Return the size of so many values as a linear layer multiplies them, rounded up. [bytes]

        Examples
        --------
        >>> PRECISIONS["nvfp4"].operand_bytes(32), PRECISIONS["bf16"].operand_bytes(32)
        (18, 64)
        """
        return -int(-num_values * self.linear_bytes // 1)


PRECISIONS: dict[PrecisionName, Precision] = {
    "bf16": Precision(2, 2, 2, 4, 12),
    "fp16": Precision(2, 2, 2, 2, 12, 4),
    "fp8": Precision(2, 1, 2, 4, 12),
    "mxfp8": Precision(2, Fraction(33, 32), 2, 4, 12),
    "fp4": Precision(2, Fraction(1, 2), 2, 4, 12),
    "nvfp4": Precision(2, Fraction(9, 16), 2, 4, 12),
    "mxfp4": Precision(2, Fraction(17, 32), 2, 4, 12),
    "fp32": Precision(4, 4, 4, 4, 8),
}
"""By name.

References
----------
Megatron Core, distributed optimizer: 18 bytes a parameter with bf16 (fp32 gradients, fp32 copy of the weights), 20 with
fp16 (an fp32 copy of the gradients, too), 16 with fp32. With fp8 and fp4 the weights stay bf16 and each multiplication
casts. Blocks of 32 values share a scale of one byte in mxfp8 and mxfp4 (OCP Microscaling Formats 1.0), of 16 in nvfp4;
the one scale of a whole tensor in fp8 is not counted, nor any in plain fp4.

Notes
-----
The copy of fp16's gradients is made when the optimizer steps, and freed before the next forward (``zero_grad`` sets it
to None): it is there when activations are not, and no part of the peak.
"""
