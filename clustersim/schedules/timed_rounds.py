"""Orders of F, I and W placed in time: rounds of one F down the pipeline and one I up it, with W in the gaps.

Each rank runs its F, its I and its W in the order of micro-batches. When an op is placed, all that it waits for has its
time already, so that the length of a gap is known when W may be put into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clustersim.ops import Action, Footprint, Kind, Order, StageCosts


@dataclass(frozen=True, slots=True)
class Plan:
    """How the rounds of all ranks go; every choice that is left open.

    ``warmups[rank]`` is the number of F before the first I. W of each rank either lags ``lags[rank]`` behind I, or
    (None) goes into gaps: into one that is long enough for it, and into a shorter one, delaying what follows, once the
    rank would else idle for more than `idle_budget_ps` in all; None: for more than any rank has idled so far.
    """

    warmups: tuple[int, ...]
    lags: tuple[int, ...] | None = None
    idle_budget_ps: int | None = None
    skips_forwards: bool = False  # a rank that is ahead of the next one may leave out the F of a round


@dataclass(frozen=True, slots=True)
class PlacedRounds:
    """The outcome of a plan: each rank's order, and what it takes in time. [ps]"""

    orders: tuple[Order, ...]
    span_ps: int  # the largest over ranks of last end - first start
    makespan_ps: int
    idle_ps: int  # the largest over ranks of the gaps after its first F


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
        gradient_ps = max(busy_until_ps, gradient_ps) + _backward_ps(cost) + cost.backward_hop_ps
    for rank in range(1, len(costs)):
        warmups[rank] = max(1, min(warmups[rank], warmups[rank - 1] - 1))
    return tuple(warmups)


def place_rounds(
    costs: Sequence[StageCosts], footprints: Sequence[Footprint], num_microbatches: int, plan: Plan
) -> PlacedRounds:
    """Return the orders of `plan`, within the limit of `footprints` whatever the plan asks for."""
    rounds = _Rounds(costs, footprints, num_microbatches, plan)
    rounds.place_all()
    return rounds.placed()


def _backward_ps(cost: StageCosts) -> int:
    """Return how long an I occupies its rank, a recomputation before it included. [ps]"""
    return cost.recompute_ps + cost.input_grad_ps


class _Rounds:
    """All ranks while their ops are placed; lists are by rank."""

    def __init__(
        self, costs: Sequence[StageCosts], footprints: Sequence[Footprint], num_microbatches: int, plan: Plan
    ) -> None:
        num_ranks = len(costs)
        self.num_ranks, self.num_microbatches, self.plan, self.footprints = (
            num_ranks,
            num_microbatches,
            plan,
            footprints,
        )
        self.forward_ps = [cost.forward_ps for cost in costs]
        self.backward_ps = [_backward_ps(cost) for cost in costs]
        self.weight_grad_ps = [cost.weight_grad_ps for cost in costs]
        self.forward_hop_ps = [cost.forward_hop_ps for cost in costs]
        self.backward_hop_ps = [cost.backward_hop_ps for cost in costs]
        self.kinds: list[list[Kind]] = [[] for _ in costs]
        self.num_forwards, self.num_backwards, self.num_weight_grads = ([0] * num_ranks for _ in range(3))
        self.clock_ps, self.idle_ps, self.first_start_ps, self.live = ([0] * num_ranks for _ in range(4))
        self.activation_ps: list[list[int]] = [[] for _ in costs]  # arrivals from the rank before, by micro-batch
        self.gradient_ps: list[list[int]] = [[] for _ in costs]  # arrivals from the next rank
        self.activation_ps[0] = [0] * num_microbatches

    def place_all(self) -> None:
        """Run the warm-up, then rounds of one F and one I a rank, then the W that are left."""
        ranks, upwards = range(self.num_ranks), range(self.num_ranks - 1, -1, -1)
        for rank in ranks:
            for _ in range(min(self._allowed_warmup(rank), self.num_microbatches)):
                self._forward(rank)
        for rank in upwards:
            self._backward(rank)
        for _ in range(1, self.num_microbatches):
            first = self._first_to_go_forward()
            for rank in ranks[first:]:
                if self.num_forwards[rank] < self.num_microbatches:
                    self._forward(rank)
            for rank in upwards:
                self._backward(rank)
        for rank in ranks:
            while self.num_weight_grads[rank] < self.num_microbatches:
                self._weight_grad(rank)

    def _allowed_warmup(self, rank: int) -> int:
        """A rank has no more F than the one before, and no more than fit."""
        wanted = self.footprints[rank].forwards_that_fit(self.plan.warmups[rank])
        return min(wanted, self.num_forwards[rank - 1]) if rank else wanted

    def _first_to_go_forward(self) -> int:
        """Return the first rank that takes part in the round's F: if one leaves it out, so do those before."""
        if self.plan.skips_forwards:
            for rank in range(self.num_ranks - 2, -1, -1):
                if self.num_forwards[rank] < self.num_microbatches and self._is_ahead(rank):
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
        return needed_ps > gap_ps and self.idle_ps[rank] + gap_ps <= self._idle_budget_ps()

    def _idle_budget_ps(self) -> int:
        budget_ps = self.plan.idle_budget_ps
        return max(self.idle_ps) if budget_ps is None else budget_ps

    def _forward(self, rank: int) -> None:
        microbatch, footprint = self.num_forwards[rank], self.footprints[rank]
        arrival_ps = self.activation_ps[rank][microbatch]
        while not footprint.forward_fits(self.live[rank]) and self._has_weight_grad(rank):
            self._weight_grad(rank)
        if microbatch:
            self._fill_gap(rank, arrival_ps)
            self._wait(rank, arrival_ps)
        else:
            self.first_start_ps[rank] = self.clock_ps[rank] = arrival_ps
        self.clock_ps[rank] += self.forward_ps[rank]
        self.live[rank] += footprint.kept
        self.num_forwards[rank] += 1
        self.kinds[rank].append(Kind.F)
        if rank + 1 < self.num_ranks:
            self.activation_ps[rank + 1].append(self.clock_ps[rank] + self.forward_hop_ps[rank])
        else:
            self.gradient_ps[rank].append(self.clock_ps[rank])

    def _backward(self, rank: int) -> None:
        microbatch, footprint = self.num_backwards[rank], self.footprints[rank]
        arrival_ps = self.gradient_ps[rank][microbatch]
        while not footprint.input_grad_fits(self.live[rank]) and self._has_weight_grad(rank):
            self._weight_grad(rank)
        self._fill_gap(rank, arrival_ps)
        self._wait(rank, arrival_ps)
        self.clock_ps[rank] += self.backward_ps[rank]
        self.live[rank] += footprint.weight_grad - footprint.kept
        self.num_backwards[rank] += 1
        self.kinds[rank].append(Kind.I)
        if rank:
            self.gradient_ps[rank - 1].append(self.clock_ps[rank] + self.backward_hop_ps[rank])
        if self.plan.lags and microbatch >= self.plan.lags[rank] and self._has_weight_grad(rank):
            self._weight_grad(rank)

    def _fill_gap(self, rank: int, until_ps: int) -> None:
        """Put W into the gap before an op whose input arrives at `until_ps`."""
        if self.plan.lags:
            return
        weight_grad_ps = self.weight_grad_ps[rank]
        while self._has_weight_grad(rank) and self.clock_ps[rank] + weight_grad_ps <= until_ps:
            self._weight_grad(rank)
        gap_ps = until_ps - self.clock_ps[rank]
        if gap_ps > 0 and self._has_weight_grad(rank):
            nobody_waits = rank == 0 and self.num_forwards[rank] == self.num_microbatches
            if nobody_waits or self.idle_ps[rank] + gap_ps > self._idle_budget_ps():
                self._weight_grad(rank)

    def _wait(self, rank: int, until_ps: int) -> None:
        if until_ps > self.clock_ps[rank]:
            self.idle_ps[rank] += until_ps - self.clock_ps[rank]
            self.clock_ps[rank] = until_ps

    def _has_weight_grad(self, rank: int) -> bool:
        return self.num_weight_grads[rank] < self.num_backwards[rank]

    def _weight_grad(self, rank: int) -> None:
        self.clock_ps[rank] += self.weight_grad_ps[rank]
        self.live[rank] -= self.footprints[rank].weight_grad
        self.num_weight_grads[rank] += 1
        self.kinds[rank].append(Kind.W)

    def placed(self) -> PlacedRounds:
        """Return what has been placed."""
        spans = (end - start for end, start in zip(self.clock_ps, self.first_start_ps, strict=True))
        orders = tuple(_numbered(kinds, rank) for rank, kinds in enumerate(self.kinds))
        return PlacedRounds(orders, max(spans), max(self.clock_ps), max(self.idle_ps))


def _numbered(kinds: Sequence[Kind], stage: int) -> Order:
    """Return the actions of a stage that runs each kind in the order of micro-batches."""
    following = {Kind.F: 0, Kind.I: 0, Kind.W: 0}
    order = []
    for kind in kinds:
        order.append(Action(kind, stage, following[kind]))
        following[kind] += 1
    return tuple(order)
