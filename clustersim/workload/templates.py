"""Ops that stand for all others of their kind: what rows and calls each makes, in arrays.

A rank does the same for every full micro-batch of a stage but for the numbers of micro-batches, messages and calls, and
most ranks do the same as others but for the numbers of their stages. So few ops are lowered row by row, those that may
differ among them, and the others are stamped out after them.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from clustersim.columns import Flags, Lists, Numbers, numbered, starts
from clustersim.ops import Action, Kind, Schedule, StageCosts
from clustersim.schedules.columns import ActionColumns
from clustersim.workload.calls import Call, RankCalls
from clustersim.workload.data_parallel import tied_gradients_bytes
from clustersim.workload.group_rows import GroupOptions, with_gathered_messages, with_group_exchanges
from clustersim.workload.opcost import OpCosts
from clustersim.workload.rows import Row
from clustersim.workload.sent import SentMessages
from clustersim.workload.step_rows import StepOptions, rows_of_ops, stages_by_rank, with_update

_KINDS = tuple(Kind)
_OPS = frozenset({Kind.F, Kind.B, Kind.I, Kind.W})


# A rank numbers the calls of a step pass by pass: for messages that its ops take apart, then what it calls for once a
# step, which are the calls of its end, then what its ops exchange.
BEFORE, ONCE, WITHIN = range(3)


class CallsOfRows(NamedTuple):
    """Calls that rows of templates make or wait for."""

    entries: Lists  # of each row, numbered on
    of_pass: Numbers  # of each entry
    number: Numbers  # among the calls of the op in that pass, or of the end of the step


@dataclass(frozen=True, slots=True, eq=False)
class Templates:
    """The templates of ranks that differ: those of a rank's ops in their order, then one of how it ends a step.

    Stages are told by their place among those of a rank, counted from 1; 0 is for none.
    """

    of_action: Numbers  # template of each action
    of_end: Numbers  # of the end of each rank's step
    stage_at: Numbers  # ``stage_at[first_stage[rank] + place]``
    first_stage: Numbers
    num_rows: Numbers  # of each template
    waiting_row: Numbers  # of each template, its row that waits for the op's message
    sending_row: Numbers
    kind: Numbers  # of each row
    place: Numbers
    has_microbatch: Flags
    duration_ps: Numbers
    start_bytes: Numbers
    end_bytes: Numbers
    joins: CallsOfRows
    awaits: CallsOfRows
    calls: list[Call]  # template after template; of each those of BEFORE first
    place_of_call: Numbers
    num_before: Numbers  # of each template, calls of BEFORE
    num_calls: Numbers  # other ones


class _Template(NamedTuple):
    rows: list[Row]
    before: list[Call]
    calls: list[Call]  # WITHIN an op, or ONCE a step
    first: tuple[int, int, int]  # number on the rank that the first call of each pass has


class _Ops(NamedTuple):
    """Ops of a rank that stand for others, each with the message that it waits for, and sends; -1: none."""

    stages: list[int]  # of the rank
    ops: list[Action]
    awaited: list[int]
    sent: list[int]
    gathered_bytes: dict[int, int]  # of messages that are taken apart


class _Model(NamedTuple):
    """A rank that stands for others, too."""

    number: int
    stages: list[int]
    templates: list[_Template]


def templates_of(
    schedule: Schedule,
    actions: ActionColumns,
    sent: SentMessages,
    costs: Sequence[StageCosts],
    op_costs: OpCosts,
    options: StepOptions,
) -> Templates:
    """Return the templates of a schedule whose ops have rows that depend on no other ops, as `is_alike` says."""
    data_parallel = options.data_parallel
    differs_at_ends = data_parallel is not None and (data_parallel.overlap_reduce or data_parallel.overlap_gather)
    stands_for = _representatives(actions, op_costs, differs_at_ends)
    is_lowered = np.zeros(len(stands_for), dtype=np.bool_)
    is_lowered[stands_for] = True
    stages, looks = stages_by_rank(schedule), _looks(schedule, costs)
    models: dict[Hashable, _Model] = {}
    model_by_rank: list[_Model] = []
    for ops in _lowered_ops(actions, sent, np.flatnonzero(is_lowered), stages, op_costs, options.groups):
        key = _key(ops, looks, op_costs)
        if key not in models:
            models[key] = _model(len(models), schedule, ops, costs, op_costs, options)
        model_by_rank.append(models[key])
    num_before = np.append(0, np.cumsum(is_lowered))  # of those that are lowered, before each action
    first_template = starts(_ints([len(model.templates) for model in models.values()]))
    model = _ints([model.number for model in model_by_rank])
    first = first_template[model] - num_before[actions.first[:-1]]
    return _joined(
        list(models.values()),
        of_action=num_before[stands_for] + first[actions.rank],
        of_end=first_template[model + 1] - 1,
        stage_at=_ints([stage for own in stages for stage in (-1, *own)]),
        first_stage=starts(_ints([1 + len(own) for own in stages]))[:-1],
    )


def _lowered_ops(
    actions: ActionColumns,
    sent: SentMessages,
    lowered: Numbers,
    stages: Sequence[list[int]],
    op_costs: OpCosts,
    groups: GroupOptions,
) -> Iterator[_Ops]:
    """Yield what is lowered of each rank."""
    columns = zip(*(column[lowered].tolist() for column in actions[:3]), strict=True)
    ops = [Action(_KINDS[kind], stage, microbatch) for kind, stage, microbatch in columns]
    awaited, going = sent.awaited[lowered].tolist(), sent.by_action[lowered].tolist()
    for own, (first, last) in zip(stages, pairwise(np.searchsorted(lowered, actions.first).tolist()), strict=True):
        gathered_bytes = sent.sizes_bytes(op_costs, awaited[first:last]) if groups.message_parts > 1 else {}
        yield _Ops(own, ops[first:last], awaited[first:last], going[first:last], gathered_bytes)


def _looks(schedule: Schedule, costs: Sequence[StageCosts]) -> list[tuple[int, int]]:
    """Return by what stages differ: their costs, as numbers, and the gradients that they share with others. [bytes]"""
    numbers = numbered(costs)[1].tolist()
    return [(number, tied_gradients_bytes(schedule, costs, stage)) for stage, number in enumerate(numbers)]


def _key(ops: _Ops, looks: Sequence[tuple[int, int]], op_costs: OpCosts) -> Hashable:
    """Return what is the same for ranks whose rows are, but for the numbers of stages, micro-batches and messages."""
    place_of = {stage: place for place, stage in enumerate(ops.stages)}
    return (
        tuple([looks[stage] for stage in ops.stages]),
        tuple(ops.gathered_bytes.values()),
        tuple(
            [
                (kind, place_of[stage], op_costs.is_short(stage, microbatch), awaited >= 0, sent >= 0)
                for (kind, stage, microbatch), awaited, sent in zip(ops.ops, ops.awaited, ops.sent, strict=True)
            ]
        ),
    )


def _model(
    number: int, schedule: Schedule, ops: _Ops, costs: Sequence[StageCosts], op_costs: OpCosts, options: StepOptions
) -> _Model:
    """Return the templates of a rank, lowered row by row."""
    calls = RankCalls()
    rows = rows_of_ops(ops.ops, ops.awaited, ops.sent, op_costs)
    rows = with_gathered_messages(rows, ops.gathered_bytes, calls)
    num_before = len(calls)
    rows = with_update(schedule, ops.stages, rows, costs, options, schedule.shape.num_microbatches, calls)
    num_once, before, templates = len(calls) - num_before, 0, []
    for part in _by_op(rows):
        first = (before, num_before, len(calls))
        before += sum(number < num_before for row in part for number in row.joins)
        part = with_group_exchanges(part, op_costs, options.groups, calls)
        templates.append(_Template(part, calls.calls[first[0] : before], calls.calls[first[2] :], first))
    end = templates[-1]
    templates[-1] = end._replace(calls=calls.calls[num_before : num_before + num_once])
    return _Model(number, ops.stages, templates)


def _representatives(actions: ActionColumns, op_costs: OpCosts, differs_at_ends: bool) -> Numbers:
    """Return the action that stands for each: one of the same kind, stage and size of micro-batch.

    The first and the last of them may differ from the others by what goes on beside: weights are gathered, or gradients
    are reduced.
    """
    kind, stage, microbatch = actions[:3]
    like = 2 * (kind + len(_KINDS) * stage) + op_costs.are_short(stage, microbatch)
    numbers = np.arange(len(kind))
    first, between, last = (np.zeros(int(like.max(initial=0)) + 1, dtype=np.int64) for _ in range(3))
    last[like] = numbers
    stands_for: Numbers = last[like]
    if differs_at_ends:
        first[like[::-1]] = numbers[::-1]
        is_between = (numbers != first[like]) & (numbers != last[like])
        between[like[is_between]] = numbers[is_between]
        stands_for = np.where(is_between, between[like], numbers)
    return stands_for


def _by_op(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Yield the rows of each op, of which its own is the last, and then those that belong to none."""
    part: list[Row] = []
    for row in rows:
        part.append(row)
        if row.kind in _OPS:
            yield part
            part = []
    yield part


def _joined(
    models: Sequence[_Model],
    of_action: Numbers,
    of_end: Numbers,
    stage_at: Numbers,
    first_stage: Numbers,
) -> Templates:
    """Return the templates of all models, given where those of actions and ends are."""
    places = [({stage: place for place, stage in enumerate([-1, *one.stages])}, one) for one in models]
    placed = [(place_of, template) for place_of, one in places for template in one.templates]
    templates = [template for _, template in placed]
    rows = [row for template in templates for row in template.rows]
    costs = _ints([row.cost for row in rows]).reshape(-1, 3)
    return Templates(
        of_action=of_action,
        of_end=of_end,
        stage_at=stage_at,
        first_stage=first_stage,
        num_rows=_ints([len(template.rows) for template in templates]),
        waiting_row=_rows_with(templates, "waits_for"),
        sending_row=_rows_with(templates, "sends"),
        kind=_ints([row.kind for row in rows]),
        place=_ints([place_of[row.stage] for place_of, template in placed for row in template.rows]),
        has_microbatch=np.array([row.microbatch >= 0 for row in rows], dtype=np.bool_),
        duration_ps=costs[:, 0],
        start_bytes=costs[:, 1],
        end_bytes=costs[:, 2],
        joins=_calls_of_rows(templates, "joins"),
        awaits=_calls_of_rows(templates, "awaits"),
        calls=[call for one in templates for call in (*one.before, *one.calls)],
        place_of_call=_ints([place_of[call.stage] for place_of, one in placed for call in (*one.before, *one.calls)]),
        num_before=_ints([len(template.before) for template in templates]),
        num_calls=_ints([len(template.calls) for template in templates]),
    )


def _rows_with(templates: Sequence[_Template], column: str) -> Numbers:
    """Return the row of each template that has anything in a column; 0 if there is none."""
    places = [[number for number, row in enumerate(one.rows) if getattr(row, column)] for one in templates]
    return _ints([own[0] if own else 0 for own in places])


def _calls_of_rows(templates: Sequence[_Template], column: str) -> CallsOfRows:
    rows = [(one.first, getattr(row, column)) for one in templates for row in one.rows]
    entries = [(first, number) for first, numbers in rows for number in numbers]
    passes = [bisect(first[1:], number) for first, number in entries]
    numbers = [number - first[of_pass] for (first, number), of_pass in zip(entries, passes, strict=True)]
    count = _ints([len(numbers) for _, numbers in rows])
    return CallsOfRows(Lists(count, np.arange(len(entries))), _ints(passes), _ints(numbers))


def _ints(values: Sequence[int] | Sequence[Sequence[int]]) -> Numbers:
    return np.array(values, dtype=np.int64)
