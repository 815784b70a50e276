"""Lowering in arrays: every op of a schedule stamped out after the one that stands for it, all at once.

What it returns is what :mod:`clustersim.workload.lowering` makes row by row, whose rules it takes the templates from,
in a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clustersim.columns import Lists, Numbers, PipelineColumns, starts
from clustersim.ops import NO_CALLS, Pipeline, Schedule, StageCosts
from clustersim.schedules.columns import ActionColumns
from clustersim.workload.column_views import pipeline_of
from clustersim.workload.opcost import OpCosts
from clustersim.workload.pieces import Pieces, pieces_of
from clustersim.workload.repeated import repeated
from clustersim.workload.representatives import templates_of
from clustersim.workload.sent import SentMessages
from clustersim.workload.stamped_calls import StampedCalls
from clustersim.workload.step_rows import StepOptions
from clustersim.workload.templates import Templates

_LARGEST_SUM = 2**61


def are_countable(costs: Sequence[StageCosts], num_actions: int) -> bool:
    """Return whether sums over a run stay within 64 bits, however its actions are spread over the stages."""
    largest = max(
        max(cost.forward_ps, cost.backward_ps, cost.recompute_ps, cost.optimizer_ps)
        + cost.host_gap_ps
        + max(cost.activation_bytes, cost.checkpoint_bytes, cost.message_bytes)
        for cost in costs
    )
    return largest * (2 * num_actions + len(costs)) < _LARGEST_SUM


def lower_stamped(
    schedule: Schedule,
    actions: ActionColumns,
    sent: SentMessages,
    costs: Sequence[StageCosts],
    op_costs: OpCosts,
    options: StepOptions,
) -> Pipeline:
    """Return the pipeline of a schedule with a flush, whose messages are asynchronous and whose slots are plain ops."""
    templates = templates_of(schedule, actions, sent, costs, op_costs, options)
    pieces = pieces_of(actions, templates)
    calls = StampedCalls(actions, pieces, templates) if templates.calls else None
    sizes_bytes = options.groups.part_bytes(op_costs.sizes_bytes(sent.sized_by, sent.microbatch))
    step = _step(pieces, templates, sent, sizes_bytes, calls)
    called = calls.columns(step) if calls else NO_CALLS.columns
    return pipeline_of(schedule, *repeated(step, called, options.num_steps))


def _step(
    pieces: Pieces, templates: Templates, sent: SentMessages, sizes_bytes: Numbers, calls: StampedCalls | None
) -> PipelineColumns:
    """Return the columns of one step."""
    first_row, num_rows = pieces.first_row, int(pieces.first_row[-1])
    first_of_rank = first_row.take(pieces.first)
    piece = np.repeat(np.arange(len(pieces.template)), np.diff(first_row))
    # Row of the templates after which each is made.
    row = (starts(templates.num_rows).take(pieces.template) - first_row[:-1]).take(piece)
    row += np.arange(num_rows)
    microbatch = _microbatches(pieces, templates, piece, row)
    del piece
    place = np.repeat(templates.first_stage, np.diff(first_of_rank))
    place += templates.place.take(row)
    needs, consumer = _messages(pieces, templates, templates.waiting_row, sent.awaited, len(sent))
    sends, producer = _messages(pieces, templates, templates.sending_row, sent.by_action, len(sent))
    nothing = np.broadcast_to(np.int64(-1), num_rows)
    return PipelineColumns(
        first_of_rank,
        kind=templates.kind.take(row),
        stage=templates.stage_at.take(place),
        microbatch=microbatch,
        step=np.broadcast_to(np.int64(0), num_rows),
        duration_ps=templates.duration_ps.take(row),
        start_bytes=templates.start_bytes.take(row),
        end_bytes=templates.end_bytes.take(row),
        backward_stage=nothing,
        backward_microbatch=nothing,
        needs=Lists.of_only(needs),
        sends=Lists.of_only(sends),
        joins=calls.of_rows(templates.joins, row) if calls else Lists.of_only(nothing),
        awaits=calls.of_rows(templates.awaits, row) if calls else Lists.of_only(nothing),
        sent_kind=sent.kind,
        sent_microbatch=sent.microbatch,
        sent_step=np.broadcast_to(np.int64(0), len(sent)),
        source=sent.source,
        destination=sent.destination,
        size_bytes=sizes_bytes,
        producer=producer,
        consumer=consumer,
    )


def _messages(
    pieces: Pieces, templates: Templates, row_of_template: Numbers, of_action: Numbers, num_messages: int
) -> tuple[Numbers, Numbers]:
    """Return the message of each row, -1 for none, and the row of each message.

    Parameters
    ----------
    pieces, templates
        What rows there are.
    row_of_template
        Which row of each template has the message of its op.
    of_action, num_messages
        Message of each action, -1 for none; how many there are.
    """
    row = pieces.first_row.take(pieces.of_action)
    if row_of_template.any():
        row += row_of_template.take(templates.of_action)
    of_row = np.full(int(pieces.first_row[-1]), -1, dtype=np.int64)
    of_row[row] = of_action
    of_message = np.empty(num_messages + 1, dtype=np.int64)  # the last one is of what has none
    of_message[of_action] = row
    return of_row, of_message[:-1]


def _microbatches(pieces: Pieces, templates: Templates, piece: Numbers, row: Numbers) -> Numbers:
    """Return the micro-batch of each row, given its piece and its row of the templates; -1: it belongs to none."""
    microbatch = pieces.microbatch.take(piece)
    belong_to_none = ~templates.has_microbatch
    is_of_end = np.zeros(len(templates.num_rows), dtype=np.bool_)
    is_of_end[templates.of_end] = True  # those of ends have none as it is
    belong_to_none &= ~np.repeat(is_of_end, templates.num_rows)
    if belong_to_none.any():
        microbatch[belong_to_none.take(row)] = -1
    return microbatch
