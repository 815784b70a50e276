"""The constants that a calibration fits, and what is known of each before anything was measured."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.planning.fit import Prior
from clustersim.scenario.devices import Device
from clustersim.scenario.measured import Measured

IN_TRAINING = "in_training"
_NUDGE = 0.06  # of a logarithm, over which slopes are taken: wide enough for a step time's kinks
_PS_PER_US = 1e6


@dataclass(frozen=True, slots=True)
class Parameter:
    """A constant, in what unit it is fitted, and how far it may be from its start.

    Spreads are assumed: about those of the constants that the catalogue's devices have.
    """

    spread: float  # standard deviation of its logarithm
    lowest: float
    highest: float
    unit: str = ""

    def prior(self, start: float) -> Prior:
        """Return what is known of the constant before anything was measured."""
        return Prior(min(max(start, self.lowest), self.highest), self.spread, self.lowest, self.highest)


PARAMETERS: dict[str, Parameter] = {
    "gemm": Parameter(0.3, 0.01, 1.0),
    "gemm_fp8": Parameter(0.3, 0.01, 1.0),
    "gemm_fp4": Parameter(0.3, 0.01, 1.0),
    "experts": Parameter(0.5, 0.01, 1.0),
    "attention_forward": Parameter(0.4, 0.01, 1.0),
    "attention_backward": Parameter(0.4, 0.01, 1.0),
    "memory": Parameter(0.3, 0.01, 1.0),
    "launch": Parameter(0.7, 0.1, 1000.0, "us"),
    "tile_fill": Parameter(0.7, 1.0, 4096.0),
    IN_TRAINING: Parameter(0.3, 0.05, 1.0),
}
"""Shares of peaks, the time to launch a kernel, and of the topology the share of bandwidth left to collectives.

A device's `host_gap` is none of them: most have none, which no factor makes one, and step times of one schedule do not
tell it from `launch`.
"""


@dataclass(frozen=True, slots=True)
class Constants:
    """A device, and the share of bandwidth that is left to collectives while it computes."""

    device: Device
    in_training: float | None = None  # None: each topology's own

    def value(self, name: str) -> float:
        """Return one of `PARAMETERS`, in its unit."""
        kernels = self.device.kernels
        assert kernels is not None
        if name == IN_TRAINING:
            return 1.0 if self.in_training is None else self.in_training
        if name == "launch":
            return kernels.launch / _PS_PER_US
        value = getattr(kernels, name)
        if value is None and name == "gemm_fp4":
            value = kernels.gemm_fp8
        return float(kernels.gemm if value is None else value)

    def with_values(self, values: Mapping[str, float]) -> Constants:
        """Return these constants with others in their place, rounded as a file has them."""
        kernels = self.device.kernels
        assert kernels is not None
        changes = {name: _rounded(name, value) for name, value in values.items() if name != IN_TRAINING}
        device = self.device.model_copy(update={"kernels": kernels.model_copy(update=changes)})
        given = values.get(IN_TRAINING)
        return Constants(device, self.in_training if given is None else round(given, 4))


def _rounded(name: str, value: float) -> float | int:
    if name == "launch":
        return round(value * 1000) * 1000  # a whole number of nanoseconds
    return round(value) if name == "tile_fill" else round(value, 4)


def usual_share(rows: Sequence[Measured]) -> float:
    """Return the share of bandwidth that the rows' topologies leave to collectives, the median if they differ."""
    libraries = (row.scenario.cluster.topology.collectives for row in rows)
    return statistics.median([library.in_training if library else 1.0 for library in libraries])


def nudged(name: str, value: float) -> float:
    """Return a value near by that differs once it is rounded."""
    return value + max(1, round(value * _NUDGE)) if name == "tile_fill" else value * float(np.exp(-_NUDGE))
