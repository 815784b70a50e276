"""Lower bounds: a time that no order of the same ops on the same ranks can beat.

Every bound counts what must happen on one rank, with the shortest way there and the shortest way out, in words:

- *Head.* A rank starts with a forward of one of its stages, after the forwards and hops before it.
- *Work.* Then it computes all of its ops; an overlapped pair costs what the pair is said to cost.
- *Turn.* Before its first backward a rank can run forwards only, and no more of them than there is room for; the first
  backward starts no sooner than a micro-batch has gone down the chain and back. What of that time the forwards can't
  fill is idle.
- *Tail.* After the last backward of a rank its gradient still goes up the chain, through a backward on every stage and
  the weight gradient of the first. Meanwhile the rank can run only the W that it has left, and there may be no more of
  them than there is room for.
- *Residence.* A micro-batch holds memory from its forward to its weight gradient, at least for a round trip down the
  chain. Bytes times time, summed over micro-batches, are at most the limit times the time from the rank's head on.

Links are taken as free: contention only makes a message later. Recomputation belongs to the backward that it precedes.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from clustersim.ops import CostedSchedule, StageCosts


class _Shortest(NamedTuple):
    """How soon after its start a stage can pass on a forward and a backward, and end W after the latter. [ps]"""

    forward_ps: int
    backward_ps: int
    weight_grad_ps: int


class _Path(NamedTuple):
    """Shortest times of a full micro-batch on one stage of a chain. [ps]"""

    head_ps: int  # from the first stage's start to the arrival of the activation
    turn_ps: int  # from the first stage's start to the arrival of the gradient
    tail_ps: int  # from the end of the backward to the end of the first stage's W; 0 on the first stage
    end_ps: int  # from the first stage's start to the end of W here


class _RankBound(NamedTuple):
    """What one rank adds up to in one step, optimizer excluded. [ps]"""

    start_ps: int  # idle before the last of its work, at least
    work_ps: int
    tail_ps: int  # after its last backward
    left_ps: int  # W that it can run meanwhile
    residence_ps: int  # head, and the time that the memory of all its micro-batches takes
    optimizer_ps: int

    @property
    def step_ps(self) -> int:
        """When the rank has done its work and its last gradient has gone up the chain."""
        return max(self.start_ps + self.work_ps + max(0, self.tail_ps - self.left_ps), self.residence_ps)

    def steps_ps(self, num_steps: int, shortest_update_ps: int) -> int:
        """The same after steps in a row, each with its update, without waiting for the others in between."""
        wait_ps = max(0, self.tail_ps + shortest_update_ps - self.left_ps - self.optimizer_ps)
        worked_ps = self.start_ps + num_steps * (self.work_ps + self.optimizer_ps) + wait_ps
        return max(worked_ps, self.residence_ps + self.optimizer_ps)


def makespan_bound_ps(costed: CostedSchedule, num_steps: int = 1, optimizer_barrier: bool = True) -> int:
    """Return a time in which no order of a schedule's ops ends, on its ranks and within its memory limit. [ps]

    The order may be any: micro-batches in any sequence, and B parted into I and W where the costs part it.

    Examples
    --------
    Two ranks, two micro-batches, F = I = W = 10: rank 1 starts at 10 and computes for 60.

    >>> from clustersim.ops import Schedule, Shape
    >>> schedule = Schedule("any", Shape(2, 2), ((), ()), (0, 1), ((0, 1),))
    >>> makespan_bound_ps(CostedSchedule(schedule, (2,), (StageCosts(10, 10, 10, 30),) * 2))
    70
    """
    view = _View(costed)
    ranks = [view.rank_bound(rank) for rank in range(len(costed.schedule.orders))]
    through_ps = view.through_ps()
    if not costed.schedule.flush:
        num_updates = _num_updates(costed)
        return max(rank.start_ps + rank.work_ps + num_updates * rank.optimizer_ps for rank in ranks)
    updates_ps = [rank.optimizer_ps for rank in ranks]
    if not optimizer_barrier:
        return max(through_ps, *(rank.steps_ps(num_steps, min(updates_ps)) for rank in ranks))
    step_ps = max(through_ps, *(rank.step_ps for rank in ranks))
    period_ps = max(step_ps + min(updates_ps), *(rank.work_ps + rank.optimizer_ps for rank in ranks))
    return step_ps + (num_steps - 1) * period_ps + max(updates_ps)


def _num_updates(costed: CostedSchedule) -> int:
    shape = costed.schedule.shape
    return shape.num_steps if costed.schedule.optimizer_after == "step" else shape.num_microbatches


class _View:
    """A costed schedule, with its stages by rank and the shortest times of its chains."""

    def __init__(self, costed: CostedSchedule) -> None:
        schedule, costs = costed.schedule, costed.costs
        self.costed, self.room = costed, costed.room
        self.stages_by_rank: list[list[int]] = [[] for _ in range(len(schedule.orders))]
        for stage, rank in enumerate(schedule.rank_by_stage):
            self.stages_by_rank[rank].append(stage)
        self.shortest = [
            _shortest(costs[stage], [costs[other] for other in self.stages_by_rank[rank]])
            for stage, rank in enumerate(schedule.rank_by_stage)
        ]
        self.num_short = schedule.shape.num_steps if costed.last_fraction < 1 else 0
        self.paths: dict[int, _Path] = {}
        for chain in schedule.chains:
            self.paths |= zip(chain, _paths([costs[s] for s in chain], [self.shortest[s] for s in chain]), strict=True)
        self.chain_by_stage = {stage: number for number, chain in enumerate(schedule.chains) for stage in chain}

    def through_ps(self) -> int:
        """Return what one micro-batch takes from its first start to its last end. [ps]"""
        costed, longest_ps = self.costed, 0
        for number, chain in zip(costed.num_microbatches, costed.schedule.chains, strict=True):
            if number:
                fraction = Fraction(1) if number > costed.schedule.shape.num_steps else costed.last_fraction
                longest_ps = max(longest_ps, _part(max(self.paths[stage].end_ps for stage in chain), fraction))
        return longest_ps

    def rank_bound(self, rank: int) -> _RankBound:
        """Return what `rank` adds up to in one step."""
        costed, costs = self.costed, self.costed.costs
        stages = self.stages_by_rank[rank]
        optimizer_ps = costed.schedule.update_ps(stages, costs)
        used = [stage for stage in stages if self._num_microbatches(stage)]
        if not used:
            return _RankBound(0, 0, 0, 0, 0, optimizer_ps)
        shortest = zip(*(self.paths[stage] for stage in used), strict=True)
        head_ps, turn_ps, tail_ps, _ = [_part(min(times_ps), costed.last_fraction) for times_ps in shortest]
        forwards_ps = sum(self._most_forwards(stage) * costs[stage].forward_ps for stage in used)
        left_ps = sum(self._most_weight_grads(stage) * costs[stage].weight_grad_ps for stage in used)
        work_ps = sum(self._work_ps(stage) for stage in used)
        residence_ps = max(self._residence_ps(stage) for stage in used)
        return _RankBound(max(head_ps, turn_ps - forwards_ps), work_ps, tail_ps, left_ps, residence_ps, optimizer_ps)

    def _num_microbatches(self, stage: int) -> int:
        return self.costed.num_microbatches[self.chain_by_stage[stage]]

    def _most_forwards(self, stage: int) -> int:
        most = self._num_microbatches(stage)
        return self.room[stage].forwards_that_fit(most) if self.room else most

    def _most_weight_grads(self, stage: int) -> int:
        most = self._num_microbatches(stage)
        return self.room[stage].weight_grads_that_fit(most) if self.room else most

    def _work_ps(self, stage: int) -> int:
        """Return what a stage computes at least, if every F shares a slot with a B wherever that saves. [ps]"""
        cost, num_short = self.costed.costs[stage], self.num_short
        one_ps = cost.forward_ps + cost.backward_ps - _saving_ps(cost) + cost.recompute_ps
        short_ps = num_short * _part(one_ps, self.costed.last_fraction) if num_short else 0
        return (self._num_microbatches(stage) - num_short) * one_ps + short_ps

    def _residence_ps(self, stage: int) -> int:
        """Return when the memory of a rank has held all its micro-batches, each for as short as it can. [ps]"""
        if not self.room or not self.room[stage].limit:
            return 0
        room, path, shortest = self.room[stage], self.paths[stage], self.shortest[stage]
        held = room.activation * (shortest.forward_ps + shortest.backward_ps)
        held += room.kept * (path.turn_ps - path.head_ps - shortest.forward_ps)
        held += room.weight_grad * shortest.weight_grad_ps
        num_full = self._num_microbatches(stage) - self.num_short
        return _part(path.head_ps, self.costed.last_fraction) + -(-num_full * held // room.limit)


def _part(time_ps: int, fraction: Fraction) -> int:
    """Return no more than the time of a micro-batch of this size, however its parts were rounded. [ps]"""
    return time_ps * fraction.numerator // fraction.denominator


def _saving_ps(cost: StageCosts) -> int:
    """Return what an overlapped pair of this stage's F and B saves. [ps]"""
    return max(0, cost.forward_ps + cost.backward_ps - cost.forward_backward_ps)


def _shortest(cost: StageCosts, on_rank: Sequence[StageCosts]) -> _Shortest:
    """Return the shortest times of a stage that shares its rank with the stages of `on_rank`, itself among them.

    A slot that an op shares with another may end before the op alone would, if sharing saves more than the other takes.
    """
    alone = _Shortest(cost.forward_ps, cost.recompute_ps + cost.input_grad_ps, cost.weight_grad_ps)
    if not any(map(_saving_ps, on_rank)):
        return alone
    half_ps = Fraction(_saving_ps(cost), 2)
    with_backward = min(other.input_grad_ps - Fraction(_saving_ps(other), 2) for other in on_rank)
    with_forward = min(other.forward_ps - Fraction(_saving_ps(other), 2) for other in on_rank)
    return _Shortest(
        max(0, min(cost.forward_ps, int((cost.forward_ps - half_ps + with_backward) // 1))),
        cost.recompute_ps + max(0, min(cost.input_grad_ps, int((cost.input_grad_ps - half_ps + with_forward) // 1))),
        0,
    )


def _paths(costs: Sequence[StageCosts], shortest: Sequence[_Shortest]) -> list[_Path]:
    """Return the shortest times on each stage of a chain."""
    heads_ps, tails_ps = [0], [0]
    for here in range(len(costs) - 1):
        heads_ps.append(heads_ps[-1] + shortest[here].forward_ps + costs[here].forward_hop_ps)
        tails_ps.append(tails_ps[-1] + costs[here + 1].backward_hop_ps + shortest[here].backward_ps)
    turns_ps = [heads_ps[-1] + shortest[-1].forward_ps]
    for here in range(len(costs) - 1, 0, -1):
        turns_ps.append(turns_ps[-1] + shortest[here].backward_ps + costs[here].backward_hop_ps)
    paths = []
    for here, turn_ps in enumerate(reversed(turns_ps)):
        last_ps = shortest[0].weight_grad_ps if here else 0
        end_ps = turn_ps + shortest[here].backward_ps + shortest[here].weight_grad_ps
        paths.append(_Path(heads_ps[here], turn_ps, tails_ps[here] + last_ps, end_ps))
    return paths
