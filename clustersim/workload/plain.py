"""Lowering in arrays: plain orders without groups and blocking, all rows at once.

What it returns is what :mod:`clustersim.workload.lowering` makes row by row; it is for the many pipelines that need
nothing else, and takes a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clustersim.columns import Lists, Numbers, PipelineColumns
from clustersim.later import later
from clustersim.ops import Kind, Messages, Pipeline, Program, Schedule, StageCosts
from clustersim.schedules.columns import ActionColumns
from clustersim.workload.opcost import OpCosts

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
        num_microbatches, owner = schedule.shape.num_microbatches, np.array(schedule.rank_by_stage)
        # Of the backwards of each stage, and its forwards: where what they make goes, whose size it has, if it leaves.
        target = np.stack(schedule.neighbours(), axis=1).reshape(-1)
        here, is_forward = np.repeat(np.arange(schedule.num_stages), 2), np.arange(len(target)) % 2
        leaves = (target >= 0) & (owner[target] != owner[here])
        # An activation has the size that its sender gives it, and the gradient that comes back has the same one.
        sized_by = np.where(is_forward, here, target)
        which = 2 * stage + (kind == Kind.F)
        self.action = np.flatnonzero(leaves[which] & (kind != Kind.W))  # that sends each message
        sent, numbers = which[self.action], np.arange(len(self.action))
        self.source, self.destination = rank[self.action], owner[target][sent]
        self.kind, self.microbatch = np.where(is_forward, int(Kind.F), int(Kind.B))[sent], microbatch[self.action]
        self.size_bytes = op_costs.sizes_bytes(sized_by[sent], self.microbatch)
        number_at = np.full(len(target) * num_microbatches, -1, dtype=np.int64)
        number_at[((2 * target + is_forward) * num_microbatches)[sent] + self.microbatch] = numbers
        self.awaited = number_at[which * num_microbatches + microbatch]  # by each action; -1: none
        if actions.has(Kind.W):
            self.awaited[kind == Kind.W] = -1
        self.by_action = np.full(len(kind), -1, dtype=np.int64)
        self.by_action[self.action] = numbers


class _Step:
    """The rows of one step, rank after rank: recomputations stand before their backwards, closing rows at the end."""

    def __init__(self, actions: ActionColumns, op_costs: OpCosts, sent: _Sent, closing: Closing) -> None:
        kind, stage, microbatch = actions[:3]
        again = np.empty(0, dtype=np.int64)
        if any(op_costs.has_recompute):
            is_backward = (kind == Kind.B) | (kind == Kind.I)
            again = np.flatnonzero(is_backward & np.array(op_costs.has_recompute, dtype=np.bool_)[stage])
        num_closing = np.array([closing.has_barrier + (duration_ps > 0) for duration_ps in closing.optimizer_ps])
        first_again = np.searchsorted(again, actions.first)
        self.first_op = actions.first + first_again + np.append(0, np.cumsum(num_closing))
        # Where each action's row stands: after those of the actions before it, and their recomputations.
        self.row = np.arange(len(kind)) + np.append(0, np.cumsum(num_closing))[actions.rank]
        if len(again):
            self.row += np.searchsorted(again, np.arange(len(kind)), side="right")
        num_rows = int(self.first_op[-1])
        self.kind, self.stage, self.microbatch = (np.full(num_rows, -1, dtype=np.int64) for _ in range(3))
        self.duration_ps, self.start_bytes, self.end_bytes = (np.zeros(num_rows, dtype=np.int64) for _ in range(3))
        self.needs, self.sends = (np.full(num_rows, -1, dtype=np.int64) for _ in range(2))
        self._set(self.row, op_costs, kind, stage, microbatch)
        self._set_closing(closing)
        waiting = self.row
        if len(again):
            kinds = np.full(len(again), int(Kind.RECOMPUTE))
            self._set(self.row[again] - 1, op_costs, kinds, stage[again], microbatch[again])
            waiting = waiting.copy()
            waiting[again] -= 1  # recomputation is part of the backward: it starts when the gradient is there
        self.needs[waiting] = sent.awaited
        self.sends[self.row] = sent.by_action

    def _set(self, rows: Numbers, op_costs: OpCosts, kind: Numbers, stage: Numbers, microbatch: Numbers) -> None:
        """Fill in some rows: what they are, and what they cost."""
        self.kind[rows], self.stage[rows], self.microbatch[rows] = kind, stage, microbatch
        costs = op_costs.table(kind, stage, microbatch)
        for column, cost in zip((self.duration_ps, self.start_bytes, self.end_bytes), costs, strict=True):
            if cost.any():
                column[rows] = cost

    def _set_closing(self, closing: Closing) -> None:
        for last, duration_ps in zip((self.first_op[1:] - 1).tolist(), closing.optimizer_ps, strict=True):
            if duration_ps:
                self.kind[last], self.duration_ps[last] = Kind.OPTIMIZER, duration_ps
            if closing.has_barrier:
                self.kind[last - (duration_ps > 0)] = Kind.BARRIER


def _repeated(step: _Step, sent: _Sent, num_steps: int) -> PipelineColumns:
    """Return the columns of all steps: each rank's, one after the other."""
    lengths, per_step = np.diff(step.first_op), len(sent.action)
    first_op, num_rows = step.first_op * num_steps, len(step.kind) * num_steps
    order: Numbers | slice = slice(None)  # rows of a step, as they follow one another in all steps
    number = np.broadcast_to(np.int64(0), num_rows)
    if num_steps > 1:
        ranks = [np.arange(first, first + length) for first, length in zip(step.first_op, lengths, strict=False)]
        order = np.concatenate([np.tile(rows, num_steps) for rows in ranks])
        number = np.concatenate([np.repeat(np.arange(num_steps), length) for length in lengths])

    def lists(column: Numbers) -> Lists:
        numbers = column[order]
        return Lists.of_only(np.where(numbers >= 0, numbers + number * per_step, -1) if num_steps > 1 else numbers)

    def tiled(column: Numbers) -> Numbers:
        return np.tile(column, num_steps) if num_steps > 1 else column

    def row_in_all_steps(row: Numbers, rank: Numbers) -> Numbers:
        if num_steps == 1:
            return row
        within = row - step.first_op[rank]
        return np.concatenate([first_op[rank] + n * lengths[rank] + within for n in range(num_steps)])

    waiting_rows, waiting = np.flatnonzero(step.needs >= 0), np.empty(per_step, dtype=np.int64)
    waiting[step.needs[waiting_rows]] = waiting_rows
    nothing = np.broadcast_to(np.int64(-1), num_rows)
    return PipelineColumns(
        first_op,
        kind=step.kind[order],
        stage=step.stage[order],
        microbatch=step.microbatch[order],
        step=number,
        duration_ps=step.duration_ps[order],
        start_bytes=step.start_bytes[order],
        end_bytes=step.end_bytes[order],
        backward_stage=nothing,
        backward_microbatch=nothing,
        needs=lists(step.needs),
        sends=lists(step.sends),
        sent_kind=tiled(sent.kind),
        sent_microbatch=tiled(sent.microbatch),
        sent_step=np.repeat(np.arange(num_steps), per_step),
        source=tiled(sent.source),
        destination=tiled(sent.destination),
        size_bytes=tiled(sent.size_bytes),
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
