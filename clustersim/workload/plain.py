"""Lowering in arrays: plain orders without groups and blocking, all rows at once.

What it returns is what :mod:`clustersim.workload.lowering` makes row by row; it is for the many pipelines that need
nothing else, and takes a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from clustersim.columns import Lists, Numbers, PipelineColumns
from clustersim.later import later
from clustersim.ops import Action, Kind, Messages, Pipeline, Program, Schedule, StageCosts
from clustersim.schedules.columns import ActionColumns
from clustersim.workload.opcost import OpCosts
from clustersim.workload.rows import OpCost

_LARGEST_SUM = 2**61
_KINDS = tuple(Kind)


class Closing(NamedTuple):
    """The rows with which each rank ends a step."""

    has_barrier: bool
    optimizer_ps: tuple[int, ...]  # of each rank; 0: it has no such row


def are_countable(costs: Sequence[StageCosts], num_actions: int) -> bool:
    """Return whether sums over a run stay within 64 bits, however its actions are spread over the stages."""
    largest = max(
        max(cost.forward_ps, cost.backward_ps, cost.recompute_ps, cost.optimizer_ps)
        + cost.host_gap_ps
        + max(cost.activation_bytes, cost.checkpoint_bytes, cost.message_bytes)
        for cost in costs
    )
    return largest * (2 * num_actions + len(costs)) < _LARGEST_SUM


def lower_plain(
    schedule: Schedule, actions: ActionColumns, op_costs: OpCosts, closing: Closing, num_steps: int
) -> Pipeline:
    """Return the pipeline of a schedule whose rows exchange nothing but asynchronous messages.

    Parameters
    ----------
    schedule
        The schedule, with a flush.
    actions
        Its actions; none of them share a slot.
    op_costs
        What they cost.
    closing
        Rows of the barrier and the optimizer.
    num_steps
        How often it is run.
    """
    sent = _Sent(schedule, actions, op_costs)
    step = _Step(actions, op_costs, sent, closing)
    columns = _repeated(step, sent, num_steps)
    programs = tuple(_program(columns, rank) for rank in range(columns.num_ranks))
    messages = _messages(columns)
    return Pipeline(schedule, programs, messages, made_from=(programs, messages, columns))


class _Sent:
    """The messages of a step, by sender and then by op."""

    def __init__(self, schedule: Schedule, actions: ActionColumns, op_costs: OpCosts) -> None:
        kind, stage, microbatch, rank = actions[:4]
        self.is_forward = kind == Kind.F
        neighbours = np.array(schedule.neighbours())  # [0] the one before, [1] the one after
        target = neighbours[self.is_forward.astype(np.int64), stage]
        owner = np.array(schedule.rank_by_stage)
        leaves = (kind != Kind.W) & (target >= 0) & (owner[target] != rank)
        self.action = np.flatnonzero(leaves)  # that sends each message
        target, self.source = target[self.action], rank[self.action]
        self.destination, self.microbatch = owner[target], microbatch[self.action]
        self.kind = np.where(self.is_forward[self.action], int(Kind.F), int(Kind.B))
        # An activation has the size that its sender gives it, and the gradient that comes back has the same one.
        sized_by = np.where(self.is_forward[self.action], stage[self.action], target)
        self.size_bytes = op_costs.sizes_bytes(sized_by, self.microbatch)
        num_microbatches = schedule.shape.num_microbatches
        number_at = np.full(2 * schedule.num_stages * num_microbatches, -1, dtype=np.int64)
        place = (2 * target + self.is_forward[self.action]) * num_microbatches + self.microbatch
        number_at[place] = np.arange(len(self.action))
        here = (2 * stage + self.is_forward) * num_microbatches + microbatch
        self.awaited = np.where(kind == Kind.W, -1, number_at[here])  # by each action; -1: none
        self.by_action = np.full(len(kind), -1, dtype=np.int64)
        self.by_action[self.action] = np.arange(len(self.action))


class _Step:
    """The rows of one step, rank after rank: recomputations stand before their backwards, closing rows at the end."""

    def __init__(self, actions: ActionColumns, op_costs: OpCosts, sent: _Sent, closing: Closing) -> None:
        kind, stage, microbatch = actions[:3]
        is_backward = (kind == Kind.B) | (kind == Kind.I)
        again = np.flatnonzero(is_backward & np.array(op_costs.has_recompute, dtype=np.bool_)[stage])
        num_closing = np.array([closing.has_barrier + (duration_ps > 0) for duration_ps in closing.optimizer_ps])
        first_again = np.searchsorted(again, actions.first)
        self.first_op = actions.first + first_again + np.append(0, np.cumsum(num_closing))
        closed_before = np.append(0, np.cumsum(num_closing))[actions.rank]
        # Where each action's row stands: after those of the actions before it, and their recomputations.
        self.row = np.arange(len(kind)) + np.searchsorted(again, np.arange(len(kind)), side="right") + closed_before
        num_rows = int(self.first_op[-1])
        self.kind, self.stage, self.microbatch = (np.full(num_rows, -1, dtype=np.int64) for _ in range(3))
        self.duration_ps, self.start_bytes, self.end_bytes = (np.zeros(num_rows, dtype=np.int64) for _ in range(3))
        self.needs, self.sends = (np.full(num_rows, -1, dtype=np.int64) for _ in range(2))
        self.kind[self.row], self.stage[self.row], self.microbatch[self.row] = kind, stage, microbatch
        for number in np.unique(kind).tolist():
            of_kind = np.flatnonzero(kind == number)
            self._set_costs(self.row[of_kind], op_costs, _KINDS[number])
        before = self.row[again] - 1
        self.kind[before], self.stage[before], self.microbatch[before] = Kind.RECOMPUTE, stage[again], microbatch[again]
        self._set_costs(before, op_costs, Kind.RECOMPUTE)
        self._set_closing(closing)
        waiting = self.row.copy()
        waiting[again] -= 1  # recomputation is part of the backward: it starts when the gradient is there
        self.needs[waiting] = sent.awaited
        self.sends[self.row] = sent.by_action

    def _set_costs(self, rows: Numbers, op_costs: OpCosts, kind: Kind) -> None:
        """Fill in what ops of one kind cost; rows know their stage and micro-batch already."""
        cost_of = op_costs.recompute if kind is Kind.RECOMPUTE else partial(_cost_of_action, op_costs, kind)
        costs = op_costs.table(cost_of, self.stage[rows], self.microbatch[rows])
        self.duration_ps[rows], self.start_bytes[rows], self.end_bytes[rows] = costs

    def _set_closing(self, closing: Closing) -> None:
        for last, duration_ps in zip((self.first_op[1:] - 1).tolist(), closing.optimizer_ps, strict=True):
            if duration_ps:
                self.kind[last], self.duration_ps[last] = Kind.OPTIMIZER, duration_ps
            if closing.has_barrier:
                self.kind[last - (duration_ps > 0)] = Kind.BARRIER


def _cost_of_action(op_costs: OpCosts, kind: Kind, stage: int, microbatch: int) -> OpCost:
    return op_costs.action(Action(kind, stage, microbatch))


def _repeated(step: _Step, sent: _Sent, num_steps: int) -> PipelineColumns:
    """Return the columns of all steps: each rank's, one after the other."""
    lengths, per_step = np.diff(step.first_op), len(sent.action)
    first_op = step.first_op * num_steps
    order = np.arange(len(step.kind))  # rows of a step, as they follow one another in all steps
    if num_steps > 1:
        ranks = [np.arange(first, first + length) for first, length in zip(step.first_op, lengths, strict=False)]
        order = np.concatenate([np.tile(rows, num_steps) for rows in ranks])
    number = np.concatenate([np.repeat(np.arange(num_steps), length) for length in lengths])

    def lists(column: Numbers) -> Lists:
        has_one = column[order] >= 0
        return Lists(has_one.astype(np.int64), (column[order] + number * per_step)[has_one])

    def row_in_all_steps(row: Numbers, rank: Numbers) -> Numbers:
        within = row - step.first_op[rank]
        return np.concatenate([first_op[rank] + n * lengths[rank] + within for n in range(num_steps)])

    waiting = np.empty(per_step, dtype=np.int64)
    waiting[step.needs[step.needs >= 0]] = np.flatnonzero(step.needs >= 0)
    return PipelineColumns(
        first_op,
        kind=step.kind[order],
        stage=step.stage[order],
        microbatch=step.microbatch[order],
        step=number,
        duration_ps=step.duration_ps[order],
        start_bytes=step.start_bytes[order],
        end_bytes=step.end_bytes[order],
        backward_stage=np.full(len(order), -1, dtype=np.int64),
        backward_microbatch=np.full(len(order), -1, dtype=np.int64),
        needs=lists(step.needs),
        sends=lists(step.sends),
        sent_kind=np.tile(sent.kind, num_steps),
        sent_microbatch=np.tile(sent.microbatch, num_steps),
        sent_step=np.repeat(np.arange(num_steps), per_step),
        source=np.tile(sent.source, num_steps),
        destination=np.tile(sent.destination, num_steps),
        size_bytes=np.tile(sent.size_bytes, num_steps),
        producer=row_in_all_steps(step.row[sent.action], sent.source),
        consumer=row_in_all_steps(waiting, sent.destination),
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of one rank, as tuples for those who go through them one by one."""

    columns: PipelineColumns
    rows: slice

    def numbers(self, column: Numbers) -> tuple[int, ...]:
        return tuple(column[self.rows].tolist())

    def lists(self, lists: Lists) -> tuple[tuple[int, ...], ...]:
        return tuple([(number,) if number >= 0 else () for number in lists.only()[self.rows].tolist()])


def _program(columns: PipelineColumns, rank: int) -> Program:
    first, last = columns.first_op[rank : rank + 2].tolist()
    own, nothing = _Rows(columns, slice(first, last)), ((),) * (last - first)
    return Program(
        later(lambda: _as_kinds(columns.kind[own.rows])),
        later(lambda: own.numbers(columns.stage)),
        later(lambda: own.numbers(columns.microbatch)),
        later(lambda: own.numbers(columns.step)),
        later(lambda: own.numbers(columns.duration_ps)),
        later(lambda: own.lists(columns.needs)),
        later(lambda: own.lists(columns.sends)),
        later(lambda: own.numbers(columns.start_bytes)),
        later(lambda: own.numbers(columns.end_bytes)),
        {},
        nothing,
        nothing,
    )


def _messages(columns: PipelineColumns) -> Messages:
    return Messages(
        later(lambda: _as_kinds(columns.sent_kind)),
        later(lambda: tuple(columns.sent_microbatch.tolist())),
        later(lambda: tuple(columns.sent_step.tolist())),
        later(lambda: tuple(columns.source.tolist())),
        later(lambda: tuple(columns.destination.tolist())),
        later(lambda: tuple(columns.size_bytes.tolist())),
        later(lambda: tuple((columns.producer - columns.first_op[columns.source]).tolist())),
        later(lambda: tuple((columns.consumer - columns.first_op[columns.destination]).tolist())),
    )


def _as_kinds(column: Numbers) -> tuple[Kind, ...]:
    return tuple([_KINDS[number] for number in column.tolist()])
