"""Where stages live: the two ways of laying a chain of stages over the ranks of a pipeline."""

from __future__ import annotations

from clustersim.ops import Order, Schedule, Shape


def loop_schedule(name: str, shape: Shape, orders: tuple[Order, ...]) -> Schedule:
    """Return the schedule of `orders` with stage ``k`` on rank ``k % p``, as Megatron places model chunks."""
    num_stages = shape.num_ranks * shape.num_chunks
    rank_by_stage = tuple(stage % shape.num_ranks for stage in range(num_stages))
    return Schedule(name, shape, orders, rank_by_stage, (tuple(range(num_stages)),))
