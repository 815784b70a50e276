"""Sizes of values in each number format of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PrecisionName = Literal["bf16", "fp16", "fp8", "fp32"]


@dataclass(frozen=True, slots=True)
class Precision:
    """Bytes of one value. [bytes]"""

    activation_bytes: int
    linear_bytes: int  # of the inputs and weights that a linear layer multiplies
    weight_bytes: int
    gradient_bytes: int  # as accumulated over micro-batches, and reduced
    optimizer_bytes: int  # Adam: two moments, and what mixed precision keeps beside them
    step_bytes: int = 0  # made in the optimizer step and freed with it


PRECISIONS: dict[PrecisionName, Precision] = {
    "bf16": Precision(2, 2, 2, 4, 12),
    "fp16": Precision(2, 2, 2, 2, 12, 4),
    "fp8": Precision(2, 1, 2, 4, 12),
    "fp32": Precision(4, 4, 4, 4, 8),
}
"""By name.

References
----------
Megatron Core, distributed optimizer: 18 bytes a parameter with bf16 (fp32 gradients, fp32 copy of the weights), 20 with
fp16 (an fp32 copy of the gradients, too), 16 with fp32. With fp8 the weights stay bf16 and each multiplication casts.

Notes
-----
The copy of fp16's gradients is made when the optimizer steps, and freed before the next forward (``zero_grad`` sets it
to None): it is there when activations are not, and no part of the peak.
"""
