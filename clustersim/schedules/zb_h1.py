"""ZB-H1: 1F1B with the backward parted, so that weight gradients fill a third of the bubble at 1F1B's memory.

References
----------
Qi et al., "Zero Bubble Pipeline Parallelism", ICLR 2024, section 2.1.
"""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.ops import Action, Kind, Schedule, Shape, StageCosts
from clustersim.schedules.placement import loop_schedule
from clustersim.schedules.rules import require_one_chunk


def zb_h1(shape: Shape, costs: Sequence[StageCosts] | None = None) -> Schedule:  # noqa: ARG001
    """Return ZB-H1's order: rank s does min(p - s, m) forwards, then I, W and F in turn, with W lagging s behind I.

    The makespan is mS + (p - 1)(F + I - min(F, I, W)) for m >= p, S = F + I + W, without communication.

    Examples
    --------
    >>> [" ".join(map(str, order)) for order in zb_h1(Shape(2, 2)).orders]
    ['0F0 0F1 0I0 0W0 0I1 0W1', '1F0 1I0 1F1 1I1 1W0 1W1']
    """
    require_one_chunk("zb-h1", shape)
    p, microbatches = shape.num_ranks, range(shape.num_microbatches)
    orders = []
    for rank in range(p):
        work = [(rank, microbatch) for microbatch in microbatches]
        orders.append(tuple(parted_order(work, work, num_warmup=p - rank, lag=rank)))
    return loop_schedule("zb-h1", shape, tuple(orders))


def parted_order(
    forwards: Sequence[tuple[int, int]], backwards: Sequence[tuple[int, int]], num_warmup: int, lag: int
) -> list[Action]:
    """Return `num_warmup` forwards, then I, W and F in turn, with W `lag` behind I; each is a (stage, micro-batch).

    The later the rank, the longer its I is on the critical path, and the longer W has to wait: hence `lag`.
    """
    total = len(forwards)
    order = [Action(Kind.F, *work) for work in forwards[:num_warmup]]
    for index in range(total):
        order.append(Action(Kind.I, *backwards[index]))
        if index >= lag:
            order.append(Action(Kind.W, *backwards[index - lag]))
        if index + num_warmup < total:
            order.append(Action(Kind.F, *forwards[index + num_warmup]))
    for index in range(max(total - lag, 0), total):
        order.append(Action(Kind.W, *backwards[index]))
    return order
