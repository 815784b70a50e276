"""V-Half: about half of 1F1B's activation memory, on two chunks a rank placed in a V.

References
----------
Qi et al., "Pipeline Parallelism with Controllable Memory", NeurIPS 2024, section 3.3, and the published scheduler.
"""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.ops import Schedule, Shape, StageCosts
from clustersim.schedules.rules import with_two_chunks
from clustersim.schedules.stable_pattern import Offsets, pattern_schedule


def v_half(shape: Shape, costs: Sequence[StageCosts] | None = None) -> Schedule:  # noqa: ARG001
    """Return V-Half's order, whose forwards go down the V at half speed, so that activations live half as long.

    A rank holds at most 2 floor(p/2) + 2 chunk activations, counted until W, where 1F1B holds p of two chunks each.
    With F = I = W = 1 for a chunk, m >= 2p and p >= 3, without communication, the makespan is 6m + 3p - 4, for an even
    p three less; 1F1B takes 6m + 6(p - 1).

    Examples
    --------
    >>> [" ".join(map(str, order)) for order in v_half(Shape(2, 1)).orders]
    ['0F0 3F0 3I0 3W0 0I0 0W0', '1F0 2F0 2I0 1I0 2W0 1W0']
    """
    shape = with_two_chunks("v-half", shape)
    p = shape.num_ranks
    return pattern_schedule("v-half", shape, [_offsets(p, rank) for rank in range(p)])


def _offsets(p: int, rank: int) -> Offsets:
    gap = 0 if p % 2 else 3  # keeps the four times of a rank apart, modulo the interval
    return (2 * rank, 3 * p - rank - 2, 3 * p + gap + 2 * rank - 1, 6 * p + gap - rank - 2)
