"""The messages of one step: which op sends each, which one waits for it, and whose size it has."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from clustersim.columns import Numbers
from clustersim.ops import Kind
from clustersim.schedules.places import Places
from clustersim.workload.opcost import OpCosts


class SentMessages:
    """The messages of a step, by sender and then by op; neighbouring stages on one rank exchange nothing."""

    kind: Numbers  # F for activations, B for gradients
    microbatch: Numbers
    source: Numbers  # pp_rank
    destination: Numbers
    sized_by: Numbers  # the stage of whose output each has the size
    action: Numbers  # that sends each
    awaited: Numbers  # by each action; -1: it waits for none
    by_action: Numbers  # that each action sends; -1: none

    def __init__(self, places: Places) -> None:
        schedule, actions = places.schedule, places.actions
        owner = np.array(schedule.rank_by_stage)
        # Of the backwards of each stage, and its forwards: where what they make goes, whose size it has, if it leaves.
        target = np.stack(schedule.neighbours(), axis=1).reshape(-1)
        here, is_forward = np.repeat(np.arange(schedule.num_stages), 2), np.arange(len(target)) % 2
        leaves = (target >= 0) & (owner[target] != owner[here])
        # An activation has the size that its sender gives it, and the gradient that comes back has the same one.
        sized_by = np.where(is_forward, here, target)
        is_sent = leaves.take(places.which)
        is_sent[places.weight_grads] = False
        self.action = np.flatnonzero(is_sent)
        which, numbers = places.which.take(self.action), np.arange(len(self.action))
        self.source, self.destination = actions.rank.take(self.action), owner[target].take(which)
        self.kind = np.where(is_forward, int(Kind.F), int(Kind.B)).take(which)
        self.microbatch, self.sized_by = actions.microbatch.take(self.action), sized_by.take(which)
        number_at = np.full(places.num_places + 1, -1, dtype=np.int64)  # the last one is of what waits for nothing
        number_at[places.makes.take(self.action)] = numbers
        self.awaited = number_at.take(places.needs)
        self.by_action = np.full(len(is_sent), -1, dtype=np.int64)
        self.by_action[self.action] = numbers

    def sizes_bytes(self, op_costs: OpCosts, numbers: Iterable[int]) -> dict[int, int]:
        """Return the sizes of some messages, all parts together; -1 is none. [bytes]"""
        sized_by, microbatch = self.sized_by, self.microbatch
        return {
            number: op_costs.message_bytes(int(sized_by[number]), int(microbatch[number]))
            for number in numbers
            if number >= 0
        }

    def __len__(self) -> int:
        return len(self.action)
