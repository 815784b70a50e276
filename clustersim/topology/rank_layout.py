"""Rank layout: where a rank stands on the parallelism axes."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import NamedTuple

from clustersim.errors import Fault, ScenarioError

AXES = ("tp", "cp", "ep", "dp", "pp")


class RankCoordinates(NamedTuple):
    """Where a rank stands on each axis."""

    tp: int
    cp: int
    dp: int
    pp: int


@dataclass(frozen=True, slots=True)
class RankLayout:
    """The grid of global ranks: ``order`` names the axes, the fastest-moving first.

    Expert parallelism regroups the ranks of tp, cp and dp; it is no factor of its own, so ``ep`` in the order moves
    nothing here. An axis of one rank may be left out of the order.

    References
    ----------
    Megatron-LM, ``megatron/core/parallel_state.py``, ``RankGenerator``.

    Examples
    --------
    >>> layout = RankLayout(tp=2, dp=2, pp=2)
    >>> layout.num_ranks, layout.coordinates(5)
    (8, RankCoordinates(tp=1, cp=0, dp=0, pp=1))
    >>> layout.rank(layout.coordinates(5))
    5
    """

    tp: int = 1
    cp: int = 1
    dp: int = 1
    pp: int = 1
    order: str = "tp-cp-ep-dp-pp"
    _strides: RankCoordinates = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        named = self.order.split("-")
        missing = [axis for axis in RankCoordinates._fields if axis not in named and getattr(self, axis) > 1]
        if missing or len(set(named)) < len(named) or not set(named) <= set(AXES):
            what = f"got {self.order!r}; an order names each of {', '.join(AXES)} once, joined by '-'"
            raise ScenarioError(Fault("parallelism.order", what, hint="the first axis moves fastest"))
        if min(self._sizes) < 1:
            raise ScenarioError(Fault("parallelism", f"got {self}; every axis has at least one rank"))
        object.__setattr__(self, "_strides", self._find_strides())

    @property
    def _sizes(self) -> RankCoordinates:
        return RankCoordinates(self.tp, self.cp, self.dp, self.pp)

    @property
    def num_ranks(self) -> int:
        """Number of global ranks."""
        return prod(self._sizes)

    @property
    def strides(self) -> RankCoordinates:
        """How many ranks one step along each axis is.

        Examples
        --------
        >>> RankLayout(tp=2, dp=3, pp=4).strides
        RankCoordinates(tp=1, cp=2, dp=2, pp=6)
        """
        return self._strides

    def _find_strides(self) -> RankCoordinates:
        stride_by_axis, stride = dict.fromkeys(RankCoordinates._fields, 1), 1
        for axis in self.order.split("-"):
            if axis in stride_by_axis:
                stride_by_axis[axis] = stride
                stride *= int(getattr(self, axis))
        return RankCoordinates(**stride_by_axis)

    def rank(self, coordinates: RankCoordinates) -> int:
        """Return the global rank at `coordinates`."""
        return sum(index * stride for index, stride in zip(coordinates, self._strides, strict=True))

    def coordinates(self, rank: int) -> RankCoordinates:
        """Return where a global rank stands."""
        return RankCoordinates(*(rank // stride % size for stride, size in zip(self.strides, self._sizes, strict=True)))
