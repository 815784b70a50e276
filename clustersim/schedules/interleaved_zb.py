"""Interleaved zero bubble: ZB-H1 over several model chunks a rank.

References
----------
``ScheduleInterleavedZeroBubble`` of PyTorch's ``torch.distributed.pipelining``, after Qi et al., "Zero Bubble Pipeline
Parallelism", ICLR 2024, section 2.1. Group sizes: as in interleaved 1F1B.
"""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.ops import Order, Schedule, Shape, StageCosts
from clustersim.schedules.interleaved import virtual_order, with_whole_groups
from clustersim.schedules.placement import loop_schedule
from clustersim.schedules.zb_h1 import parted_order

_NAME = "interleaved-zb"


def interleaved_zb(shape: Shape, costs: Sequence[StageCosts] | None = None) -> Schedule:  # noqa: ARG001
    """Return ZB-H1's order over v chunks: rank s does (v - 1)g + p - s virtual forwards, then I, W and F in turn.

    Without communication the makespan is mS + (p - 1)(F + I - W)/v, with S = F + I + W over all chunks of a rank, when
    m >= p, the last group is whole, and W <= min(F, I). With groups of p, every rank holds vp chunk activations.

    Notes
    -----
    A short last group is treated as in interleaved 1F1B: the order of whole groups, without what does not exist.

    Examples
    --------
    >>> print(*interleaved_zb(Shape(2, 2, num_chunks=2)).orders[1])
    1F0 1F1 3F0 3I0 3F1 3I1 3W0 1I0 3W1 1I1 1W0 1W1
    """
    return loop_schedule(_NAME, shape, tuple(_rank_order(shape, rank) for rank in range(shape.num_ranks)))


def _rank_order(shape: Shape, rank: int) -> Order:
    whole = with_whole_groups(shape, _NAME)
    p, last_chunk = shape.num_ranks, shape.num_chunks - 1
    virtual = virtual_order(whole)
    forwards = [(chunk * p + rank, microbatch) for chunk, microbatch in virtual]
    backwards = [((last_chunk - chunk) * p + rank, microbatch) for chunk, microbatch in virtual]
    num_warmup = last_chunk * (whole.group_size or p) + p - rank
    order = parted_order(forwards, backwards, num_warmup, lag=rank)
    return tuple(action for action in order if action.microbatch < shape.num_microbatches)
