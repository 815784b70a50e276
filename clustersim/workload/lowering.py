"""A schedule and its costs become one program per rank.

A program says what its rank does in order, which messages each row waits for and sends, and what memory it takes and
frees; it holds no time but durations. What one op costs stands in :mod:`clustersim.workload.opcost`; where blocking
exchanges go, in :mod:`clustersim.workload.blocking`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from clustersim.ops import Action, Kind, Message, Order, Overlap, Pipeline, Program, Schedule, StageCosts, actions_in
from clustersim.schedules.check import check_schedule, microbatches_by_chain
from clustersim.workload.blocking import with_exchanges
from clustersim.workload.opcost import FULL, OpCosts
from clustersim.workload.rows import Row, as_program


@dataclass(frozen=True, slots=True)
class StepOptions:
    """What surrounds the schedule in each training step."""

    num_steps: int = 1
    optimizer_barrier: bool = True
    blocking: bool = False


def lower(
    schedule: Schedule, costs: Sequence[StageCosts], last_fraction: Fraction = FULL, options: StepOptions | None = None
) -> Pipeline:
    """Return the pipeline that runs `schedule` with ``costs[stage]``.

    `last_fraction` is the size of each chain's last micro-batch, in full ones; its times and bytes scale with it,
    rounded up.
    """
    check_schedule(schedule)
    options = options or StepOptions()
    op_costs = OpCosts(costs, last_fraction, _last_microbatches(schedule))
    messages, numbers = _number_messages(schedule, op_costs)
    step_rows = [_rank_rows(order, numbers, op_costs) for order in schedule.orders]
    if options.blocking:
        step_rows = [with_exchanges(schedule, rank, rows) for rank, rows in enumerate(step_rows)]
    for rank, rows in enumerate(step_rows):
        rows += _closing_rows(schedule, rank, costs, options)
    programs = tuple(as_program(rows, options.num_steps, len(messages)) for rows in step_rows)
    return Pipeline(schedule, programs, _joined(messages, programs, options.num_steps))


def _last_microbatches(schedule: Schedule) -> list[int]:
    last = [0] * schedule.num_stages
    for chain, num_microbatches in zip(schedule.chains, microbatches_by_chain(schedule), strict=True):
        for stage in chain:
            last[stage] = num_microbatches - 1
    return last


class _MessageNumbers:
    """Which message brings an activation or a gradient to a stage; -1 where none does."""

    def __init__(self, schedule: Schedule) -> None:
        self.previous, self.following = schedule.neighbours()
        self.num_microbatches = schedule.shape.num_microbatches
        self.by_place = [-1] * (2 * schedule.num_stages * self.num_microbatches)

    def place(self, is_forward: bool, stage: int, microbatch: int) -> int:
        return (2 * stage + is_forward) * self.num_microbatches + microbatch

    def into(self, is_forward: bool, stage: int, microbatch: int) -> int:
        """Return the message that the op waits for."""
        return self.by_place[(2 * stage + is_forward) * self.num_microbatches + microbatch]

    def out_of(self, is_forward: bool, stage: int, microbatch: int) -> int:
        """Return the message that the op sends."""
        target = (self.following if is_forward else self.previous)[stage]
        return -1 if target < 0 else self.by_place[(2 * target + is_forward) * self.num_microbatches + microbatch]


def _number_messages(schedule: Schedule, op_costs: OpCosts) -> tuple[list[Message], _MessageNumbers]:
    """Number the messages of a step by sender rank, then by op; neighbouring stages on one rank exchange nothing."""
    numbers = _MessageNumbers(schedule)
    messages: list[Message] = []
    rank_by_stage = schedule.rank_by_stage
    for rank, order in enumerate(schedule.orders):
        for slot in order:
            for kind, stage, microbatch in actions_in(slot):
                if kind is Kind.W:
                    continue
                is_forward = kind is Kind.F
                target = (numbers.following if is_forward else numbers.previous)[stage]
                if target < 0 or rank_by_stage[target] == rank:
                    continue
                # An activation has the size that its sender gives it, and the gradient that comes back has the same
                # one.
                size_bytes = op_costs.message_bytes(stage if is_forward else target, microbatch)
                numbers.by_place[numbers.place(is_forward, target, microbatch)] = len(messages)
                message_kind = Kind.F if is_forward else Kind.B
                messages.append(Message(message_kind, microbatch, 0, rank, rank_by_stage[target], size_bytes))
    return messages, numbers


def _rank_rows(order: Order, numbers: _MessageNumbers, op_costs: OpCosts) -> list[Row]:
    rows: list[Row] = []
    for slot in order:
        waits: tuple[int, ...] = ()
        sends: tuple[int, ...] = ()
        for kind, stage, microbatch in actions_in(slot):
            if kind is Kind.W:
                continue
            is_forward = kind is Kind.F
            awaited = numbers.into(is_forward, stage, microbatch)
            needed = (awaited,) if awaited >= 0 else ()
            if not is_forward and op_costs.has_recompute(stage):
                # Recomputation is part of the backward: it starts when the gradient is there.
                cost = op_costs.recompute(stage, microbatch)
                rows.append(Row(Kind.RECOMPUTE, stage, microbatch, cost, needed))
            else:
                waits += needed
            sent = numbers.out_of(is_forward, stage, microbatch)
            if sent >= 0:
                sends += (sent,)
        rows.append(_slot_row(slot, op_costs, waits, sends))
    return rows


def _slot_row(slot: Action | Overlap, op_costs: OpCosts, waits: tuple[int, ...], sends: tuple[int, ...]) -> Row:
    if isinstance(slot, Overlap):
        first = slot.forward
        return Row(Kind.FB, first.stage, first.microbatch, op_costs.overlap(slot), waits, sends, slot.backward)
    return Row(slot.kind, slot.stage, slot.microbatch, op_costs.action(slot), waits, sends)


def _closing_rows(schedule: Schedule, rank: int, costs: Sequence[StageCosts], options: StepOptions) -> list[Row]:
    rows = []
    if options.optimizer_barrier:
        rows.append(Row(Kind.BARRIER))
    stages = [stage for stage, owner in enumerate(schedule.rank_by_stage) if owner == rank]
    if duration_ps := sum(costs[stage].optimizer_ps for stage in stages):
        rows.append(Row(Kind.OPTIMIZER, cost=(duration_ps, 0, 0)))
    return rows


def _joined(messages: list[Message], programs: Sequence[Program], num_steps: int) -> tuple[Message, ...]:
    """Return the messages of all steps, each with the row that makes it and the row that waits for it."""
    joined = (
        [message._replace(step=step) for step in range(num_steps) for message in messages]
        if num_steps > 1
        else messages
    )
    producers, consumers = [-1] * len(joined), [-1] * len(joined)
    for rank, program in enumerate(programs):
        for number, (waits, sends) in enumerate(zip(program.waits_for, program.sends, strict=True)):
            for message in sends:
                producers[message] = number
            for message in waits:
                side = producers if joined[message].source == rank else consumers
                side[message] = number
    return tuple(
        Message(*message[:6], producer, consumer)
        for message, producer, consumer in zip(joined, producers, consumers, strict=True)
    )
