"""DualPipe: two directions at once, so that a forward of the one overlaps a backward of the other.

References
----------
DeepSeek-AI, "DeepSeek-V3 Technical Report", 2024 (arXiv:2412.19437), section 3.2.1, and the published implementation.
"""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.errors import ScheduleError
from clustersim.ops import Action, Kind, Order, Overlap, Schedule, Shape, Slot, StageCosts
from clustersim.schedules.placement import bidirectional_schedule, zigzag_stage
from clustersim.schedules.rules import require_even_ranks, require_two_microbatches_per_rank, with_two_chunks

_NAME = "dualpipe"


def dualpipe(shape: Shape, costs: Sequence[StageCosts] | None = None) -> Schedule:  # noqa: ARG001
    """Return DualPipe's order for an even p and an even m >= 2p, half of the micro-batches in each direction.

    Without communication, F = I and W <= F, the longest idle time of a rank is (p/2 - 1)(F&B + B - 3W), where F&B is
    the time of an overlapped slot; a rank holds p + 1 micro-batches, of two replicas of its weights.

    Examples
    --------
    >>> print(*dualpipe(Shape(2, 4)).orders[0])
    0F0 3F0 0F1 3B0 (3F1;0B0)OVERLAP_F_B 3B1 0I1 0W1
    """
    shape = dualpipe_shape(shape)
    p, m = shape.num_ranks, shape.num_microbatches
    orders = []
    for rank in range(p):
        near_end = min(rank, p - 1 - rank)
        own, other = (zigzag_stage(p, chunk, rank) for chunk in ((0, 1) if rank < p // 2 else (1, 0)))
        orders.append(two_phase_order(own, other, p // 2, near_end, m // 2))
    return bidirectional_schedule(_NAME, shape, tuple(orders))


def dualpipe_shape(shape: Shape) -> Shape:
    """Return the shape with two chunks a rank; a ScheduleError if DualPipe does not take it."""
    shape = with_two_chunks(_NAME, shape)
    require_even_ranks(_NAME, shape)
    p, m = shape.num_ranks, shape.num_microbatches
    if m % 2:
        raise ScheduleError(
            f"{_NAME}: num_microbatches = {m}: half of them go in each direction; allowed: an even number, "
            f"num_microbatches >= 2 * pp; take {max(m + 1, 2 * p)} micro-batches"
        )
    require_two_microbatches_per_rank(_NAME, shape)
    return shape


def two_phase_order(own: int, other: int, depth: int, rank: int, m: int) -> Order:
    """Return the order of a rank that runs m micro-batches on each of two stages, phase 0 on `own` and 1 on `other`.

    `depth` is how many ranks lie between the start of phase 0 and the turn (p/2 in DualPipe, p in its V form), and
    `rank` counts from that start. The innermost rank does not overlap its first pair, which shortens the bubble.
    """
    to_turn, from_start = depth - rank - 1, rank + 1
    num_overlapped = m - 2 * depth + from_start
    order: list[Slot] = [Action(Kind.F, own, index) for index in range(2 * to_turn)]  # warm-up
    for index in range(from_start):
        order += [Action(Kind.F, own, 2 * to_turn + index), Action(Kind.F, other, index)]
    for index in range(to_turn):
        order += [Action(Kind.I, other, index), Action(Kind.W, other, index)]
        order.append(Action(Kind.F, other, from_start + index))
    for index in range(num_overlapped):  # steady
        forward = Action(Kind.F, own, 2 * depth - from_start + index)
        backward = Action(Kind.B, other, to_turn + index)
        order += [forward, backward] if index == to_turn == 0 else [Overlap(forward, backward)]
        order.append(Overlap(Action(Kind.F, other, depth + index), Action(Kind.B, own, index)))
    for index in range(to_turn):  # cool-down
        order.append(Action(Kind.B, other, m - depth + index))
        forward = Action(Kind.F, other, m - to_turn + index)
        order.append(Overlap(forward, Action(Kind.B, own, num_overlapped + index)))
    return (*order, *_last_backwards(own, other, depth, rank, m))


def _last_backwards(own: int, other: int, depth: int, rank: int, m: int) -> list[Action]:
    """Return the end of the cool-down: the second half of the backwards part with W, which then fills the gaps."""
    to_turn, from_start = depth - rank - 1, rank + 1
    pairs = [
        (stage, microbatch)
        for index in range(from_start)
        for stage, microbatch in ((other, m - from_start + index), (own, m - depth + index))
    ]
    alone = [(own, m - to_turn + index) for index in range(to_turn)]
    late_weights = [Action(Kind.W, *work) for work in (*pairs[from_start:], *alone)]
    order = [Action(Kind.B, *work) for work in pairs[:from_start]]
    order += [Action(Kind.I, *work) for work in pairs[from_start:]]
    for index in range(to_turn):
        order += [late_weights[index], Action(Kind.I, *alone[index])]
    return order + late_weights[to_turn:]
