"""Where stages live: the ways of laying a chain of stages over the ranks of a pipeline.

In all of them a rank holds one stage of each chunk, and stage ``k`` belongs to chunk ``k // p``.
"""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.ops import Order, Schedule, Shape


def loop_schedule(name: str, shape: Shape, orders: Sequence[Order]) -> Schedule:
    """Return the schedule of `orders` with stage ``k`` on rank ``k % p``, as Megatron places model chunks."""
    num_stages = shape.num_ranks * shape.num_chunks
    rank_by_stage = tuple(stage % shape.num_ranks for stage in range(num_stages))
    return Schedule(name, shape, orders, rank_by_stage, (tuple(range(num_stages)),))


def zigzag_stage(num_ranks: int, chunk: int, rank: int) -> int:
    """Return the stage of `chunk` on `rank` when even chunks run from rank 0 up and odd ones back down.

    It is its own inverse within a chunk: the same formula finds the rank of a stage.

    Examples
    --------
    >>> [zigzag_stage(4, chunk, rank=1) for chunk in range(3)]
    [1, 6, 9]
    """
    return chunk * num_ranks + (num_ranks - 1 - rank if chunk % 2 else rank)


def zigzag_schedule(name: str, shape: Shape, orders: Sequence[Order]) -> Schedule:
    """Return the schedule of `orders` with one chain that zigzags over the ranks; two chunks make a V.

    The last stage of a chunk and the first of the next share a rank, and exchange nothing.
    """
    rank_by_stage = _zigzag_ranks(shape)
    return Schedule(name, shape, orders, rank_by_stage, (tuple(range(len(rank_by_stage))),))


def bidirectional_schedule(name: str, shape: Shape, orders: Sequence[Order]) -> Schedule:
    """Return the schedule of `orders` for two replicas of p stages, which micro-batches pass in opposite directions.

    Stages p to 2p - 1 are the second replica, its first stage on rank p - 1; each direction numbers its own
    micro-batches.
    """
    p = shape.num_ranks
    return Schedule(name, shape, orders, _zigzag_ranks(shape), (tuple(range(p)), tuple(range(p, 2 * p))))


def _zigzag_ranks(shape: Shape) -> tuple[int, ...]:
    p = shape.num_ranks
    return tuple(
        zigzag_stage(p, chunk, position) - chunk * p for chunk in range(shape.num_chunks) for position in range(p)
    )
