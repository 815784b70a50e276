"""The order of a schedule as numbers, for the longest path through it.

Many layouts run one order, each with durations of its own: the order is gone through once for all of them, an array of
layouts wide. Ranks exchange nothing here but messages that have their links to themselves, and an op lasts as long as
it is said to. So the path is what a run takes in which nobody waits for a link: no run of the same order is shorter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clustersim.ops import Kind, Overlap, Schedule, Slot, actions_in

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
        self._known: dict[Code, tuple[int, list[tuple[int, int, int]]]] = {}
        closing = _last_backwards(schedule)
        self._steps = _in_dependency_order(schedule, self, closing)
        self.last_backward: dict[int, Code] = {  # the op that completes the gradients of each stage
            stage: self._key(schedule.orders[rank][position]) for (rank, position), stage in closing.items()
        }
        self.stages_by_first_forward = [  # of each rank, in the order in which their first forwards come
            list(dict.fromkeys(a.stage for slot in order for a in actions_in(slot) if a.kind is Kind.F))
            for order in schedule.orders
        ]

    @staticmethod
    def _key(slot: Slot) -> Code:
        if isinstance(slot, Overlap):
            return Kind.FB, slot.forward.stage, slot.backward.stage
        return slot.kind, slot.stage, -1

    def column_and_needs(self, slot: Slot) -> tuple[int, list[tuple[int, int, int]]]:
        """Return the column of an op's duration, and for each of its actions where to look for what it waits for.

        That is the place of the other op, as `place_of` numbers them from micro-batch 0 on, or -1; the hop between, or
        -1; and the place under which the action itself is found.
        """
        key = self._key(slot)
        if key not in self._known:
            needs = []
            for kind, stage, _ in actions_in(slot):
                is_forward = kind is Kind.F
                source = -1 if kind is Kind.W else (self._previous if is_forward else self._next)[stage]
                owner, hop = self.schedule.rank_by_stage, -1
                if source >= 0 and owner[source] != owner[stage]:
                    hop = self.hops.setdefault((source, stage), len(self.hops))
                own = -1 if kind is Kind.W else self._place_of(is_forward, stage)
                needs.append((self._place_of(is_forward, source) if source >= 0 else -1, hop, own))
            self._known[key] = (self.codes.setdefault(key, len(self.codes)), needs)
        return self._known[key]

    def _place_of(self, is_forward: bool, stage: int) -> int:
        return (2 * stage + is_forward) * self.schedule.shape.num_microbatches

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


def _in_dependency_order(
    schedule: Schedule, path: OrderPath, last_backward: dict[tuple[int, int], int]
) -> list[tuple[int, int, tuple[tuple[int, int], ...], int, int]]:
    """Return every op after those that it waits for.

    Each is a rank, the column of its duration, what it waits for (number of the op, hop), the stage whose forward it
    is or -1, and the stage whose last backward it is or -1, as `last_backward` has it by rank and position.
    """
    number_at = [-1] * (2 * schedule.num_stages * schedule.shape.num_microbatches)
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
                column, needs = path.column_and_needs(slot)
                actions = actions_in(slot)
                awaited = tuple(
                    [
                        (number_at[place + action.microbatch], hop)
                        for action, (place, hop, _) in zip(actions, needs, strict=True)
                        if place >= 0
                    ]
                )
                if any(number < 0 for number, _ in awaited):
                    break
                for action, (_, _, own) in zip(actions, needs, strict=True):
                    if own >= 0:
                        number_at[own + action.microbatch] = len(steps)
                forward = actions[0].stage if actions[0].kind is Kind.F else -1
                steps.append((rank, column, awaited, forward, last_backward.get((rank, position), -1)))
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
