"""Hanayo: micro-batches run over the ranks in waves, which needs no second replica of the weights.

References
----------
Liu et al., "Hanayo: Harnessing Wave-like Pipeline Parallelism for Enhanced Large Model Training Efficiency", SC 2023,
section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clustersim.errors import ScheduleError
from clustersim.ops import Action, Kind, Order, Schedule, Shape, StageCosts
from clustersim.schedules.placement import zigzag_schedule, zigzag_stage


def hanayo(shape: Shape, costs: Sequence[StageCosts] | None = None) -> Schedule:  # noqa: ARG001
    """Return the order of vpp / 2 waves: units of p micro-batches, each entering as the one before begins to leave.

    A wave is a chunk down the ranks and a chunk back, so W waves are vpp = 2W; vpp absent or 1 is taken as one wave.
    With B >= F, over all chunks of a rank, and m a multiple of p, without communication, the makespan is
    (m + (p - 1)/vpp)(F + B) + (p - 1)(2m/p - 1)(B - F)/vpp; a rank holds min(m, p) micro-batches at most.

    Notes
    -----
    The order is that of unit time, in which a chunk's forward lasts as long as its backward, and no two ops of a rank
    meet. Where B is longer, units wait for one another, and with many of them 1F1B can be the shorter. The paper's own
    bubble formula could not be reproduced.

    Examples
    --------
    >>> print(*hanayo(Shape(2, 2)).orders[0])
    0F0 0F1 3F0 3B0 3F1 3B1 0B0 0B1
    """
    shape = _with_whole_waves(shape)
    return zigzag_schedule("hanayo", shape, tuple(_rank_order(shape, rank) for rank in range(shape.num_ranks)))


def _with_whole_waves(shape: Shape) -> Shape:
    v = max(shape.num_chunks, 2)
    if v % 2:
        raise ScheduleError(
            f"hanayo: vpp = {v}: a wave has two chunks a rank, one down and one back; allowed: vpp absent, 1 or even; "
            f"take vpp = {v - 1} or {v + 1}"
        )
    return replace(shape, num_chunks=v)


def _rank_order(shape: Shape, rank: int) -> Order:
    p, v = shape.num_ranks, shape.num_chunks
    timed: list[tuple[int, Action]] = []
    for microbatch in range(shape.num_microbatches):
        unit_index, position = divmod(microbatch, p)
        enters = 2 * p * v * unit_index + 2 * position
        for chunk in range(v):
            stage = zigzag_stage(p, chunk, rank)
            timed.append((enters + stage, Action(Kind.F, stage, microbatch)))
            timed.append((enters + 2 * p * v - 1 - stage, Action(Kind.B, stage, microbatch)))
    return tuple(action for _, action in sorted(timed))
