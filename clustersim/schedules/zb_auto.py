"""ZB-auto: the order of F, I and W searched for given times and a limit on activations (ZB-1p, ZB-2p and between).

References
----------
Qi et al., "Zero Bubble Pipeline Parallelism", ICLR 2024, section 3.1, whose scheduler searches over the same choices:
how many F a rank runs before its first I, when W may delay what follows, and when an F is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from clustersim.footprint import ActivationLimit, Footprint
from clustersim.ops import Schedule, Shape, StageCosts
from clustersim.schedules.activation_limit import footprints
from clustersim.schedules.placement import loop_schedule
from clustersim.schedules.rules import require_one_chunk
from clustersim.schedules.timed_greedy import GreedyPlan, place_greedily
from clustersim.schedules.timed_ranks import PlacedOrders
from clustersim.schedules.timed_rounds import RoundPlan, place_rounds, timed_warmups

_UNIT = StageCosts(1, 1, 1, 3)  # where no costs are known
# Idle budgets that are tried beside none and the idlest rank's, in pipelines of fewer stage-micro-batches.
_NUM_BUDGETS = {10_000: 8, 40_000: 2}


def zb_auto(shape: Shape, costs: Sequence[StageCosts] | None = None) -> Schedule:
    """Return the order with the smallest span found for `costs` within the limit.

    Without a limit a rank holds at most p micro-batches from the start of F to the end of W, as 1F1B's first rank does;
    the paper calls that ZB-1p. Without costs, F, I and W take one unit each.

    What is minimised is the largest span of a rank, from its first start to its last end, as in the paper; it is the
    step time where ranks need not meet at the optimizer. Between equal spans the smaller makespan wins, and no order is
    taken whose makespan is above that of 1F1B, ZB-H1, ZB-H2 or GPipe, drawn together until they keep to the limit.

    Raises
    ------
    ScheduleError
        More than one chunk a rank, or a limit within which not one micro-batch runs.

    Notes
    -----
    Deterministic: a fixed list of plans is tried, fewer for large pipelines. Messages take their uncontended time.

    Examples
    --------
    >>> [" ".join(map(str, order)) for order in zb_auto(Shape(2, 3)).orders]
    ['0F0 0F1 0I0 0W0 0F2 0I1 0W1 0I2 0W2', '1F0 1I0 1F1 1I1 1W0 1F2 1I2 1W1 1W2']
    """
    require_one_chunk("zb-auto", shape)
    costs = costs or [_UNIT] * shape.num_ranks
    limit = shape.limit or ActivationLimit(microbatches=shape.num_ranks)
    room = footprints("zb-auto", limit, costs)
    return loop_schedule("zb-auto", shape, _best(shape, costs, room).orders())


def _best(shape: Shape, costs: Sequence[StageCosts], room: Sequence[Footprint]) -> PlacedOrders:
    m = shape.num_microbatches
    static = [place_rounds(costs, room, m, plan) for plan in _static_plans(shape)]
    longest_ps = min(placed.makespan_ps for placed in static)
    rounds, greedy = list(_round_plans(costs, room, m)), list(_greedy_plans(shape, costs, room))
    found = static + _placed(costs, room, m, rounds, greedy, (None, 0))
    scale_ps = min(found, key=_quality).idle_ps
    num_budgets = next((number for size, number in _NUM_BUDGETS.items() if shape.num_ranks * m < size), 0)
    budgets_ps = sorted({scale_ps * part // num_budgets for part in range(1, num_budgets + 1)})
    found += _placed(costs, room, m, rounds, greedy, budgets_ps)
    return min((placed for placed in found if placed.makespan_ps <= longest_ps), key=_quality)


def _placed(
    costs: Sequence[StageCosts],
    room: Sequence[Footprint],
    num_microbatches: int,
    rounds: Iterable[RoundPlan],
    greedy: Iterable[GreedyPlan],
    budgets_ps: Sequence[int | None],
) -> list[PlacedOrders]:
    """Return the outcome of every plan with every idle budget."""
    found = []
    for budget_ps in budgets_ps:
        for round_plan in rounds:
            plan = replace(round_plan, idle_budget_ps=budget_ps)
            found.append(place_rounds(costs, room, num_microbatches, plan))
        for greedy_plan in greedy:
            found.append(place_greedily(costs, room, num_microbatches, replace(greedy_plan, idle_budget_ps=budget_ps)))
    return found


def _quality(placed: PlacedOrders) -> tuple[int, int]:
    return placed.span_ps, placed.makespan_ps


def _static_plans(shape: Shape) -> Iterator[RoundPlan]:
    """Yield 1F1B with its B in two parts, ZB-H1, ZB-H2 and GPipe."""
    p, m = shape.num_ranks, shape.num_microbatches
    ranks = range(p)
    yield RoundPlan(tuple(p - rank for rank in ranks), lags=(0,) * p)
    yield RoundPlan(tuple(p - rank for rank in ranks), lags=tuple(ranks))
    yield RoundPlan(tuple(2 * (p - rank) - 1 for rank in ranks), lags=tuple(2 * rank for rank in ranks))
    yield RoundPlan((m,) * p, lags=(0,) * p)


def _round_plans(costs: Sequence[StageCosts], room: Sequence[Footprint], num_microbatches: int) -> Iterator[RoundPlan]:
    """Yield plans whose warm-up goes by the clock."""
    for delays_backward in (False, True):
        warmups = timed_warmups(costs, room, num_microbatches, delays_backward)
        for skips_forwards in (False, True):
            yield RoundPlan(warmups, skips_forwards=skips_forwards)


def _greedy_plans(shape: Shape, costs: Sequence[StageCosts], room: Sequence[Footprint]) -> Iterator[GreedyPlan]:
    """Yield plans in which a rank takes what comes first, as many F as fit, as go by the clock, or as 1F1B."""
    p, m = shape.num_ranks, shape.num_microbatches
    yield GreedyPlan((m,) * p)
    yield GreedyPlan(timed_warmups(costs, room, m, delays_backward=True))
    yield GreedyPlan(tuple(p - rank for rank in range(p)))
