"""Shapes of what a GPU computes, held against those in the measurements that a device's constants rest on.

A constant says how much of a peak a class of kernels reaches over the shapes that were measured. Of a shape outside
them it may say something else: what lies outside is told, never taken for granted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from clustersim.scenario.devices import DimensionName, Kernels, Range, ShapeName
from clustersim.scenario.spec import Scenario
from clustersim.workload.model.shard import shard_of
from clustersim.workload.model.stage import stage_operators
from clustersim.workload.model.work import Operator
from clustersim.workload.model_costs import microbatch_of, model_parts

_TOO_SMALL = ("router", "shared_gate")  # products of a few columns, which decide no time and would blur the ranges


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
    """Yield every dimension of the products of matrices and of attention in a scenario's model."""
    model = scenario.model
    assert model is not None
    microbatch, shard = microbatch_of(scenario), shard_of(scenario.parallelism)
    parts = model_parts(scenario, num_stages)
    operators = dict.fromkeys(op for part in parts for op in stage_operators(model, part, microbatch, shard))
    for operator in operators:
        if operator.gemm is not None and operator.kind != "attention" and operator.name not in _TOO_SMALL:
            shape = _class_of(operator)
            yield Dimension(shape, "rows", operator.gemm.rows, operator.name)
            yield Dimension(shape, "inputs", operator.gemm.inputs, operator.name)
            yield Dimension(shape, "outputs", operator.gemm.outputs, operator.name)
    core: ShapeName = "attention" if scenario.training.flash_attention else "unfused_attention"
    yield Dimension(core, "seq_length", model.seq_length, "attention")
    yield Dimension(core, "head_size", model.head_size, "attention")


def _class_of(operator: Operator) -> ShapeName:
    if operator.kind == "experts":
        return "experts_fp8" if operator.precision == "fp8" else "experts"
    return "gemm_fp8" if operator.precision == "fp8" else "gemm"


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
