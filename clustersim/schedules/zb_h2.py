"""ZB-H2: more forwards before the first backward, so that the pipeline's parallelogram has almost no bubble.

References
----------
Qi et al., "Zero Bubble Pipeline Parallelism", ICLR 2024, section 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.ops import Schedule, Shape, StageCosts
from clustersim.schedules.placement import loop_schedule
from clustersim.schedules.rules import require_one_chunk
from clustersim.schedules.zb_h1 import parted_order


def zb_h2(shape: Shape, costs: Sequence[StageCosts] | None = None) -> Schedule:  # noqa: ARG001
    """Return ZB-H2's order: rank s does min(2(p - s) - 1, m) forwards, then I, W and F in turn, with W 2s behind I.

    Without communication the span, from a rank's first start to its last end, is mS + (p - 1)(F + I - 2W) at most, with
    S = F + I + W, for m >= 2p and W <= min(F, I); a rank holds up to 2p - 1 micro-batches, twice as many as 1F1B.

    Notes
    -----
    Ranks start and end at different times, so the gain shows in the span, and in several steps without a barrier
    between them; the makespan of one step holds the p - 1 forwards that the last rank waits for.

    Examples
    --------
    >>> [" ".join(map(str, order)) for order in zb_h2(Shape(2, 3)).orders]
    ['0F0 0F1 0F2 0I0 0W0 0I1 0W1 0I2 0W2', '1F0 1I0 1F1 1I1 1F2 1I2 1W0 1W1 1W2']
    """
    require_one_chunk("zb-h2", shape)
    p, microbatches = shape.num_ranks, range(shape.num_microbatches)
    orders = []
    for rank in range(p):
        work = [(rank, microbatch) for microbatch in microbatches]
        orders.append(tuple(parted_order(work, work, num_warmup=2 * (p - rank) - 1, lag=2 * rank)))
    return loop_schedule("zb-h2", shape, tuple(orders))
