"""Measured times of a stage's layers, in place of those that are derived; see :mod:`clustersim.scenario.profile`.

Layers that differ in their sliding window alone share a row. MTP modules are always derived.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from clustersim.scenario.profile import PartName, ProfileRow
from clustersim.workload.model.layers import LayerKind
from clustersim.workload.model.recompute import Recompute
from clustersim.workload.model.stage import ModelPart


@dataclass(frozen=True, slots=True)
class OpTimes:
    """What one micro-batch takes on a stage. [ps]"""

    forward_ps: int = 0
    input_grad_ps: int = 0
    weight_grad_ps: int = 0
    recompute_ps: int = 0

    def plus(self, other: OpTimes) -> OpTimes:
        """Return the sum of both."""
        return OpTimes(
            self.forward_ps + other.forward_ps,
            self.input_grad_ps + other.input_grad_ps,
            self.weight_grad_ps + other.weight_grad_ps,
            self.recompute_ps + other.recompute_ps,
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """The rows of a profile for one configuration; without any, everything is derived."""

    rows: Mapping[PartName, ProfileRow] = field(default_factory=dict)
    recompute: Recompute = "none"

    def times(self, part: ModelPart, again: ModelPart) -> OpTimes:
        """Return what the measured layers of a stage take together; a fused backward is told as an input gradient.

        Parameters
        ----------
        part
            The stage.
        again
            Those of its layers that are recomputed.

        Examples
        --------
        >>> row = ProfileRow(part="dense-layer", forward="2 ns", backward="5 ns")
        >>> stage = ModelPart((LayerKind(False, None),) * 3, has_embedding=True)
        >>> Measured({"dense-layer": row}, "full").times(stage, ModelPart(stage.kinds[:2]))
        OpTimes(forward_ps=6000, input_grad_ps=15000, weight_grad_ps=0, recompute_ps=4000)
        """
        total = OpTimes(recompute_ps=sum((self._recompute_ps(_name_of(kind)) or 0) for kind in again.kinds))
        for name, count in _parts(part).items():
            row = self.rows.get(name)
            if row is not None:
                backward_ps = row.input_grad if row.backward is None else row.backward
                total = total.plus(
                    OpTimes(
                        count * (row.forward or 0),
                        count * (backward_ps or 0),
                        count * (row.weight_grad or 0),
                    )
                )
        return total

    def unmeasured(self, part: ModelPart) -> ModelPart:
        """Return what of a stage has no measured times."""
        return _without(part, set(self.rows))

    def unmeasured_again(self, again: ModelPart) -> ModelPart:
        """Return which of the recomputed layers have no measured time of that."""
        return _without(again, {name for name in self.rows if self._recompute_ps(name) is not None})

    def exchanging(self, part: ModelPart, axis: str) -> ModelPart:
        """Return what of a stage exchanges beside its times, of what exchanges over `axis` at all."""
        return _without(part, self._including(axis))

    def exchanging_again(self, again: ModelPart, axis: str) -> ModelPart:
        """Return the same of the recomputed layers."""
        return _without(again, {name for name in self._including(axis) if self._recompute_ps(name) is not None})

    def _including(self, axis: str) -> set[PartName]:
        return {name for name, row in self.rows.items() if axis in row.includes}

    def optimizer_ps(self, chunk: int, num_chunks: int) -> int | None:
        """Return a stage's share of its rank's optimizer step; the first chunks take what does not divide. [ps]"""
        row = self.rows.get("optimizer")
        if row is None or row.optimizer_step is None:
            return None
        quotient, remainder = divmod(row.optimizer_step, num_chunks)
        return quotient + (chunk < remainder)

    def _recompute_ps(self, name: PartName) -> int | None:
        """Return what a layer runs again; None if that is derived."""
        row = self.rows.get(name)
        if row is None:
            return None
        return row.forward if row.recompute is None and self.recompute == "full" else row.recompute


def _parts(part: ModelPart) -> Counter[PartName]:
    """Return how often a stage has each part."""
    found: Counter[PartName] = Counter(map(_name_of, part.kinds))
    found["embedding"] += part.has_embedding
    found["output"] += part.has_output
    return found


def _name_of(kind: LayerKind) -> PartName:
    return "moe-layer" if kind.has_experts else "dense-layer"


def _without(part: ModelPart, names: set[PartName]) -> ModelPart:
    kinds: Iterator[LayerKind] = (kind for kind in part.kinds if _name_of(kind) not in names)
    return ModelPart(
        tuple(kinds),
        part.has_embedding and "embedding" not in names,
        part.has_output and "output" not in names,
        part.mtp_kinds,
    )
