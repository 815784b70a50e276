"""How long operators take on a device: the longer of computing and of moving bytes, and the launch.

References
----------
S. Williams, A. Waterman, D. Patterson, "Roofline", Communications of the ACM 52(4), 2009. NVIDIA, "Matrix
Multiplication Background User's Guide" (tile and wave quantisation).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from clustersim.scenario.devices import Device, Kernels
from clustersim.scenario.precision import NARROW, PrecisionName
from clustersim.scenario.units import PS_PER_S
from clustersim.workload.model.stage import Repeated
from clustersim.workload.model.work import Gemm, Operator, Work

_SAME_PEAK = {"fp16": "bf16", "bf16": "fp16"}


@dataclass(frozen=True, slots=True)
class DeviceTiming:
    """A device whose kernels' efficiencies are known."""

    kernels: Kernels
    peak_flop_per_s: Mapping[str, Fraction]
    memory_bytes_per_s: Fraction

    @classmethod
    def of(cls, device: Device) -> DeviceTiming:
        """Return the timing of a device.

        Raises
        ------
        ValueError
            The catalogue does not know what its kernels reach, or the bandwidth of its memory.
        """
        if device.kernels is None or device.memory_bandwidth is None or not device.peak_flop_per_s:
            raise ValueError(f"the catalogue does not say what kernels reach on {device.name}")
        return cls(device.kernels, device.peak_flop_per_s, device.memory_bandwidth)

    def forward_ps(self, operators: Repeated) -> int:
        """Return how long the forwards of operators take, one after the other. [ps]"""
        return self._total(operators, lambda operator: self._forward_s(operator))

    def input_grad_ps(self, operators: Repeated) -> int:
        """Return how long their input gradients take. [ps]"""
        return self._total(operators, self._input_grad_s)

    def weight_grad_ps(self, operators: Repeated) -> int:
        """Return how long their weight gradients take. [ps]"""
        return self._total(operators, self._weight_grad_s)

    def memory_ps(self, num_bytes: int) -> int:
        """Return how long an element-wise kernel takes that moves so many bytes. [ps]"""
        return -int(-self._memory_s(num_bytes) * PS_PER_S // 1)

    def _total(self, operators: Repeated, seconds: Callable[[Operator], float]) -> int:
        total_s = sum(count * seconds(operator) for operator, count in operators.items())
        return -int(-total_s * PS_PER_S // 1)  # rounded up once

    def _forward_s(self, operator: Operator) -> float:
        return self._kernel_s(operator, operator.forward, operator.gemm, self.kernels.attention_forward)

    def _input_grad_s(self, operator: Operator) -> float:
        gemm = operator.gemm and Gemm(
            operator.gemm.rows, operator.gemm.outputs, operator.gemm.inputs, operator.gemm.copies
        )
        return self._kernel_s(operator, operator.input_grad, gemm, self.kernels.attention_backward)

    def _weight_grad_s(self, operator: Operator) -> float:
        gemm = operator.gemm and Gemm(
            operator.gemm.inputs, operator.gemm.rows, operator.gemm.outputs, operator.gemm.copies
        )
        return self._kernel_s(operator, operator.weight_grad, gemm, self.kernels.attention_backward)

    def _kernel_s(self, operator: Operator, work: Work, gemm: Gemm | None, attention: float) -> float:
        """Return how long a kernel takes; none if it has nothing to do. [s]"""
        if not work.flop and not work.moved_bytes:
            return 0.0
        share = attention
        if operator.kind == "experts":
            share = self.kernels.experts
        elif operator.kind == "linear" or gemm is not None:
            share = self._gemm(operator.precision)
        if gemm is not None:
            share *= self._filled(gemm)
        compute_s = work.flop / (peak_rate(self.peak_flop_per_s, operator.precision) * share) if work.flop else 0.0
        return max(compute_s, self._memory_s(work.moved_bytes)) + self.kernels.launch / PS_PER_S

    def _gemm(self, precision: PrecisionName) -> float:
        """Return the share of the peak that products reach in a format; fp4 is as fp8 where it is not known."""
        kernels, family = self.kernels, NARROW.get(precision)
        fp8 = kernels.gemm_fp8 or kernels.gemm
        return kernels.gemm if family is None else (kernels.gemm_fp4 or fp8) if family == "fp4" else fp8

    def _filled(self, gemm: Gemm) -> float:
        """Return which share of the tiles' time a product of matrices uses."""
        kernels = self.kernels
        tiles = -(-gemm.rows // kernels.tile_rows) * -(-gemm.outputs // kernels.tile_columns) * gemm.copies
        rounds = -(-tiles // kernels.multiprocessors)
        computed = rounds * kernels.multiprocessors * kernels.tile_rows * kernels.tile_columns
        used = gemm.rows * gemm.outputs * gemm.copies / computed
        return used * gemm.inputs / (gemm.inputs + kernels.tile_fill)

    def _memory_s(self, num_bytes: int) -> float:
        return num_bytes / (float(self.memory_bytes_per_s) * self.kernels.memory)


def peak_rate(peaks: Mapping[str, Fraction], precision: PrecisionName) -> float:
    """Return the peak rate in a number format, of `peaks` by name, which are not empty. [FLOP/s]

    16-bit formats share one, and others that lack one do, too.
    """
    for name in (NARROW.get(precision, precision), _SAME_PEAK.get(precision, "bf16"), "bf16"):
        if name in peaks:
            return float(peaks[name])
    return float(next(iter(peaks.values())))
