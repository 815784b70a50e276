"""Lowering in arrays: every op of a schedule stamped out after the one that stands for it, all at once.

What it returns is what :mod:`clustersim.workload.lowering` makes row by row, whose rules it takes the templates from,
in a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from clustersim.columns import CallColumns, Lists, Numbers, PipelineColumns, numbered, starts
from clustersim.ops import NO_CALLS, Pipeline, Schedule, StageCosts
from clustersim.schedules.columns import ActionColumns
from clustersim.workload.column_views import pipeline_of
from clustersim.workload.opcost import OpCosts
from clustersim.workload.repeated import repeated
from clustersim.workload.sent import SentMessages
from clustersim.workload.step_rows import StepOptions
from clustersim.workload.templates import Templates, templates_of

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
    pieces = _pieces(actions, templates)
    step = _step(pieces, templates, sent, op_costs)
    calls = _calls(pieces, templates, step) if templates.calls else NO_CALLS.columns
    return pipeline_of(schedule, *repeated(step, calls, options.num_steps))


class _Pieces(NamedTuple):
    """What templates are stamped for: the ops of each rank, and the end of its step after them."""

    first: Numbers  # piece of each rank, with one more entry
    template: Numbers  # of each piece
    microbatch: Numbers  # -1 at the end of a step
    rank: Numbers
    of_action: Numbers  # the piece that each action is
    first_row: Numbers  # of each piece, with one more entry
    first_call: Numbers  # of those that a piece makes for itself
    first_once: Numbers  # of those that each rank makes once


def _pieces(actions: ActionColumns, templates: Templates) -> _Pieces:
    num_ranks, num_actions = len(actions.first) - 1, len(actions.kind)
    first = actions.first + np.arange(num_ranks + 1)
    of_action, ends = np.arange(num_actions) + actions.rank, first[1:] - 1
    template, microbatch = (np.empty(num_actions + num_ranks, dtype=np.int64) for _ in range(2))
    template[of_action], microbatch[of_action] = templates.of_action, actions.microbatch
    template[ends], microbatch[ends] = templates.of_end, -1
    rank = np.repeat(np.arange(num_ranks), np.diff(first))
    # Calls are numbered by rank: first those that it makes once, then those of its ops.
    first_own = starts(templates.num_calls[template])
    first_once = starts(templates.num_once)
    return _Pieces(
        first,
        template,
        microbatch,
        rank,
        of_action,
        first_row=starts(templates.num_rows[template]),
        first_call=first_own[:-1] + first_once[1:][rank],
        first_once=first_own[first[:-1]] + first_once[:-1],
    )


def _step(pieces: _Pieces, templates: Templates, sent: SentMessages, op_costs: OpCosts) -> PipelineColumns:
    """Return the columns of one step."""
    first_row, num_rows = pieces.first_row, int(pieces.first_row[-1])
    piece = np.repeat(np.arange(len(pieces.template)), np.diff(first_row))
    # Row of the templates after which each is made.
    row = np.arange(num_rows) + (starts(templates.num_rows)[pieces.template] - first_row[:-1])[piece]
    start = first_row[pieces.of_action]
    waiting, sending = (start + rows[templates.of_action] for rows in (templates.waiting_row, templates.sending_row))
    needs, sends = (np.full(num_rows, -1, dtype=np.int64) for _ in range(2))
    needs[waiting], sends[sending] = sent.awaited, sent.by_action
    consumer = np.empty(len(sent), dtype=np.int64)
    is_waiting = sent.awaited >= 0
    consumer[sent.awaited[is_waiting]] = waiting[is_waiting]
    nothing = np.broadcast_to(np.int64(-1), num_rows)
    return PipelineColumns(
        first_row[pieces.first],
        kind=templates.kind[row],
        stage=templates.stage_at[templates.first_stage[pieces.rank][piece] + templates.place[row]],
        microbatch=np.where(templates.has_microbatch[row], pieces.microbatch[piece], -1),
        step=np.broadcast_to(np.int64(0), num_rows),
        duration_ps=templates.duration_ps[row],
        start_bytes=templates.start_bytes[row],
        end_bytes=templates.end_bytes[row],
        backward_stage=nothing,
        backward_microbatch=nothing,
        needs=Lists.of_only(needs),
        sends=Lists.of_only(sends),
        joins=_calls_of_rows(templates.joins, row, piece, pieces),
        awaits=_calls_of_rows(templates.awaits, row, piece, pieces),
        sent_kind=sent.kind,
        sent_microbatch=sent.microbatch,
        sent_step=np.broadcast_to(np.int64(0), len(sent)),
        source=sent.source,
        destination=sent.destination,
        size_bytes=op_costs.sizes_bytes(sent.sized_by, sent.microbatch),
        producer=sending[sent.action],
        consumer=consumer,
    )


def _calls_of_rows(of_templates: Lists, row: Numbers, piece: Numbers, pieces: _Pieces) -> Lists:
    """Return the calls of each row, numbered within the replica."""
    if not len(of_templates.joined):
        return Lists.of_only(np.broadcast_to(np.int64(-1), len(row)))
    lists = of_templates.taken(row)
    number, here = lists.joined, np.repeat(piece, lists.count)
    once = pieces.first_once[pieces.rank[here]] - 1 - number
    return Lists(lists.count, np.where(number >= 0, pieces.first_call[here] + number, once))


def _calls(pieces: _Pieces, templates: Templates, step: PipelineColumns) -> CallColumns:
    """Return the calls of one step."""
    axes, axis = numbered(call.axis for call in templates.calls)
    whats, what = numbered((call.operation, call.size_bytes, call.num_repeats) for call in templates.calls)
    kind = np.array([call.kind for call in templates.calls], dtype=np.int64)
    count = templates.num_calls[pieces.template]
    here, number = _counted(count, pieces.first_call)
    _, own = _counted(count, templates.first_call[pieces.template])
    rank, number_once = _counted(templates.num_once, pieces.first_once)
    _, once = _counted(templates.num_once, templates.first_once)
    made_as, microbatch, pp_rank = (np.empty(len(own) + len(once), dtype=np.int64) for _ in range(3))
    made_as[number], microbatch[number], pp_rank[number] = own, pieces.microbatch[here], pieces.rank[here]
    made_as[number_once], microbatch[number_once], pp_rank[number_once] = once, -1, rank
    producer, consumer = np.empty_like(made_as), np.empty_like(made_as)
    for row_of_call, lists in ((producer, step.joins), (consumer, step.awaits)):
        row_of_call[lists.joined] = np.repeat(np.arange(len(lists.count)), lists.count)
        row_of_call -= step.first_op[pp_rank]
    return CallColumns(
        axes,
        axis[made_as],
        whats,
        what[made_as],
        kind[made_as],
        templates.stage_at[templates.first_stage[pp_rank] + templates.place_of_call[made_as]],
        microbatch,
        np.broadcast_to(np.int64(0), len(made_as)),
        pp_rank,
        _order(axis[made_as] + len(axes) * pp_rank, step.joins.joined),
        producer,
        consumer,
    )


def _order(place: Numbers, called: Numbers) -> Numbers:
    """Return which one each call is, of those on its place, given calls in the order in which they are made."""
    by_place = called[np.argsort(place[called], kind="stable")]
    order = np.empty(len(place), dtype=np.int64)
    order[by_place] = np.arange(len(place)) - starts(np.bincount(place, minlength=1))[place[by_place]]
    return order


def _counted(count: Numbers, first: Numbers) -> tuple[Numbers, Numbers]:
    """Return owners, each as often as it counts, and the numbers that they count from their first one on.

    Examples
    --------
    >>> owners, numbers = _counted(np.array([2, 0, 1]), np.array([5, 7, 7]))
    >>> owners.tolist(), numbers.tolist()
    ([0, 0, 2], [5, 6, 7])
    """
    owner = np.repeat(np.arange(len(count)), count)
    return owner, np.arange(len(owner)) + (first - starts(count)[:-1])[owner]
