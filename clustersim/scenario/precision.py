"""Number formats that linear layers may be trained in, and the peak rate of a device that each goes by."""

from __future__ import annotations

from collections.abc import Container
from typing import Literal

PrecisionName = Literal["bf16", "fp16", "fp8", "mxfp8", "fp4", "nvfp4", "mxfp4", "fp32"]

NARROW: dict[str, str] = {"fp8": "fp8", "mxfp8": "fp8", "fp4": "fp4", "nvfp4": "fp4", "mxfp4": "fp4"}
"""Formats that only linear layers have, the rest being bf16; and under which name a device's file has their peak."""


def allowed_formats(peaks: Container[str]) -> tuple[str, ...]:
    """Return the formats that a device with these peaks computes in.

    Examples
    --------
    >>> allowed_formats({"bf16", "fp8"})
    ('bf16', 'fp16', 'fp8', 'mxfp8', 'fp32')
    """
    return tuple(name for name in PrecisionName.__args__ if name not in NARROW or NARROW[name] in peaks)  # type: ignore[attr-defined]
