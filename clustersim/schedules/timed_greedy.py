"""Orders in the course of time: whenever a rank falls idle it starts what is ready, I before F before W."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from clustersim.footprint import Footprint
from clustersim.ops import StageCosts
from clustersim.schedules.timed_ranks import PlacedOrders, TimedRanks


@dataclass(frozen=True, slots=True)
class GreedyPlan:
    """How greedy the ranks are.

    ``most_ahead[rank]`` is the number of F that a rank may be ahead of its I, beside what the limit allows. A W that
    would end after the next input has come waits for a longer gap, until the rank would idle for more than
    `idle_budget_ps` in all; None: for more than any rank has idled so far.
    """

    most_ahead: tuple[int, ...]
    idle_budget_ps: int | None = None


def place_greedily(
    costs: Sequence[StageCosts], footprints: Sequence[Footprint], num_microbatches: int, plan: GreedyPlan
) -> PlacedOrders:
    """Return the orders of `plan`, within the limit of `footprints`."""
    ranks = _GreedyRanks(costs, footprints, num_microbatches, plan)
    ranks.place_all()
    return ranks.placed()


class _GreedyRanks(TimedRanks):
    """Ranks that decide in the order of time, at the same time in the order of ranks."""

    def __init__(
        self, costs: Sequence[StageCosts], footprints: Sequence[Footprint], num_microbatches: int, plan: GreedyPlan
    ) -> None:
        super().__init__(costs, footprints, num_microbatches, plan.idle_budget_ps)
        self.most_ahead = plan.most_ahead
        self.decisions: list[tuple[int, int]] = [(0, 0)]  # (time, rank)

    def place_all(self) -> None:
        """Let ranks decide until none has anything left to do."""
        while self.decisions:
            now_ps, rank = heappop(self.decisions)
            if self.clock_ps[rank] <= now_ps and (again_ps := self._decide(rank, now_ps)) is not None:
                heappush(self.decisions, (again_ps, rank))

    def _decide(self, rank: int, now_ps: int) -> int | None:
        """Place what `rank` starts now, if anything; return when to ask it again, None: when an input comes."""
        forward_ps, backward_ps = self._forward_arrival_ps(rank), self._backward_arrival_ps(rank)
        if backward_ps is not None and backward_ps <= now_ps and self.backward_fits(rank):
            arrival_ps = self.backward(rank)
            if rank:
                heappush(self.decisions, (arrival_ps, rank - 1))
        elif forward_ps is not None and forward_ps <= now_ps and self.forward_fits(rank):
            arrival_ps = self.forward(rank)
            if rank + 1 < self.num_ranks:
                heappush(self.decisions, (arrival_ps, rank + 1))
        else:
            coming_ps = [time_ps for time_ps in (forward_ps, backward_ps) if time_ps is not None and time_ps > now_ps]
            return self._idle(rank, now_ps, min(coming_ps, default=None))
        return self.clock_ps[rank]

    def _idle(self, rank: int, now_ps: int, until_ps: int | None) -> int | None:
        """Use a gap, which ends when the next input comes; None: nobody knows when."""
        if not self.has_weight_grad(rank):
            return until_ps
        self.wait(rank, now_ps)
        if until_ps is not None and not self.weight_grad_is_due(rank, until_ps):
            return until_ps
        self.weight_grad(rank)
        return self.clock_ps[rank]

    def _forward_arrival_ps(self, rank: int) -> int | None:
        """Return when the next F could start; None if that is not known, or the rank is ahead enough."""
        number = self.num_forwards[rank]
        if number - self.num_backwards[rank] >= self.most_ahead[rank] or number >= len(self.activation_ps[rank]):
            return None
        return self.activation_ps[rank][number]

    def _backward_arrival_ps(self, rank: int) -> int | None:
        number = self.num_backwards[rank]
        return self.gradient_ps[rank][number] if number < len(self.gradient_ps[rank]) else None
