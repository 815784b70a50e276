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
from typing import NamedTuple

from clustersim.scenario.devices import ConstantName, Device, Kernels
from clustersim.scenario.precision import NARROW, PrecisionName
from clustersim.scenario.units import PS_PER_S
from clustersim.workload.model.stage import Repeated
from clustersim.workload.model.work import Gemm, Operator, Work

_SAME_PEAK = {"fp16": "bf16", "bf16": "fp16"}


class KernelTime(NamedTuple):
    """How long a kernel takes, and which constant of the device decides it. [s]"""

    constant: ConstantName
    work_s: float
    launch_s: float

    @property
    def total_s(self) -> float:
        """Work and launch. [s]"""
        return self.work_s + self.launch_s


_NO_KERNEL = KernelTime("launch", 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class DeviceTiming:
    """A device whose kernels' efficiencies are known."""

    kernels: Kernels
    peak_flop_per_s: Mapping[str, Fraction]
    memory_bytes_per_s: Fraction

    @classmethod
    def of(cls, device: Device, attention_kernel: str | None = None) -> DeviceTiming:
        """Return the timing of a device, attention computed by its usual kernel or by the one that is named.

        Raises
        ------
        ValueError
            The catalogue does not know what its kernels reach, or the bandwidth of its memory.
        KeyError
            Nor does it know that attention kernel.
        """
        if device.kernels is None or device.memory_bandwidth is None or not device.peak_flop_per_s:
            raise ValueError(f"the catalogue does not say what kernels reach on {device.name}")
        kernels = device.kernels
        if attention_kernel is not None:
            kernel = kernels.attention_kernels[attention_kernel]
            shares = {"attention_forward": kernel.forward, "attention_backward": kernel.backward}
            kernels = kernels.model_copy(update=shares)
        return cls(kernels, device.peak_flop_per_s, device.memory_bandwidth)

    def forward_ps(self, operators: Repeated) -> int:
        """Return how long the forwards of operators take, one after the other. [ps]"""
        return self._total(operators, self.forward)

    def input_grad_ps(self, operators: Repeated) -> int:
        """Return how long their input gradients take. [ps]"""
        return self._total(operators, self.input_grad)

    def weight_grad_ps(self, operators: Repeated) -> int:
        """Return how long their weight gradients take. [ps]"""
        return self._total(operators, self.weight_grad)

    def memory_ps(self, num_bytes: int) -> int:
        """Return how long an element-wise kernel takes that moves so many bytes. [ps]"""
        return -int(-self._memory_s(num_bytes) * PS_PER_S // 1)

    def _total(self, operators: Repeated, time_of: Callable[[Operator], KernelTime]) -> int:
        total_s = sum(count * time_of(operator).total_s for operator, count in operators.items())
        return -int(-total_s * PS_PER_S // 1)  # rounded up once

    def forward(self, operator: Operator) -> KernelTime:
        """Return how long the forward of an operator takes. [s]"""
        return self._kernel(operator, operator.forward, operator.gemm, "attention_forward")

    def input_grad(self, operator: Operator) -> KernelTime:
        """Return how long the gradient of its input takes. [s]"""
        gemm = operator.gemm and Gemm(
            operator.gemm.rows, operator.gemm.outputs, operator.gemm.inputs, operator.gemm.copies
        )
        return self._kernel(operator, operator.input_grad, gemm, "attention_backward")

    def weight_grad(self, operator: Operator) -> KernelTime:
        """Return how long the gradient of its weights takes. [s]"""
        gemm = operator.gemm and Gemm(
            operator.gemm.inputs, operator.gemm.rows, operator.gemm.outputs, operator.gemm.copies
        )
        return self._kernel(operator, operator.weight_grad, gemm, "attention_backward")

    def _kernel(self, operator: Operator, work: Work, gemm: Gemm | None, attention: ConstantName) -> KernelTime:
        """Return how long a kernel takes; no time if it has nothing to do. [s]"""
        if not work.flop and not work.moved_bytes:
            return _NO_KERNEL
        constant = self._constant(operator, gemm, attention)
        share: float = getattr(self.kernels, constant)
        if gemm is not None:
            share *= self._filled(gemm)
        compute_s = work.flop / (peak_rate(self.peak_flop_per_s, operator.precision) * share) if work.flop else 0.0
        memory_s = self._memory_s(work.moved_bytes)
        launch_s = self.kernels.launch / PS_PER_S
        return KernelTime(constant if compute_s > memory_s else "memory", max(compute_s, memory_s), launch_s)

    def _constant(self, operator: Operator, gemm: Gemm | None, attention: ConstantName) -> ConstantName:
        """Return which share of the peak an operator's FLOP run at."""
        if operator.kind == "experts":
            return "experts"
        if operator.kind == "linear" or gemm is not None:
            return self._gemm(operator.precision)
        return attention

    def _gemm(self, precision: PrecisionName) -> ConstantName:
        """Return which share products reach in a format: fp4 is as fp8 where it is not known, and fp8 as 16 bits."""
        family = NARROW.get(precision)
        if family == "fp4" and self.kernels.gemm_fp4:
            return "gemm_fp4"
        return "gemm_fp8" if family and self.kernels.gemm_fp8 else "gemm"

    def seconds_by_constant(
        self, operators: Repeated, time_of: Callable[[Operator], KernelTime]
    ) -> dict[ConstantName, float]:
        """Return how much of the time of operators each constant decides, `time_of` being one of the three. [s]"""
        by_constant: dict[ConstantName, float] = {}
        for operator, count in operators.items():
            time = time_of(operator)
            by_constant[time.constant] = by_constant.get(time.constant, 0.0) + count * time.work_s
            by_constant["launch"] = by_constant.get("launch", 0.0) + count * time.launch_s
        return by_constant

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
