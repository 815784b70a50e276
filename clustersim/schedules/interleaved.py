"""Interleaved 1F1B: several model chunks a rank, for a smaller bubble at the price of more messages.

References
----------
Narayanan et al., "Efficient Large-Scale Language Model Training on GPU Clusters Using Megatron-LM", SC 2021, section
2.2.2. Group sizes: Megatron-LM's ``microbatch_group_size_per_virtual_pipeline_stage``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clustersim.ops import Action, Kind, Order, Schedule, Shape, StageCosts
from clustersim.schedules.placement import loop_schedule
from clustersim.schedules.rules import group_size_of

_NAME = "interleaved-1f1b"


def interleaved_one_f_one_b(shape: Shape, costs: Sequence[StageCosts] | None = None) -> Schedule:  # noqa: ARG001
    """Return Megatron's interleaved order: rank s warms up with 2(p - s - 1) + (v - 1)g virtual forwards.

    Notes
    -----
    Without a group size, groups are of p and the last may be short. A short group that simply moves up makes ranks wait
    for one another in a circle from p = 4 on; so the order is that of whole groups, without the micro-batches that do
    not exist.

    Examples
    --------
    >>> print(*interleaved_one_f_one_b(Shape(2, 2, num_chunks=2)).orders[1])
    1F0 1F1 3F0 3B0 3F1 3B1 1B0 1B1
    """
    orders = tuple(_rank_order(shape, rank) for rank in range(shape.num_ranks))
    return loop_schedule(_NAME, shape, orders)


def with_whole_groups(shape: Shape, name: str = _NAME) -> Shape:
    """Return the shape whose order is used: with its group size, and with a short last group of p filled up."""
    group_size = group_size_of(name, shape)
    m = shape.num_microbatches
    if shape.group_size is None and not shape.torch_rounds:
        m = -(-m // group_size) * group_size
    return replace(shape, num_microbatches=m, group_size=group_size)


def num_warmup_forwards(whole: Shape, rank: int) -> int:
    """Return the virtual forwards before the first backward pair; Megatron adds one for expert-parallel overlap."""
    warmup = 2 * (whole.num_ranks - rank - 1) + (whole.num_chunks - 1) * (whole.group_size or 0) + whole.moe_overlap
    return min(warmup, whole.num_microbatches * whole.num_chunks)


def virtual_order(whole: Shape) -> list[tuple[int, int]]:
    """Return ``(chunk, microbatch)`` of each virtual forward: chunk after chunk within a group of micro-batches."""
    m, group_size = whole.num_microbatches, whole.group_size or whole.num_ranks
    return [
        (chunk, microbatch)
        for first in range(0, m, group_size)
        for chunk in range(whole.num_chunks)
        for microbatch in range(first, min(first + group_size, m))
    ]


def _rank_order(shape: Shape, rank: int) -> Order:
    whole = with_whole_groups(shape)
    p, last_chunk = shape.num_ranks, shape.num_chunks - 1
    virtual = virtual_order(whole)
    forwards = [Action(Kind.F, chunk * p + rank, microbatch) for chunk, microbatch in virtual]
    backwards = [Action(Kind.B, (last_chunk - chunk) * p + rank, microbatch) for chunk, microbatch in virtual]
    num_warmup = num_warmup_forwards(whole, rank)
    num_steady = len(virtual) - num_warmup
    order = forwards[:num_warmup]
    for index in range(num_steady):
        order.append(forwards[num_warmup + index])
        order.append(backwards[index])
    order += backwards[num_steady:]
    return tuple(action for action in order if action.microbatch < shape.num_microbatches)
