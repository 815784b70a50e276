"""The actions of a schedule as columns of numbers, for what is done with all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clustersim.ops import Action, Schedule, actions_in

Numbers = NDArray[np.int64]


class ActionColumns(NamedTuple):
    """Every action, rank after rank, in order; of an overlapped slot the forward, then the backward."""

    kind: Numbers
    stage: Numbers
    microbatch: Numbers
    rank: Numbers
    first: Numbers  # index of each rank's first action; one more entry than ranks
    has_overlaps: bool


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
    has_overlaps = set(map(type, chain.from_iterable(orders))) - {Action} != set()
    actions: Sequence[Sequence[tuple[int, ...]]] = orders  # type: ignore[assignment]
    if has_overlaps:
        actions = [[action for slot in order for action in actions_in(slot)] for order in orders]
    num_actions = list(map(len, actions))
    flat = chain.from_iterable(chain.from_iterable(actions))
    table = np.fromiter(flat, np.int64, 3 * sum(num_actions)).reshape(-1, 3)
    kind, stage, microbatch = np.ascontiguousarray(table.T)
    return ActionColumns(
        kind,
        stage,
        microbatch,
        np.repeat(np.arange(len(orders)), num_actions),
        np.cumsum([0, *num_actions]),
        has_overlaps,
    )
