"""Operators: what a GPU runs of a layer, as FLOP and bytes, from which a device makes times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from clustersim.scenario.precision import PrecisionName

OperatorKind = Literal["linear", "experts", "attention", "elementwise"]


class Work(NamedTuple):
    """FLOP, and bytes moved between a GPU and its memory at the least: each operand once."""

    flop: int = 0
    moved_bytes: int = 0

    def plus(self, other: Work) -> Work:
        """Return the sum of both."""
        return Work(self.flop + other.flop, self.moved_bytes + other.moved_bytes)


class Gemm(NamedTuple):
    """Shape of the matrix product of a forward: (rows x inputs) (inputs x outputs), `copies` times."""

    rows: int
    inputs: int
    outputs: int
    copies: int = 1


_NOTHING = Work()


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of one GPU and micro-batch."""

    name: str
    kind: OperatorKind
    precision: PrecisionName  # whose peak rate its FLOP run at
    forward: Work
    input_grad: Work  # I
    weight_grad: Work = _NOTHING  # W
    gemm: Gemm | None = None
    is_core: bool = False  # of the attention core, which selective recomputation runs again

    @property
    def backward(self) -> Work:
        """The whole backward: I and W."""
        return self.input_grad.plus(self.weight_grad)


def total_work(works: Iterable[Work]) -> Work:
    """Return the sum of `works`.

    Examples
    --------
    >>> total_work([Work(1, 2), Work(10, 20)])
    Work(flop=11, moved_bytes=22)
    """
    total = Work()
    for work in works:
        total = total.plus(work)
    return total
