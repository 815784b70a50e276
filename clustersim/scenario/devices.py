"""Accelerators: the entries of the device catalogue, ``topologies/devices/*.yaml``."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path as FilePath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clustersim.errors import Fault, ScenarioError, nearest
from clustersim.scenario.document import READERS, read_document
from clustersim.scenario.faults import faults_of
from clustersim.scenario.gallery import gallery_file, gallery_names
from clustersim.scenario.node import Place, plain
from clustersim.scenario.precision import PrecisionName, allowed_formats
from clustersim.scenario.units import BandwidthBytesPerS, FlopPerS, SizeBytes, TimePs, Watt

Share = Annotated[float, Field(gt=0, le=1)]
Origin = Literal["measured", "derived", "assumed", "given"]
"""Where a cost comes from: measured by itself, derived from measurements by a fit, assumed, or given in a scenario."""
ConstantName = Literal[
    "gemm",
    "gemm_fp8",
    "gemm_fp4",
    "experts",
    "attention_forward",
    "attention_backward",
    "memory",
    "launch",
    "host_gap",
]
ShapeName = Literal[
    "gemm", "gemm_fp8", "gemm_fp4", "experts", "experts_fp8", "experts_fp4", "attention", "unfused_attention"
]
DimensionName = Literal["rows", "inputs", "outputs", "seq_length", "head_size"]
Range = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
"""The smallest and the largest."""


class AttentionKernel(BaseModel):
    """What one implementation of FlashAttention reaches of a peak."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    forward: Share = Field(description="Share of the peak that its forward reaches.")
    backward: Share = Field(description="Share of the peak that its backward reaches.")
    source: str = Field(description="Where these come from.")


class Kernels(BaseModel):
    """How much of its peaks an accelerator's kernels reach, one entry a class of kernels.

    A product of matrices is computed in tiles, one a multiprocessor at a time: what does not fill the last round is
    lost, and each tile begins with a stretch of its inner dimension that computes nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    gemm: Share = Field(description="Share of the peak that a large product of matrices reaches.")
    gemm_fp8: Share | None = Field(None, description="The same in fp8; absent: as gemm.")
    gemm_fp4: Share | None = Field(None, description="The same in fp4; absent: as in fp8.")
    experts: Share = Field(description="Share of the peak that the experts' grouped products reach.")
    attention_forward: Share = Field(description="Share of the peak that FlashAttention's forward reaches.")
    attention_backward: Share = Field(description="Share of the peak that its backward reaches.")
    attention_kernels: dict[str, AttentionKernel] = Field(
        {}, description="The same of further implementations, by the name that `training.attention_kernel` gives."
    )
    memory: Share = Field(description="Share of the memory's bandwidth that element-wise kernels reach.")
    launch: TimePs = Field(description="What each kernel takes beside its work.")
    host_gap: TimePs = Field(0, description="What the host takes beside each op of the pipeline.")
    multiprocessors: int = Field(ge=1, description="Tiles that are computed at once.")
    tile_rows: int = Field(ge=1, description="Rows of a tile.")
    tile_columns: int = Field(ge=1, description="Columns of a tile.")
    tile_fill: int = Field(ge=0, description="Length of the inner dimension that a tile loses.")
    measured: tuple[ConstantName, ...] = Field((), description="Constants that were measured, each by itself.")
    fitted: tuple[ConstantName, ...] = Field(
        (), description="Constants fitted to measured step times; what is in neither list is assumed."
    )
    fitted_on: str | None = Field(
        None, description="Device whose measurements they were fitted to, if it is not this one but has the same die."
    )
    measured_over: dict[ShapeName, dict[DimensionName, Range]] = Field(
        {},
        description="Smallest and largest of each dimension in the measurements on that device, by class of operators: "
        "rows, inputs and outputs of one product of matrices on one GPU, length and head size of attention.",
    )
    source: str = Field(description="Where these come from, and what they were fitted to.")

    def origin(self, constant: ConstantName) -> Origin:
        """Return where a constant comes from."""
        if constant in self.measured:
            return "measured"
        return "derived" if constant in self.fitted else "assumed"


class Device(BaseModel):
    """An accelerator, as its vendor describes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str = Field(description="Name in the catalogue.")
    vendor: str = Field(description="Who makes it.")
    memory: SizeBytes = Field(description="Memory of one accelerator.")
    memory_bandwidth: BandwidthBytesPerS | None = Field(None, description="Bandwidth of that memory.")
    peak_flop_per_s: dict[str, FlopPerS] = Field({}, description="Peak dense rate of each precision.")
    scaleup_bandwidth: BandwidthBytesPerS | None = Field(
        None, description="Bandwidth to its node or domain, per direction."
    )
    kernels: Kernels | None = Field(None, description="What its kernels reach; absent: times can't be derived.")
    tdp: Watt | None = Field(None, description="Thermal design power.")
    source: str = Field("", description="Where the figures come from.")
    confidence: str = Field("", description="How sure the figures are.")
    notes: str = Field("", description="What else is to be known.")

    def __hash__(self) -> int:  # its mappings have none; whoever looks up costs by device compares the rest
        return hash(self.name)


def device_names() -> tuple[str, ...]:
    """Return the names in the device catalogue, sorted."""
    return gallery_names("devices")


def is_device_file(name: str) -> bool:
    """Return whether `name` is the path of a device file, and no name in the catalogue.

    Examples
    --------
    >>> is_device_file("H100-SXM5-80GB"), is_device_file("./mine.yaml")
    (False, True)
    """
    return FilePath(name).suffix.lower() in READERS


def load_device(name: str) -> Device:
    """Return the device called `name` in the catalogue, or in the file at that path.

    Raises
    ------
    ScenarioError
        No such device, or a file with mistakes.
    """
    path = FilePath(name) if is_device_file(name) else gallery_file("devices", name)
    if path is None:
        raise ScenarioError(unknown_device(name, Place("device", None, None, False)))
    status = path.stat() if path.is_file() else None
    return _read_device(path, (status.st_mtime_ns, status.st_size) if status else None)


@lru_cache(64)  # a sweep asks at every point
def _read_device(path: FilePath, _written: tuple[int, int] | None) -> Device:
    """Return the device in a file, which is read once for each time and size that it was written with."""
    root = read_document(path).root
    try:
        return Device.model_validate(plain(root))
    except ValidationError as error:
        raise ScenarioError(faults_of(error, Device, root)) from None


def name_in_file(name: str) -> str:
    """Return the name of a device that a topology names: its own, where that is the path of its file."""
    return load_device(name).name if is_device_file(name) else name


def format_fault(device: Device, precision: PrecisionName) -> str:
    """Return what is wrong with training in a number format on a device; nothing if that is unknown.

    Examples
    --------
    >>> format_fault(load_device("H100-SXM5-80GB"), "nvfp4")
    'H100-SXM5-80GB computes nothing in nvfp4; allowed: bf16, fp16, fp8, mxfp8, fp32'
    """
    peaks = device.peak_flop_per_s
    allowed = allowed_formats(peaks)
    if precision in allowed or not peaks:
        return ""
    return f"{device.name} computes nothing in {precision}; allowed: {', '.join(allowed)}"


def unknown_device(name: str, place: Place) -> Fault:
    """Return the fault of a name, given at `place`, that is not in the catalogue."""
    known = device_names()
    hint = nearest(name, known) or f"allowed: {', '.join(known)}"
    return Fault(place.written, f"'{name}' is not in the device catalogue", place.nearest, hint)
