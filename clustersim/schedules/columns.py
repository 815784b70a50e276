"""The actions of a schedule as columns of numbers, for what is done with all of them at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from clustersim.ops import Action, Kind, Order, Schedule, actions_in

Numbers = NDArray[np.int64]

_KINDS = tuple(Kind)


class ActionColumns(NamedTuple):
    """Every action, rank after rank, in order; of an overlapped slot the forward, then the backward."""

    kind: Numbers
    stage: Numbers
    microbatch: Numbers
    rank: Numbers
    first: Numbers  # index of each rank's first action; one more entry than ranks
    has_overlaps: bool

    def has(self, kind: Kind) -> bool:
        """Return whether there is any action of a kind."""
        return bool((self.kind == kind).any())


class ColumnOrders(Sequence[Order]):
    """Orders that are kept as columns: the actions of a rank are made when somebody looks at them.

    Parameters
    ----------
    kind, microbatch
        ``kind[rank]`` and ``microbatch[rank]``: those of the rank's actions, all on the stage of its number.

    Examples
    --------
    >>> orders = ColumnOrders(np.array([[0, 1]]), np.array([[0, 0]]))
    >>> print(*orders[0], orders == ((Action(Kind.F, 0, 0), Action(Kind.B, 0, 0)),))
    0F0 0B0 True
    """

    def __init__(self, kind: Numbers, microbatch: Numbers) -> None:
        num_ranks, num_actions = len(kind), kind[0].size
        rank = np.repeat(np.arange(num_ranks), num_actions)
        first = num_actions * np.arange(num_ranks + 1)
        self.columns = ActionColumns(kind.reshape(-1), rank, microbatch.reshape(-1), rank, first, has_overlaps=False)
        self._made: dict[int, Order] = {}

    def __len__(self) -> int:
        return len(self.columns.first) - 1

    @overload
    def __getitem__(self, rank: int) -> Order: ...

    @overload
    def __getitem__(self, rank: slice) -> tuple[Order, ...]: ...

    def __getitem__(self, rank: int | slice) -> Order | tuple[Order, ...]:
        if isinstance(rank, slice):
            return tuple(self)[rank]
        number = range(len(self))[rank]
        if number not in self._made:
            self._made[number] = self._order(number)
        return self._made[number]

    def __iter__(self) -> Iterator[Order]:
        return map(self.__getitem__, range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def _order(self, rank: int) -> Order:
        mine = slice(*self.columns.first[rank : rank + 2].tolist())
        kind, stage, microbatch = (column[mine].tolist() for column in self.columns[:3])
        # What Action(...) does, without a call in Python for each.
        return tuple(
            map(tuple.__new__, repeat(Action), zip(map(_KINDS.__getitem__, kind), stage, microbatch, strict=True))
        )


def action_columns(schedule: Schedule) -> ActionColumns:
    """Return the actions of a schedule.

    Examples
    --------
    >>> from clustersim.ops import Shape
    >>> from clustersim.schedules.one_f_one_b import one_f_one_b
    >>> columns = action_columns(one_f_one_b(Shape(2, 1)))
    >>> columns.kind.tolist(), columns.stage.tolist(), columns.rank.tolist()
    ([0, 1, 0, 1], [0, 0, 1, 1], [0, 0, 1, 1])
    """
    orders = schedule.orders
    if isinstance(orders, ColumnOrders):
        return orders.columns
    has_overlaps = set(map(type, chain.from_iterable(orders))) - {Action} != set()
    actions: Sequence[Sequence[tuple[int, ...]]] = orders  # type: ignore[assignment]
    if has_overlaps:
        actions = [[action for slot in order for action in actions_in(slot)] for order in orders]
    num_actions = list(map(len, actions))
    flat = chain.from_iterable(chain.from_iterable(actions))
    table = np.fromiter(flat, np.int64, 3 * sum(num_actions)).reshape(-1, 3)
    kind, stage, microbatch = np.ascontiguousarray(table.T)
    rank = np.repeat(np.arange(len(num_actions)), num_actions)
    return ActionColumns(kind, stage, microbatch, rank, np.cumsum([0, *num_actions]), has_overlaps)
