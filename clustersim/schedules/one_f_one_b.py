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
from clustersim.schedules.actions import actions, in_turn
from clustersim.schedules.columns import ColumnOrders, Numbers
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
    return loop_schedule("1f1b", shape, ColumnOrders([rank_order(shape, rank) for rank in range(shape.num_ranks)]))


def rank_order(shape: Shape, rank: int) -> Numbers:
    """Return the order of one rank, a row for each action."""
    m = shape.num_microbatches
    num_warmup = min(shape.num_ranks - rank - 1, m)
    forwards, backwards = actions(Kind.F, rank, m), actions(Kind.B, rank, m)
    warmup = forwards[:num_warmup]
    steady = in_turn(forwards[num_warmup:], backwards[: m - num_warmup])
    cooldown = backwards[m - num_warmup :]
    return np.concatenate([warmup, steady, cooldown])
