"""The messages of one step: which op sends each, which one waits for it, and whose size it has."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from clustersim.columns import Numbers
from clustersim.ops import Kind, Schedule
from clustersim.schedules.columns import ActionColumns
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

    def __init__(self, schedule: Schedule, actions: ActionColumns) -> None:
        kind, stage, microbatch, rank = actions[:4]
        num_microbatches, owner = schedule.shape.num_microbatches, np.array(schedule.rank_by_stage)
        # Of the backwards of each stage, and its forwards: where what they make goes, whose size it has, if it leaves.
        target = np.stack(schedule.neighbours(), axis=1).reshape(-1)
        here, is_forward = np.repeat(np.arange(schedule.num_stages), 2), np.arange(len(target)) % 2
        leaves = (target >= 0) & (owner[target] != owner[here])
        # An activation has the size that its sender gives it, and the gradient that comes back has the same one.
        sized_by = np.where(is_forward, here, target)
        which = 2 * stage + (kind == Kind.F)
        self.action = np.flatnonzero(leaves[which] & (kind != Kind.W))
        sent, numbers = which[self.action], np.arange(len(self.action))
        self.source, self.destination = rank[self.action], owner[target][sent]
        self.kind, self.microbatch = np.where(is_forward, int(Kind.F), int(Kind.B))[sent], microbatch[self.action]
        self.sized_by = sized_by[sent]
        number_at = np.full(len(target) * num_microbatches, -1, dtype=np.int64)
        number_at[((2 * target + is_forward) * num_microbatches)[sent] + self.microbatch] = numbers
        self.awaited = number_at[which * num_microbatches + microbatch]
        if actions.has(Kind.W):
            self.awaited[kind == Kind.W] = -1
        self.by_action = np.full(len(kind), -1, dtype=np.int64)
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
