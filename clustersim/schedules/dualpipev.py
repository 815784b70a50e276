"""DualPipeV: DualPipe cut in half, with one replica of the weights on a V of two chunks a rank.

References
----------
DeepSeek-AI, DualPipe's published implementation; the "cut-in-half" idea is Qi and others', sail-sg, 2025.
"""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.ops import Schedule, Shape, StageCosts
from clustersim.schedules.dualpipe import two_phase_order
from clustersim.schedules.placement import zigzag_schedule, zigzag_stage
from clustersim.schedules.rules import require_two_microbatches_per_rank, with_two_chunks

_NAME = "dualpipev"


def dualpipev(shape: Shape, costs: Sequence[StageCosts] | None = None) -> Schedule:  # noqa: ARG001
    """Return DualPipeV's order for m >= 2p, in which forwards down the V overlap backwards up it, and the other way.

    Without communication, F = I and W <= F, all of one chunk, the longest idle time of a rank is
    (p - 1)(F&B + B - 3W), where F&B is the time of an overlapped slot; a rank holds 2p + 1 chunk activations.

    Examples
    --------
    >>> print(*dualpipev(Shape(1, 2)).orders[0])
    0F0 1F0 0F1 1B0 (1F1;0B0)OVERLAP_F_B 1B1 0I1 0W1
    """
    shape = dualpipev_shape(shape)
    p, m = shape.num_ranks, shape.num_microbatches
    orders = tuple(two_phase_order(zigzag_stage(p, 0, rank), zigzag_stage(p, 1, rank), p, rank, m) for rank in range(p))
    return zigzag_schedule(_NAME, shape, orders)


def dualpipev_shape(shape: Shape) -> Shape:
    """Return the shape with two chunks a rank; a ScheduleError if DualPipeV does not take it."""
    shape = with_two_chunks(_NAME, shape)
    require_two_microbatches_per_rank(_NAME, shape)
    return shape
