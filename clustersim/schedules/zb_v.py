"""ZB-V: zero bubble at 1F1B's memory, on two chunks a rank placed in a V.

References
----------
Qi et al., "Zero Bubble Pipeline Parallelism", 2023 (arXiv:2401.10241), section 6; ``ScheduleZBVZeroBubble`` of PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.ops import Action, Kind, Order, Schedule, Shape, StageCosts
from clustersim.schedules.placement import zigzag_schedule, zigzag_stage
from clustersim.schedules.rules import with_two_chunks


def zb_v(shape: Shape, costs: Sequence[StageCosts] | None = None) -> Schedule:  # noqa: ARG001
    """Return ZB-V's order, in which every rank starts the backward of a micro-batch soon after its second forward.

    With F = I = W = 1 for a chunk and m >= 2p - 1, without communication, every rank works without a break for its
    span of 6m, and the makespan is 6m + p - 1; a rank holds 2p chunk activations, as much as 1F1B's p of whole stages.

    Notes
    -----
    Fewer than 2p - 1 micro-batches take the order of 2p - 1, without what does not exist.

    Examples
    --------
    >>> [" ".join(map(str, order)) for order in zb_v(Shape(2, 1)).orders]
    ['0F0 3F0 3I0 3W0 0I0 0W0', '1F0 2F0 2I0 2W0 1I0 1W0']
    """
    shape = with_two_chunks("zb-v", shape)
    return zigzag_schedule("zb-v", shape, tuple(_rank_order(shape, rank) for rank in range(shape.num_ranks)))


def _rank_order(shape: Shape, rank: int) -> Order:
    p = shape.num_ranks
    n = max(shape.num_microbatches, 2 * p - 1)
    down, back = zigzag_stage(p, 0, rank), zigzag_stage(p, 1, rank)
    order: list[Action] = []
    for index in range(2 * (p - rank) - 1):  # warm-up: down the V, ...
        order.append(Action(Kind.F, down, index))
    for index in range(rank):  # ... down and back in turn, ...
        order.append(Action(Kind.F, back, index))
        order.append(Action(Kind.F, down, 2 * (p - rank) - 1 + index))
    for index in range(p - rank):  # ... and the first backwards
        order.append(Action(Kind.F, back, rank + index))
        order += _parted(back, index)
    for index in range(n - p):  # steady
        order.append(Action(Kind.F, down, 2 * p - rank - 1 + index))
        order += _parted(down, index)
        order.append(Action(Kind.F, back, p + index))
        order += _parted(back, p - rank + index)
    for index in range(rank):  # cool-down: input gradients that other ranks wait for, then W
        order.append(Action(Kind.I, down, n - p + index))
        order.append(Action(Kind.I, back, n - rank + index))
    for index in range(p - rank):
        order.append(Action(Kind.I, down, n - p + rank + index))
        order.append(Action(Kind.W, down, n - p + index))
    order += [Action(Kind.W, stage, n - rank + index) for stage in (back, down) for index in range(rank)]
    return tuple(action for action in order if action.microbatch < shape.num_microbatches)


def _parted(stage: int, microbatch: int) -> list[Action]:
    return [Action(Kind.I, stage, microbatch), Action(Kind.W, stage, microbatch)]
