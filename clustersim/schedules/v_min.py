"""V-Min: about a third of 1F1B's activation memory, the least that a V of two chunks a rank can have.

References
----------
Qi et al., "Pipeline Parallelism with Controllable Memory", NeurIPS 2024, section 3.3, and the published scheduler.
"""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.ops import Schedule, Shape, StageCosts
from clustersim.schedules.rules import with_two_chunks
from clustersim.schedules.stable_pattern import Offsets, pattern_schedule


def v_min(shape: Shape, costs: Sequence[StageCosts] | None = None) -> Schedule:  # noqa: ARG001
    """Return V-Min's order, whose micro-batches go down the V and back without a pause, and so live shortest.

    A rank holds at most 2 ceil((p - 1)/3) + 2 chunk activations, counted until W, where 1F1B holds p of two chunks
    each. With F = I = W = 1 for a chunk, m >= 2p and p >= 3, without communication, the makespan is 6m + 4p - 5, two
    less if three divides p; 1F1B takes 6m + 6(p - 1).

    Notes
    -----
    The pattern has no slack: where F, I and W differ, every micro-batch adds to the bubble.

    Examples
    --------
    >>> [" ".join(map(str, order)) for order in v_min(Shape(2, 1)).orders]
    ['0F0 3F0 3I0 3W0 0I0 0W0', '1F0 2F0 2I0 1I0 2W0 1W0']
    """
    shape = with_two_chunks("v-min", shape)
    p = shape.num_ranks
    return pattern_schedule("v-min", shape, [_offsets(p, rank) for rank in range(p)])


def _offsets(p: int, rank: int) -> Offsets:
    gap = 0 if p % 3 else 2  # keeps the four times of a rank apart, modulo the interval
    return (rank, 2 * p - rank - 1, 2 * p + gap + rank, 4 * p + gap - rank - 1)
