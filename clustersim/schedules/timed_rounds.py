"""Orders in rounds: one F down the pipeline and one I up it, with W in the gaps.

When an op is placed, all that it waits for has its time already, so that the length of a gap is known when W may be put
into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clustersim.footprint import Footprint
from clustersim.ops import StageCosts
from clustersim.schedules.timed_ranks import PlacedOrders, TimedRanks, backward_ps


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """How the rounds of all ranks go; every choice that is left open.

    ``warmups[rank]`` is the number of F before the first I. W of each rank either lags ``lags[rank]`` behind I, or
    (None) goes into gaps: into one that is long enough for it, and into a shorter one, delaying what follows, once the
    rank would else idle for more than `idle_budget_ps` in all; None: for more than any rank has idled so far.
    """

    warmups: tuple[int, ...]
    lags: tuple[int, ...] | None = None
    idle_budget_ps: int | None = None
    skips_forwards: bool = False  # a rank that is ahead of the next one may leave out the F of a round


def timed_warmups(
    costs: Sequence[StageCosts], footprints: Sequence[Footprint], num_microbatches: int, delays_backward: bool
) -> tuple[int, ...]:
    """Return how many F each rank can run until its first I may start.

    With `delays_backward` one more, which ends after the gradient is there. Each rank has at least one F more than the
    next, as long as it has room for it, so that none waits for a forward.
    """
    last = len(costs) - 1
    starts_ps = [0]
    for cost in costs[:-1]:
        starts_ps.append(starts_ps[-1] + cost.forward_ps + cost.forward_hop_ps)
    warmups = [1] * len(costs)
    gradient_ps = starts_ps[last] + costs[last].forward_ps
    for rank in range(last, -1, -1):
        cost = costs[rank]
        most = footprints[rank].forwards_that_fit(num_microbatches)
        room_ps = max(gradient_ps - starts_ps[rank], cost.forward_ps)
        rounded_up_ps = room_ps + cost.forward_ps - 1 if delays_backward else room_ps
        warmups[rank] = min(most, rounded_up_ps // cost.forward_ps) if cost.forward_ps else most
        busy_until_ps = starts_ps[rank] + warmups[rank] * cost.forward_ps
        gradient_ps = max(busy_until_ps, gradient_ps) + backward_ps(cost) + cost.backward_hop_ps
    for rank in range(1, len(costs)):
        warmups[rank] = max(1, min(warmups[rank], warmups[rank - 1] - 1))
    return tuple(warmups)


def place_rounds(
    costs: Sequence[StageCosts], footprints: Sequence[Footprint], num_microbatches: int, plan: RoundPlan
) -> PlacedOrders:
    """Return the orders of `plan`, within the limit of `footprints` whatever the plan asks for."""
    rounds = _Rounds(costs, footprints, num_microbatches, plan)
    rounds.place_all()
    return rounds.placed()


class _Rounds(TimedRanks):
    """Ranks whose ops are placed round by round."""

    def __init__(
        self, costs: Sequence[StageCosts], footprints: Sequence[Footprint], num_microbatches: int, plan: RoundPlan
    ) -> None:
        super().__init__(costs, footprints, num_microbatches, plan.idle_budget_ps)
        self.plan = plan

    def place_all(self) -> None:
        """Run the warm-up, then rounds of one F and one I a rank, then the W that are left."""
        ranks, upwards = range(self.num_ranks), range(self.num_ranks - 1, -1, -1)
        for rank in ranks:
            for _ in range(min(self._allowed_warmup(rank), self.num_microbatches)):
                self._next_forward(rank)
        for rank in upwards:
            self._next_backward(rank)
        for _ in range(1, self.num_microbatches):
            first = self._first_to_go_forward()
            for rank in ranks[first:]:
                if self.has_forward(rank):
                    self._next_forward(rank)
            for rank in upwards:
                self._next_backward(rank)
        for rank in ranks:
            while self.num_weight_grads[rank] < self.num_microbatches:
                self.weight_grad(rank)

    def _allowed_warmup(self, rank: int) -> int:
        """A rank has no more F than the one before, and no more than fit."""
        wanted = self.footprints[rank].forwards_that_fit(self.plan.warmups[rank])
        return min(wanted, self.num_forwards[rank - 1]) if rank else wanted

    def _first_to_go_forward(self) -> int:
        """Return the first rank that takes part in the round's F: if one leaves it out, so do those before."""
        if self.plan.skips_forwards:
            for rank in range(self.num_ranks - 2, -1, -1):
                if self.has_forward(rank) and self._is_ahead(rank):
                    return rank + 1
        return 0

    def _is_ahead(self, rank: int) -> bool:
        """Return whether the next rank has F enough, and another one here would delay the I that comes next."""
        if self.num_forwards[rank] < self.num_forwards[rank + 1] + 2:
            return False
        after = rank + 1
        gradient_ps = (
            self.clock_ps[after] + self.forward_ps[after] + self.backward_ps[after] + self.backward_hop_ps[after]
        )
        gap_ps = gradient_ps - self.clock_ps[rank]
        if gap_ps <= 0:
            return True
        footprint = self.footprints[rank]
        excess = self.live[rank] + footprint.activation - footprint.limit
        num_before = -(-excess // footprint.weight_grad) if excess > 0 and footprint.weight_grad else 0
        needed_ps = self.forward_ps[rank] + num_before * self.weight_grad_ps[rank]
        return needed_ps > gap_ps and self.idle_ps[rank] + gap_ps <= self.idle_budget_ps()

    def _next_forward(self, rank: int) -> None:
        while not self.forward_fits(rank) and self.has_weight_grad(rank):
            self.weight_grad(rank)
        self._fill_gap(rank, self.activation_ps[rank][self.num_forwards[rank]])
        self.forward(rank)

    def _next_backward(self, rank: int) -> None:
        microbatch = self.num_backwards[rank]
        while not self.backward_fits(rank) and self.has_weight_grad(rank):
            self.weight_grad(rank)
        self._fill_gap(rank, self.gradient_ps[rank][microbatch])
        self.backward(rank)
        if self.plan.lags and microbatch >= self.plan.lags[rank] and self.has_weight_grad(rank):
            self.weight_grad(rank)

    def _fill_gap(self, rank: int, until_ps: int) -> None:
        while not self.plan.lags and self.weight_grad_is_due(rank, until_ps):
            self.weight_grad(rank)
