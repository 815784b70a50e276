"""Chimera: two pipelines in opposite directions, merged so that each fills the other's bubble.

References
----------
Li and Hoefler, "Chimera: Efficiently Training Large-Scale Neural Networks with Bidirectional Pipelines", SC 2021,
sections 3.1 and 3.5 (direct concatenation).
"""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.ops import Action, Kind, Order, Schedule, Shape, StageCosts
from clustersim.schedules.placement import bidirectional_schedule, zigzag_stage
from clustersim.schedules.rules import require_even_ranks, with_two_chunks


def chimera(shape: Shape, costs: Sequence[StageCosts] | None = None) -> Schedule:  # noqa: ARG001
    """Return Chimera's order for an even p: units of p/2 micro-batches go down and up in turn, one unit behind another.

    With F = B = 1 and m a multiple of p, without communication, the makespan is 2m + p - 2; with B >= F it is
    (m + p/2 - 1)(F + B) + (p/2 - 1)(2m/p - 1)(B - F). Ranks hold p/2 + 1 to p micro-batches, of two replicas of their
    weights.

    Notes
    -----
    The order is that of unit time, F = B = 1, in which no two ops of a rank ever meet. A last unit may be short, so the
    first direction may have up to p/2 micro-batches more than the second.

    Examples
    --------
    >>> [" ".join(map(str, order)) for order in chimera(Shape(2, 2)).orders]
    ['0F0 3F0 3B0 0B0', '2F0 1F0 1B0 2B0']
    """
    shape = chimera_shape(shape)
    return bidirectional_schedule("chimera", shape, tuple(_rank_order(shape, rank) for rank in range(shape.num_ranks)))


def chimera_shape(shape: Shape) -> Shape:
    """Return the shape with two chunks a rank; a ScheduleError if Chimera does not take it."""
    shape = with_two_chunks("chimera", shape)
    require_even_ranks("chimera", shape)
    return shape


def _rank_order(shape: Shape, rank: int) -> Order:
    p, unit = shape.num_ranks, shape.num_ranks // 2
    timed: list[tuple[int, Action]] = []
    for number in range(shape.num_microbatches):
        unit_index, position = divmod(number, unit)
        round_index, direction = divmod(unit_index, 2)
        stage = zigzag_stage(p, direction, rank)
        distance = stage - direction * p  # stages that the micro-batch has passed before
        enters = 2 * p * round_index + 2 * position
        microbatch = round_index * unit + position
        timed.append((enters + distance, Action(Kind.F, stage, microbatch)))
        timed.append((enters + 2 * p - 1 - distance, Action(Kind.B, stage, microbatch)))
    return tuple(action for _, action in sorted(timed))
