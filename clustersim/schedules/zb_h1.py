"""ZB-H1: 1F1B with the backward parted, so that weight gradients fill a third of the bubble at 1F1B's memory.

References
----------
Qi et al., "Zero Bubble Pipeline Parallelism", ICLR 2024, section 2.1.
"""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.ops import Action, Kind, Order, Schedule, Shape, StageCosts
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
    return loop_schedule("zb-h1", shape, tuple(_rank_order(shape, rank) for rank in range(shape.num_ranks)))


def _rank_order(shape: Shape, rank: int) -> Order:
    m = shape.num_microbatches
    num_warmup = min(shape.num_ranks - rank, m)
    lag = min(rank, m)  # W waits this long behind I: the later the rank, the longer I is on the critical path
    order = [Action(Kind.F, rank, microbatch) for microbatch in range(num_warmup)]
    for microbatch in range(m):
        order.append(Action(Kind.I, rank, microbatch))
        if microbatch >= lag:
            order.append(Action(Kind.W, rank, microbatch - lag))
        if microbatch + num_warmup < m:
            order.append(Action(Kind.F, rank, microbatch + num_warmup))
    for microbatch in range(m - lag, m):
        order.append(Action(Kind.W, rank, microbatch))
    return tuple(order)
