"""Ranks on which F, I and W are placed in time, one after the other, within a limit on activations.

Each rank runs its F, its I and its W in the order of micro-batches. How the next op is chosen is up to the two ways of
:mod:`clustersim.schedules.timed_rounds` and :mod:`clustersim.schedules.timed_greedy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clustersim.footprint import Footprint
from clustersim.ops import Action, Kind, Order, StageCosts


@dataclass(frozen=True, slots=True)
class PlacedOrders:
    """Each rank's order, as the kinds of its ops, and what it takes in time. [ps]"""

    kinds: Sequence[Sequence[Kind]]
    span_ps: int  # the largest over ranks of last end - first start
    makespan_ps: int
    idle_ps: int  # the largest over ranks of the gaps after its first F

    def orders(self) -> tuple[Order, ...]:
        """Return the orders; each kind takes micro-batches in turn."""
        return tuple(_numbered(kinds, rank) for rank, kinds in enumerate(self.kinds))


class TimedRanks:
    """All ranks while their ops are placed; lists are by rank, arrivals by rank and micro-batch. [ps]"""

    def __init__(
        self,
        costs: Sequence[StageCosts],
        footprints: Sequence[Footprint],
        num_microbatches: int,
        idle_budget_ps: int | None,
    ) -> None:
        num_ranks = len(costs)
        self.num_ranks, self.num_microbatches, self.footprints = num_ranks, num_microbatches, footprints
        self._given_idle_budget_ps = idle_budget_ps
        self.forward_ps = [cost.forward_ps for cost in costs]
        self.backward_ps = [backward_ps(cost) for cost in costs]
        self.weight_grad_ps = [cost.weight_grad_ps for cost in costs]
        self.forward_hop_ps = [cost.forward_hop_ps for cost in costs]
        self.backward_hop_ps = [cost.backward_hop_ps for cost in costs]
        self.kinds: list[list[Kind]] = [[] for _ in costs]
        self.num_forwards, self.num_backwards, self.num_weight_grads = ([0] * num_ranks for _ in range(3))
        self.clock_ps, self.idle_ps, self.first_start_ps, self.live = ([0] * num_ranks for _ in range(4))
        self.activation_ps: list[list[int]] = [[] for _ in costs]  # arrivals from the rank before
        self.gradient_ps: list[list[int]] = [[] for _ in costs]  # arrivals from the next rank
        self.activation_ps[0] = [0] * num_microbatches

    def idle_budget_ps(self) -> int:
        """Return how long a rank may idle in all before W delays what follows: as given, or as long as any rank has."""
        return max(self.idle_ps) if self._given_idle_budget_ps is None else self._given_idle_budget_ps

    def has_forward(self, rank: int) -> bool:
        """Return whether a rank has F left."""
        return self.num_forwards[rank] < self.num_microbatches

    def has_weight_grad(self, rank: int) -> bool:
        """Return whether a rank has a W that could run."""
        return self.num_weight_grads[rank] < self.num_backwards[rank]

    def forward_fits(self, rank: int) -> bool:
        """Return whether there is room for the next F of a rank."""
        return self.footprints[rank].forward_fits(self.live[rank])

    def backward_fits(self, rank: int) -> bool:
        """Return whether there is room for the next I of a rank."""
        return self.footprints[rank].input_grad_fits(self.live[rank])

    def forward(self, rank: int) -> int:
        """Place the next F of a rank as early as it can start, and return when its activation arrives."""
        arrival_ps = self.activation_ps[rank][self.num_forwards[rank]]
        if self.num_forwards[rank]:
            self.wait(rank, arrival_ps)
        else:
            self.first_start_ps[rank] = self.clock_ps[rank] = arrival_ps
        self.clock_ps[rank] += self.forward_ps[rank]
        self.live[rank] += self.footprints[rank].kept
        self.num_forwards[rank] += 1
        self.kinds[rank].append(Kind.F)
        if rank + 1 == self.num_ranks:
            self.gradient_ps[rank].append(self.clock_ps[rank])
            return self.clock_ps[rank]
        arrival_ps = self.clock_ps[rank] + self.forward_hop_ps[rank]
        self.activation_ps[rank + 1].append(arrival_ps)
        return arrival_ps

    def backward(self, rank: int) -> int:
        """Place the next I of a rank as early as it can start, and return when its gradient arrives."""
        self.wait(rank, self.gradient_ps[rank][self.num_backwards[rank]])
        self.clock_ps[rank] += self.backward_ps[rank]
        self.live[rank] += self.footprints[rank].weight_grad - self.footprints[rank].kept
        self.num_backwards[rank] += 1
        self.kinds[rank].append(Kind.I)
        arrival_ps = self.clock_ps[rank] + self.backward_hop_ps[rank]
        if rank:
            self.gradient_ps[rank - 1].append(arrival_ps)
        return arrival_ps

    def weight_grad(self, rank: int) -> None:
        """Place the next W of a rank now."""
        self.clock_ps[rank] += self.weight_grad_ps[rank]
        self.live[rank] -= self.footprints[rank].weight_grad
        self.num_weight_grads[rank] += 1
        self.kinds[rank].append(Kind.W)

    def weight_grad_is_due(self, rank: int, until_ps: int) -> bool:
        """Return whether a W should go into the gap before an input that arrives at `until_ps`.

        It should if it fits, or if the rank would idle too much, or if nobody waits for what it delays.
        """
        gap_ps = until_ps - self.clock_ps[rank]
        if gap_ps <= 0 or not self.has_weight_grad(rank):
            return False
        if self.weight_grad_ps[rank] <= gap_ps or (rank == 0 and not self.has_forward(rank)):
            return True
        return self.idle_ps[rank] + gap_ps > self.idle_budget_ps()

    def wait(self, rank: int, until_ps: int) -> None:
        """Let a rank idle until `until_ps`, if that is still to come."""
        if until_ps > self.clock_ps[rank]:
            self.idle_ps[rank] += until_ps - self.clock_ps[rank]
            self.clock_ps[rank] = until_ps

    def placed(self) -> PlacedOrders:
        """Return what has been placed."""
        spans = (end - start for end, start in zip(self.clock_ps, self.first_start_ps, strict=True))
        return PlacedOrders(self.kinds, max(spans), max(self.clock_ps), max(self.idle_ps))


def backward_ps(cost: StageCosts) -> int:
    """Return how long an I occupies its rank, a recomputation before it included. [ps]"""
    return cost.recompute_ps + cost.input_grad_ps


def _numbered(kinds: Sequence[Kind], stage: int) -> Order:
    """Return the actions of a stage that runs each kind in the order of micro-batches."""
    following = {Kind.F: 0, Kind.I: 0, Kind.W: 0}
    order = []
    for kind in kinds:
        order.append(Action(kind, stage, following[kind]))
        following[kind] += 1
    return tuple(order)
