"""The order of a schedule as numbers, for the longest path through it and the peaks of its memory.

Many layouts run one order, each with durations of its own: the order is gone through once for all of them, an array of
layouts wide. Ranks exchange nothing here but messages that have their links to themselves, and an op lasts as long as
it is said to. So the path is what a run takes in which nobody waits for a link: no run of the same order is shorter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clustersim.ops import Action, Kind, Order, Overlap, Schedule, Slot, StageCosts, actions_in

Numbers = NDArray[np.int64]

Code = tuple[Kind, int, int]
"""What ops of one duration have in common: kind, stage, and the stage of an overlapped backward or -1."""


class Ends(NamedTuple):
    """When things of a step happen, by layout. [ps]"""

    last_backward_start: dict[int, Numbers]  # of each stage
    rank_end: list[Numbers]  # of each pp_rank's last op


class OrderPath:
    """One schedule, ready to be evaluated with the durations of many layouts.

    ``codes`` lists the kinds of ops, ``hops`` the pairs of stages between which messages go, both as columns of the
    tables that :meth:`ends` takes.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self._previous, self._next = schedule.neighbours()
        self.codes: dict[Code, int] = {}
        self.hops: dict[tuple[int, int], int] = {}
        self._steps = _in_dependency_order(schedule, self)
        closing = _last_backwards(schedule)
        self.last_backward: dict[int, Code] = {  # the op that completes the gradients of each stage
            stage: self._key(schedule.orders[rank][position]) for (rank, position), stage in closing.items()
        }
        self.stages_by_first_forward = [  # of each rank, in the order in which their first forwards come
            list(dict.fromkeys(a.stage for slot in order for a in actions_in(slot) if a.kind is Kind.F))
            for order in schedule.orders
        ]
        self._moments: list[list[Moment]] | None = None

    def code(self, slot: Slot) -> int:
        """Return the column of an op's duration."""
        return self.codes.setdefault(self._key(slot), len(self.codes))

    @staticmethod
    def _key(slot: Slot) -> Code:
        if isinstance(slot, Overlap):
            return Kind.FB, slot.forward.stage, slot.backward.stage
        return slot.kind, slot.stage, -1

    def needs(self, slot: Slot) -> list[tuple[Kind, int, int, int]]:
        """Return what an op waits for: kind, stage and micro-batch of another op, and the hop that lies between."""
        found = []
        for kind, stage, microbatch in actions_in(slot):
            if kind is Kind.W:
                continue
            source = (self._previous if kind is Kind.F else self._next)[stage]
            if source < 0:
                continue
            hop = -1
            if self.schedule.rank_by_stage[source] != self.schedule.rank_by_stage[stage]:
                hop = self.hops.setdefault((source, stage), len(self.hops))
            found.append((Kind.F if kind is Kind.F else Kind.B, source, microbatch, hop))
        return found

    def ends(self, durations_ps: Numbers, hops_ps: Numbers, begins_ps: dict[int, Numbers]) -> Ends:
        """Return when the ops of a step end on the longest path.

        Parameters
        ----------
        durations_ps
            ``durations_ps[code, layout]``. [ps]
        hops_ps
            ``hops_ps[hop, layout]``. [ps]
        begins_ps
            When the first forward of a stage may begin, for the stages that have to wait. [ps]
        """
        num_layouts = durations_ps.shape[1]
        clocks = [np.zeros(num_layouts, dtype=np.int64) for _ in self.schedule.orders]
        ends: list[Numbers] = [clocks[0]] * len(self._steps)
        starts_of: dict[int, Numbers] = {}
        durations, hops, waiting = list(durations_ps), list(hops_ps), dict(begins_ps)
        maximum, has_waiting = np.maximum, bool(waiting)
        for number, (rank, code, awaited, stage, closing) in enumerate(self._steps):
            start = clocks[rank]
            for source, hop in awaited:
                arrival = ends[source] if hop < 0 else ends[source] + hops[hop]
                start = maximum(start, arrival)
            if has_waiting and stage in waiting:
                start = maximum(start, waiting.pop(stage))
                has_waiting = bool(waiting)
            end = start + durations[code]
            clocks[rank] = ends[number] = end
            if closing >= 0:
                starts_of[closing] = start
        return Ends(starts_of, clocks)

    def activation_peaks(self, costs: Sequence[StageCosts]) -> list[int]:
        """Return the peak of what each rank holds of activations, micro-batches being full. [bytes]"""
        if self._moments is None:
            self._moments = [_moments(order) for order in self.schedule.orders]
        return [max(_held_bytes(moment, costs) for moment in moments) for moments in self._moments]


def _in_dependency_order(
    schedule: Schedule, path: OrderPath
) -> list[tuple[int, int, tuple[tuple[int, int], ...], int, int]]:
    """Return every op after those that it waits for.

    Each is a rank, the column of its duration, what it waits for (number of the op, hop), the stage whose forward it
    is or -1, and the stage whose last backward it is or -1.
    """
    last_backward = _last_backwards(schedule)
    done: dict[tuple[Kind, int, int], int] = {}
    steps: list[tuple[int, int, tuple[tuple[int, int], ...], int, int]] = []
    positions = [0] * len(schedule.orders)
    ranks = list(range(len(schedule.orders)))
    while ranks:
        waiting = []
        for rank in ranks:
            order = schedule.orders[rank]
            position = positions[rank]
            while position < len(order):
                slot = order[position]
                needs = path.needs(slot)
                if any(need[:3] not in done for need in needs):
                    break
                awaited = tuple((done[need[:3]], need[3]) for need in needs)
                number, forward = len(steps), -1
                for kind, stage, microbatch in actions_in(slot):
                    forward = stage if kind is Kind.F else forward
                    if kind is not Kind.W:
                        done[Kind.F if kind is Kind.F else Kind.B, stage, microbatch] = number
                steps.append((rank, path.code(slot), awaited, forward, last_backward.get((rank, position), -1)))
                position += 1
            positions[rank] = position
            if position < len(order):
                waiting.append(rank)
        ranks = waiting
    return steps


def _last_backwards(schedule: Schedule) -> dict[tuple[int, int], int]:
    """Return the stage whose gradients an op completes, by the op's rank and position."""
    places: dict[int, tuple[int, int]] = {}
    for rank, order in enumerate(schedule.orders):
        for position, slot in enumerate(order):
            for kind, stage, _ in actions_in(slot):
                if kind in (Kind.B, Kind.W):
                    places[stage] = (rank, position)
    return {place: stage for stage, place in places.items()}


Moment = tuple[tuple[int, int, int, int], ...]
"""What a rank holds when an op starts: stage, micro-batches between F and backward, between I and W, and what the op
takes: 1 a forward's activation, 2 what a backward makes again."""


def _moments(order: Order) -> list[Moment]:
    """Return every different state of a rank's memory at the start of an op, the hopeless ones left out."""
    between = {stage: 0 for slot in order for _, stage, _ in actions_in(slot)}
    parted = dict.fromkeys(between, 0)
    found: dict[Moment, None] = {}
    for slot in order:
        taken = dict.fromkeys(between, 0)
        for kind, stage, _ in actions_in(slot):
            taken[stage] += 1 if kind is Kind.F else 2 if kind is not Kind.W else 0
        found[tuple((stage, between[stage], parted[stage], taken[stage]) for stage in between)] = None
        for kind, stage, _ in actions_in(slot):
            between[stage] += {Kind.F: 1, Kind.B: -1, Kind.I: -1}.get(kind, 0)
            parted[stage] += {Kind.I: 1, Kind.W: -1}.get(kind, 0)
    return _largest(list(found))


def _largest(moments: list[Moment]) -> list[Moment]:
    """Return the moments that no other one holds at least as much of everything as."""
    table = np.array([[value for entry in moment for value in _parts(entry)] for moment in moments])
    order = np.argsort(-table.sum(axis=1), kind="stable")
    kept: list[int] = []
    for index in order.tolist():
        if not kept or not (table[kept] >= table[index]).all(axis=1).any():
            kept.append(index)
    return [moments[index] for index in kept]


def _parts(entry: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    _, between, parted, taken = entry
    return between, parted, taken & 1, taken >> 1


def _held_bytes(moment: Moment, costs: Sequence[StageCosts]) -> int:
    total = 0
    for stage, between, parted, taken in moment:
        cost = costs[stage]
        kept, whole = cost.kept_bytes, cost.activation_bytes
        total += between * kept + parted * cost.weight_grad_activation_bytes
        total += (taken & 1) * whole + (taken >> 1) * (whole - kept)
    return total
