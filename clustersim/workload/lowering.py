"""A schedule and its costs become one program per rank.

A program says what its rank does in order, which messages and collectives each row waits for and starts, and what
memory it takes and frees; it holds no time but durations. What one op costs stands in
:mod:`clustersim.workload.opcost`; where blocking exchanges go, in :mod:`clustersim.workload.blocking`; what ranks
exchange within their groups, in :mod:`clustersim.workload.group_rows` and :mod:`clustersim.workload.data_parallel`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, pairwise

from clustersim.columns import Numbers
from clustersim.ops import Kind, Messages, Pipeline, Program, Schedule, StageCosts
from clustersim.schedules.check import check_schedule, microbatches_by_chain
from clustersim.schedules.columns import ActionColumns, action_columns
from clustersim.schedules.places import Places
from clustersim.workload.blocking import with_exchanges
from clustersim.workload.calls import RankCalls, columns_of_calls
from clustersim.workload.group_rows import with_gathered_messages, with_group_exchanges
from clustersim.workload.opcost import FULL, OpCosts
from clustersim.workload.rows import Numbering, Row, as_program
from clustersim.workload.sent import SentMessages
from clustersim.workload.stamped import are_countable, lower_stamped
from clustersim.workload.step_rows import StepOptions, rows_of_ops, stages_by_rank, with_update
from clustersim.workload.stream import microbatches_per_step, numbered_by_step


def lower(
    schedule: Schedule, costs: Sequence[StageCosts], last_fraction: Fraction = FULL, options: StepOptions | None = None
) -> Pipeline:
    """Return the pipeline that runs `schedule` with ``costs[stage]``.

    `last_fraction` is the size of the replica's last micro-batch, in full ones; its times and bytes scale with it,
    rounded up.
    """
    actions = action_columns(schedule)
    sent = _checked(schedule, actions)
    options = options or StepOptions()
    per_step = microbatches_per_step(schedule, options.num_steps)
    op_costs = OpCosts(costs, last_fraction, _last_microbatches(schedule, per_step), per_step)
    is_countable = are_countable(costs, len(actions.kind) * options.num_steps)
    if not actions.has_overlaps and is_countable and is_alike(schedule, options):
        return lower_stamped(schedule, actions, sent, costs, op_costs, options)
    calls = [RankCalls() for _ in schedule.orders]
    awaited, going = _by_rank(sent.awaited, actions), _by_rank(sent.by_action, actions)
    step_rows = [rows_of_ops(*own, op_costs) for own in zip(schedule.orders, awaited, going, strict=True)]
    if options.blocking:
        step_rows = [with_exchanges(schedule, rank, rows) for rank, rows in enumerate(step_rows)]
    if options.groups.message_parts > 1:
        received = [sent.sizes_bytes(op_costs, own) for own in awaited]
        step_rows = list(map(with_gathered_messages, step_rows, received, calls))
    step_rows = [
        with_update(schedule, stages, rows, costs, options, per_step, book)
        for stages, rows, book in zip(stages_by_rank(schedule), step_rows, calls, strict=True)
    ]
    step_rows = [
        with_group_exchanges(rows, op_costs, options.groups, book) for rows, book in zip(step_rows, calls, strict=True)
    ]
    whole_bytes = sent.sizes_bytes(op_costs, range(len(sent))).values()
    sizes_bytes = list(map(options.groups.part_bytes, whole_bytes))
    if not schedule.flush:
        return numbered_by_step(_pipeline(schedule, sent, sizes_bytes, step_rows, calls, num_steps=1), per_step)
    return _pipeline(schedule, sent, sizes_bytes, step_rows, calls, options.num_steps)


def _checked(schedule: Schedule, actions: ActionColumns) -> SentMessages:
    """Return the messages of a schedule that has no faults; its places are large, and needed no longer."""
    places = Places(schedule, actions)
    check_schedule(schedule, places)
    return SentMessages(places)


def is_alike(schedule: Schedule, options: StepOptions) -> bool:
    """Return whether the rows of an op do not depend on the ops around it, as they do in exchanges and streams."""
    return schedule.flush and not options.blocking


def _by_rank(column: Numbers, actions: ActionColumns) -> list[list[int]]:
    """Return a column of actions as lists, one a rank."""
    values = column.tolist()
    return [values[first:last] for first, last in pairwise(actions.first.tolist())]


def _pipeline(
    schedule: Schedule,
    sent: SentMessages,
    sizes_bytes: Sequence[int],
    step_rows: Sequence[Sequence[Row]],
    calls: Sequence[RankCalls],
    num_steps: int,
) -> Pipeline:
    first_calls = list(accumulate((len(book) for book in calls), initial=0))
    programs = tuple(
        as_program(rows, num_steps, Numbering(len(sent), first_calls[-1], first_calls[rank]))
        for rank, rows in enumerate(step_rows)
    )
    messages = _messages(sent, sizes_bytes, programs, num_steps)
    return Pipeline(schedule, programs, messages, columns_of_calls(calls, programs, num_steps))


def _last_microbatches(schedule: Schedule, per_step: int) -> list[int]:
    """Return the last micro-batch of each stage in a step; -1 on chains that the replica's last one does not pass."""
    last = [-1] * schedule.num_stages
    shares = zip(schedule.chains, microbatches_by_chain(schedule), strict=True)
    chain, num_microbatches = [share for share in shares if share[1]][-1]
    for stage in chain:
        last[stage] = (num_microbatches - 1) % per_step
    return last


def _messages(sent: SentMessages, sizes_bytes: Sequence[int], programs: Sequence[Program], num_steps: int) -> Messages:
    """Return the messages of all steps, each with the row that makes it and the row that waits for it."""
    sources = tuple(sent.source.tolist()) * num_steps
    producers, consumers = [-1] * len(sources), [-1] * len(sources)
    for rank, program in enumerate(programs):
        for number, (waits, sends) in enumerate(zip(program.waits_for, program.sends, strict=True)):
            for message in sends:
                producers[message] = number
            for message in waits:
                (producers if sources[message] == rank else consumers)[message] = number
    return Messages(
        tuple(map(Kind, sent.kind.tolist())) * num_steps,
        tuple(sent.microbatch.tolist()) * num_steps,
        tuple(step for step in range(num_steps) for _ in range(len(sent))),
        sources,
        tuple(sent.destination.tolist()) * num_steps,
        tuple(sizes_bytes) * num_steps,
        tuple(producers),
        tuple(consumers),
    )
