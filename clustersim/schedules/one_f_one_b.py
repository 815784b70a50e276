"""1F1B: one forward, one backward, so that few micro-batches are alive at once.

References
----------
Narayanan et al., "PipeDream: Generalized Pipeline Parallelism for DNN Training", SOSP 2019, section 3.2, and the
flushing variant in "Memory-Efficient Pipeline-Parallel DNN Training", ICML 2021, section 3.1 (PipeDream-Flush).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clustersim.ops import Kind, Schedule, Shape, StageCosts
from clustersim.schedules.columns import ColumnOrders
from clustersim.schedules.placement import loop_schedule
from clustersim.schedules.rules import require_one_chunk


def one_f_one_b(shape: Shape, costs: Sequence[StageCosts] | None = None) -> Schedule:  # noqa: ARG001
    """Return PipeDream-Flush's order: rank s warms up with min(p - s - 1, m) forwards, then alternates.

    At most min(m, p - s) micro-batches are alive on rank s; the makespan is GPipe's, (m + p - 1)(F + B).

    Examples
    --------
    >>> [" ".join(map(str, order)) for order in one_f_one_b(Shape(2, 3)).orders]
    ['0F0 0F1 0B0 0F2 0B1 0B2', '1F0 1B0 1F1 1B1 1F2 1B2']
    """
    require_one_chunk("1f1b", shape)
    return loop_schedule("1f1b", shape, one_by_one(shape))


def one_by_one(shape: Shape) -> ColumnOrders:
    """Return the orders of all ranks."""
    p, m = shape.num_ranks, shape.num_microbatches
    kinds, microbatches = np.empty((2, p, 2 * m), dtype=np.int64)
    numbers = np.arange(m)
    for rank, (kind, microbatch) in enumerate(zip(kinds, microbatches, strict=True)):
        num_warmup = min(p - rank - 1, m)
        num_pairs = m - num_warmup
        forwards, backwards = slice(num_warmup, 2 * m - num_warmup, 2), slice(num_warmup + 1, 2 * m - num_warmup, 2)
        cooldown = slice(2 * m - num_warmup, None)
        kind[:num_warmup] = kind[forwards] = Kind.F
        kind[backwards] = kind[cooldown] = Kind.B
        microbatch[:num_warmup], microbatch[forwards] = numbers[:num_warmup], numbers[num_warmup:]
        microbatch[backwards], microbatch[cooldown] = numbers[:num_pairs], numbers[num_pairs:]
    return ColumnOrders(kinds, microbatches)
