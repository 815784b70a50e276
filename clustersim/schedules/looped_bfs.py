"""Looped BFS: several model chunks a rank, each of which does all of its forwards before the next begins.

References
----------
Lamy-Poirier, "Breadth-First Pipeline Parallelism", MLSys 2023, section 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.ops import Action, Kind, Order, Schedule, Shape, StageCosts
from clustersim.schedules.placement import loop_schedule


def looped_bfs(shape: Shape, costs: Sequence[StageCosts] | None = None) -> Schedule:  # noqa: ARG001
    """Return the breadth-first order: forwards chunk after chunk, then backwards from the last micro-batch on.

    Without communication the makespan is (m + (p - 1)/v)(F + B) for m >= p, F and B over all chunks of a rank; memory
    holds all m micro-batches of all v chunks at once.

    Examples
    --------
    >>> print(*looped_bfs(Shape(2, 2, num_chunks=2)).orders[0])
    0F0 0F1 2F0 2F1 2B1 2B0 0B1 0B0
    """
    return loop_schedule("looped-bfs", shape, tuple(_rank_order(shape, rank) for rank in range(shape.num_ranks)))


def _rank_order(shape: Shape, rank: int) -> Order:
    stages = range(rank, shape.num_ranks * shape.num_chunks, shape.num_ranks)
    microbatches = range(shape.num_microbatches)
    forwards = [Action(Kind.F, stage, microbatch) for stage in stages for microbatch in microbatches]
    backwards = [
        Action(Kind.B, stage, microbatch) for stage in reversed(stages) for microbatch in reversed(microbatches)
    ]
    return (*forwards, *backwards)
