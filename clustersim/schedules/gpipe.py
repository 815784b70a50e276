"""GPipe: all forwards, then all backwards.

References
----------
Huang et al., "GPipe: Efficient Training of Giant Neural Networks using Pipeline Parallelism", NeurIPS 2019, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clustersim.ops import Kind, Schedule, Shape, StageCosts
from clustersim.schedules.columns import ColumnOrders
from clustersim.schedules.placement import loop_schedule
from clustersim.schedules.rules import require_one_chunk


def gpipe(shape: Shape, costs: Sequence[StageCosts] | None = None) -> Schedule:  # noqa: ARG001
    """Return GPipe's order: every forward, then every backward, both from the first micro-batch on.

    Memory holds all m micro-batches at once; the makespan is (m + p - 1)(F + B) without communication.

    Examples
    --------
    >>> [" ".join(map(str, order)) for order in gpipe(Shape(2, 2)).orders]
    ['0F0 0F1 0B0 0B1', '1F0 1F1 1B0 1B1']
    """
    require_one_chunk("gpipe", shape)
    kind, microbatch = np.empty((2, shape.num_ranks, 2, shape.num_microbatches), dtype=np.int64)
    kind[:, 0], kind[:, 1] = Kind.F, Kind.B
    microbatch[:] = np.arange(shape.num_microbatches)
    return loop_schedule("gpipe", shape, ColumnOrders(kind, microbatch))
