"""A schedule and its costs become one program per rank.

A program says what its rank does in order, which messages and collectives each row waits for and starts, and what
memory it takes and frees; it holds no time but durations. What one op costs stands in
:mod:`clustersim.workload.opcost`; where blocking exchanges go, in :mod:`clustersim.workload.blocking`; what ranks
exchange within their groups, in :mod:`clustersim.workload.group_rows` and :mod:`clustersim.workload.data_parallel`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate

from clustersim.ops import Action, Kind, Messages, Order, Pipeline, Program, Schedule, StageCosts, actions_in
from clustersim.schedules.check import check_schedule, microbatches_by_chain
from clustersim.schedules.columns import action_columns
from clustersim.workload.blocking import with_exchanges
from clustersim.workload.calls import RankCalls, columns_of_calls
from clustersim.workload.data_parallel import DataParallel, closing_rows, with_gathers, with_reductions
from clustersim.workload.group_rows import GroupOptions, with_gathered_messages, with_group_exchanges
from clustersim.workload.opcost import FULL, OpCosts
from clustersim.workload.plain import Closing, are_countable, lower_plain
from clustersim.workload.rows import Numbering, Row, as_program
from clustersim.workload.stream import microbatches_per_step, numbered_by_step, with_updates


@dataclass(frozen=True, slots=True)
class StepOptions:
    """What surrounds the schedule in each training step."""

    num_steps: int = 1
    optimizer_barrier: bool = True
    blocking: bool = False
    groups: GroupOptions = field(default_factory=GroupOptions)
    data_parallel: DataParallel | None = None  # None: there is one replica only


def lower(
    schedule: Schedule, costs: Sequence[StageCosts], last_fraction: Fraction = FULL, options: StepOptions | None = None
) -> Pipeline:
    """Return the pipeline that runs `schedule` with ``costs[stage]``.

    `last_fraction` is the size of the replica's last micro-batch, in full ones; its times and bytes scale with it,
    rounded up.
    """
    actions = action_columns(schedule)
    check_schedule(schedule, actions)
    options = options or StepOptions()
    per_step = microbatches_per_step(schedule, options.num_steps)
    op_costs = OpCosts(costs, last_fraction, _last_microbatches(schedule, per_step), per_step)
    is_countable = are_countable(costs, len(actions.kind) * options.num_steps)
    if not actions.has_overlaps and is_countable and is_plain(schedule, costs, options):
        updates_ps = tuple(schedule.update_ps(rank, costs) for rank in range(len(schedule.orders)))
        closing = Closing(options.optimizer_barrier, updates_ps)
        return lower_plain(schedule, actions, op_costs, closing, options.num_steps)
    sent = _SentMessages(schedule, op_costs, options.groups.message_parts)
    step_rows = [_rank_rows(order, sent, op_costs) for order in schedule.orders]
    if options.blocking:
        step_rows = [with_exchanges(schedule, rank, rows) for rank, rows in enumerate(step_rows)]
    calls = [RankCalls() for _ in step_rows]
    if options.groups.message_parts > 1:
        step_rows = [
            with_gathered_messages(rows, sent.full_bytes_to(rank), calls[rank]) for rank, rows in enumerate(step_rows)
        ]
    step_rows = [
        _with_update(schedule, rank, rows, costs, options, per_step, calls[rank]) for rank, rows in enumerate(step_rows)
    ]
    step_rows = [
        with_group_exchanges(rows, op_costs, options.groups, book) for rows, book in zip(step_rows, calls, strict=True)
    ]
    if not schedule.flush:
        return numbered_by_step(_pipeline(schedule, sent, step_rows, calls, num_steps=1), per_step)
    return _pipeline(schedule, sent, step_rows, calls, options.num_steps)


def is_plain(schedule: Schedule, costs: Sequence[StageCosts], options: StepOptions) -> bool:
    """Return whether ranks exchange nothing but asynchronous messages, and each step ends with a flush."""
    if not schedule.flush or options.blocking or options.groups.message_parts > 1:
        return False
    has_exchanges = bool(options.groups.axes) and any(cost.exchanges for cost in costs)
    if has_exchanges or any(cost.tied_gradients_bytes for cost in costs):
        return False
    data_parallel = options.data_parallel
    return data_parallel is None or not any(
        cost.reduction_bytes or (data_parallel.is_sharded and cost.gathering_bytes) for cost in costs
    )


def _with_update(
    schedule: Schedule,
    rank: int,
    rows: Sequence[Row],
    costs: Sequence[StageCosts],
    options: StepOptions,
    per_step: int,
    calls: RankCalls,
) -> list[Row]:
    """Return the rows of a rank with what makes its weights new: reductions, the barrier, the optimizer, gathers."""
    stages = [stage for stage, owner in enumerate(schedule.rank_by_stage) if owner == rank]
    duration_ps = schedule.update_ps(rank, costs)
    update = [Row(Kind.OPTIMIZER, cost=(duration_ps, 0, 0))] if duration_ps else []
    if not schedule.flush:

        def updated() -> list[Row]:
            return closing_rows(stages, schedule, costs, update, options.data_parallel, calls, beside=False)

        return with_updates(schedule, rows, updated, per_step)
    barrier = [Row(Kind.BARRIER)] if options.optimizer_barrier else []
    reduced, reductions = with_reductions(rows, stages, costs, options.data_parallel, calls)
    gathered = with_gathers(reduced, stages, costs, options.data_parallel, calls)
    closing = closing_rows(stages, schedule, costs, [*barrier, *update], options.data_parallel, calls, reductions)
    return [*gathered, *closing]


def _pipeline(
    schedule: Schedule,
    sent: _SentMessages,
    step_rows: Sequence[Sequence[Row]],
    calls: Sequence[RankCalls],
    num_steps: int,
) -> Pipeline:
    first_calls = list(accumulate((len(book) for book in calls), initial=0))
    programs = tuple(
        as_program(rows, num_steps, Numbering(len(sent.sources), first_calls[-1], first_calls[rank]))
        for rank, rows in enumerate(step_rows)
    )
    messages = _messages(sent, programs, num_steps)
    return Pipeline(schedule, programs, messages, columns_of_calls(calls, programs, num_steps))


def _last_microbatches(schedule: Schedule, per_step: int) -> list[int]:
    """Return the last micro-batch of each stage in a step; -1 on chains that the replica's last one does not pass."""
    last = [-1] * schedule.num_stages
    shares = zip(schedule.chains, microbatches_by_chain(schedule), strict=True)
    chain, num_microbatches = [share for share in shares if share[1]][-1]
    for stage in chain:
        last[stage] = (num_microbatches - 1) % per_step
    return last


class _SentMessages:
    """The messages of a step, numbered by sender rank and then by op; neighbouring stages on one rank exchange nothing.

    ``by_place`` has, for each (stage, is forward, micro-batch), the message that the op waits for, or -1.
    """

    def __init__(self, schedule: Schedule, op_costs: OpCosts, num_parts: int) -> None:
        self.num_parts = num_parts  # in which the ranks of a tensor-parallel group send a message
        self.full_bytes: list[int] = []
        self.previous, self.following = schedule.neighbours()
        self.num_microbatches = schedule.shape.num_microbatches
        self.by_place = [-1] * (2 * schedule.num_stages * self.num_microbatches)
        self.kinds: list[Kind] = []
        self.microbatches: list[int] = []
        self.sources: list[int] = []
        self.destinations: list[int] = []
        self.sizes_bytes: list[int] = []
        for rank, order in enumerate(schedule.orders):
            for slot in order:
                for action in actions_in(slot):
                    self._number(action, rank, schedule.rank_by_stage, op_costs)

    def _number(self, action: Action, rank: int, rank_by_stage: Sequence[int], op_costs: OpCosts) -> None:
        kind, stage, microbatch = action
        if kind is Kind.W:
            return
        is_forward = kind is Kind.F
        target = (self.following if is_forward else self.previous)[stage]
        if target < 0 or rank_by_stage[target] == rank:
            return
        self.by_place[(2 * target + is_forward) * self.num_microbatches + microbatch] = len(self.sources)
        self.kinds.append(Kind.F if is_forward else Kind.B)
        self.microbatches.append(microbatch)
        self.sources.append(rank)
        self.destinations.append(rank_by_stage[target])
        # An activation has the size that its sender gives it, and the gradient that comes back has the same one.
        full_bytes = op_costs.message_bytes(stage if is_forward else target, microbatch)
        self.full_bytes.append(full_bytes)
        self.sizes_bytes.append(-(-full_bytes // self.num_parts))

    def full_bytes_to(self, rank: int) -> dict[int, int]:
        """Return the sizes of the messages that a rank receives, all parts together. [bytes]"""
        return {number: self.full_bytes[number] for number, target in enumerate(self.destinations) if target == rank}


_NOTHING: tuple[int, ...] = ()


def _rank_rows(order: Order, sent: _SentMessages, op_costs: OpCosts) -> list[Row]:
    rows: list[Row] = []
    by_place, size = sent.by_place, sent.num_microbatches
    for slot in order:
        waits = sends = _NOTHING
        for kind, stage, microbatch in actions_in(slot):
            if kind is Kind.W:
                continue
            is_forward = kind is Kind.F
            awaited = by_place[(2 * stage + is_forward) * size + microbatch]
            if not is_forward and op_costs.has_recompute[stage]:
                # Recomputation is part of the backward: it starts when the gradient is there.
                cost = op_costs.recompute(stage, microbatch)
                rows.append(Row(Kind.RECOMPUTE, stage, microbatch, cost, (awaited,) if awaited >= 0 else _NOTHING))
            elif awaited >= 0:
                waits += (awaited,)
            target = (sent.following if is_forward else sent.previous)[stage]
            if target >= 0 and (outgoing := by_place[(2 * target + is_forward) * size + microbatch]) >= 0:
                sends += (outgoing,)
        if isinstance(slot, Action):
            rows.append(Row(slot.kind, slot.stage, slot.microbatch, op_costs.action(slot), waits, sends))
        else:
            _, stage, microbatch = slot.forward
            rows.append(Row(Kind.FB, stage, microbatch, op_costs.overlap(slot), waits, sends, slot.backward))
    return rows


def _messages(sent: _SentMessages, programs: Sequence[Program], num_steps: int) -> Messages:
    """Return the messages of all steps, each with the row that makes it and the row that waits for it."""
    per_step = len(sent.sources)
    sources = tuple(sent.sources) * num_steps
    producers, consumers = [-1] * len(sources), [-1] * len(sources)
    for rank, program in enumerate(programs):
        for number, (waits, sends) in enumerate(zip(program.waits_for, program.sends, strict=True)):
            for message in sends:
                producers[message] = number
            for message in waits:
                (producers if sources[message] == rank else consumers)[message] = number
    return Messages(
        tuple(sent.kinds) * num_steps,
        tuple(sent.microbatches) * num_steps,
        tuple(step for step in range(num_steps) for _ in range(per_step)),
        sources,
        tuple(sent.destinations) * num_steps,
        tuple(sent.sizes_bytes) * num_steps,
        tuple(producers),
        tuple(consumers),
    )
