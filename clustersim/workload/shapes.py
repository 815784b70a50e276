"""Shapes of what a GPU computes, held against those in the measurements that a device's constants rest on.

A constant says how much of a peak a class of kernels reaches over the shapes that were measured. Of a shape outside
them it may say something else: what lies outside is told, never taken for granted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from clustersim.scenario.devices import DimensionName, Kernels, Range, ShapeName
from clustersim.scenario.precision import NARROW
from clustersim.scenario.spec import Scenario
from clustersim.workload.model.shard import shard_of
from clustersim.workload.model.stage import stage_operators
from clustersim.workload.model.work import Operator
from clustersim.workload.model_costs import measured_of, microbatch_of, model_parts

_TOO_SMALL = ("router", "shared_gate")  # products of a few columns, which decide no time and would blur the ranges


_SHAPES: dict[tuple[str, str | None], ShapeName] = {
    ("gemm", None): "gemm",
    ("gemm", "fp8"): "gemm_fp8",
    ("gemm", "fp4"): "gemm_fp4",
    ("experts", None): "experts",
    ("experts", "fp8"): "experts_fp8",
    ("experts", "fp4"): "experts_fp4",
}
"""Classes of products, by kind and by the peak of their format; None: 16 bits or more."""


class Dimension(NamedTuple):
    """One dimension of an operator on one GPU."""

    shape: ShapeName  # class of operators
    name: DimensionName
    value: int
    operator: str


class OutOfRange(NamedTuple):
    """A dimension that no measurement reaches."""

    dimension: Dimension
    measured: Range | None  # None: no measurement has any operator of that class


def dimensions_of(scenario: Scenario, num_stages: int) -> Iterator[Dimension]:
    """Yield every dimension of the products of matrices and of attention in what is derived of a scenario's model."""
    model = scenario.model
    assert model is not None
    microbatch, shard, measured = microbatch_of(scenario), shard_of(scenario.parallelism), measured_of(scenario)
    parts = [measured.unmeasured(part) for part in model_parts(scenario, num_stages)]
    operators = dict.fromkeys(op for part in parts for op in stage_operators(model, part, microbatch, shard))
    for operator in operators:
        if operator.gemm is not None and operator.kind != "attention" and operator.name not in _TOO_SMALL:
            shape = _class_of(operator)
            yield Dimension(shape, "rows", operator.gemm.rows, operator.name)
            yield Dimension(shape, "inputs", operator.gemm.inputs, operator.name)
            yield Dimension(shape, "outputs", operator.gemm.outputs, operator.name)
    if not any(part.layers for part in parts):
        return
    core: ShapeName = "attention" if scenario.training.flash_attention else "unfused_attention"
    yield Dimension(core, "seq_length", model.seq_length, "attention")
    yield Dimension(core, "head_size", model.head_size, "attention")


def _class_of(operator: Operator) -> ShapeName:
    return _SHAPES["experts" if operator.kind == "experts" else "gemm", NARROW.get(operator.precision)]


def ranges_of(dimensions: Iterable[Dimension]) -> dict[ShapeName, dict[DimensionName, Range]]:
    """Return the smallest and the largest of each dimension, by class of operators.

    Examples
    --------
    >>> ranges_of([Dimension("gemm", "rows", 4096, "qkv"), Dimension("gemm", "rows", 512, "fc1")])
    {'gemm': {'rows': (512, 4096)}}
    """
    ranges: dict[ShapeName, dict[DimensionName, Range]] = {}
    for shape, name, value, _ in dimensions:
        known = ranges.setdefault(shape, {})
        smallest, largest = known.get(name, (value, value))
        known[name] = (min(smallest, value), max(largest, value))
    return ranges


def out_of_range(dimensions: Iterable[Dimension], kernels: Kernels) -> list[OutOfRange]:
    """Return what no measurement reaches: of each class and dimension the farthest below and the farthest above.

    A class of which nothing was measured is told once.
    """
    found: dict[object, OutOfRange] = {}
    for dimension in dimensions:
        measured = _measured(kernels.measured_over, dimension)
        if measured is None:
            found.setdefault(dimension.shape, OutOfRange(dimension, None))
            continue
        smallest, largest = measured
        if smallest <= dimension.value <= largest:
            continue
        is_above = dimension.value > largest
        key = (dimension.shape, dimension.name, is_above)
        known = found.get(key)
        if known is None or (dimension.value > known.dimension.value) == is_above:
            found[key] = OutOfRange(dimension, measured)
    return list(found.values())


def _measured(over: Mapping[ShapeName, Mapping[DimensionName, Range]], dimension: Dimension) -> Range | None:
    return over.get(dimension.shape, {}).get(dimension.name)
