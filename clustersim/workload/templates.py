"""Ops that stand for all others of their kind: what rows and calls each makes, in arrays.

A rank does the same for every full micro-batch of a stage but for the numbers of micro-batches, messages and calls, and
most ranks do the same as others but for the numbers of their stages. So few ops are lowered row by row, those that may
differ among them, and the others are stamped out after them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np

from clustersim.columns import Flags, Lists, Numbers, numbered, starts
from clustersim.ops import Action, Kind, Schedule, StageCosts
from clustersim.schedules.columns import ActionColumns
from clustersim.workload.calls import Call, RankCalls
from clustersim.workload.data_parallel import tied_gradients_bytes
from clustersim.workload.group_rows import with_group_exchanges
from clustersim.workload.opcost import OpCosts
from clustersim.workload.rows import Row
from clustersim.workload.sent import SentMessages
from clustersim.workload.step_rows import StepOptions, rows_of_ops, stages_by_rank, with_update

_KINDS = tuple(Kind)
_OPS = frozenset({Kind.F, Kind.B, Kind.I, Kind.W})


@dataclass(frozen=True, slots=True, eq=False)
class Templates:
    """The templates of ranks that differ: those of a rank's ops in their order, then one of how it ends a step.

    Stages are told by their place among those of a rank, counted from 1; 0 is for none. Calls that a rank makes once a
    step are numbered before those that its ops make.
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
    joins: Lists  # calls of the op itself as 0, 1, ...; those that a rank makes once a step as -1, -2, ...
    awaits: Lists
    calls: list[Call]
    place_of_call: Numbers
    num_calls: Numbers  # of each template, that every op makes for itself
    first_call: Numbers  # the first of them
    num_once: Numbers  # of each rank, that it makes once a step
    first_once: Numbers  # the first of them


class _Template(NamedTuple):
    rows: list[Row]
    calls: list[Call]  # that each op makes for itself
    first_call: int  # number of the first of them on the rank; those with lower numbers are made once a step


class _Ops(NamedTuple):
    """Ops of a rank that stand for others, each with the message that it waits for, and sends; -1: none."""

    stages: list[int]  # of the rank
    ops: list[Action]
    awaited: list[int]
    sent: list[int]


class _Model(NamedTuple):
    """A rank that stands for others, too."""

    number: int
    stages: list[int]
    calls_once: list[Call]
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
    for ops in _lowered_ops(actions, sent, np.flatnonzero(is_lowered), stages):
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
        model,
        of_action=num_before[stands_for] + first[actions.rank],
        of_end=first_template[model + 1] - 1,
        stage_at=_ints([stage for own in stages for stage in (-1, *own)]),
        first_stage=starts(_ints([1 + len(own) for own in stages]))[:-1],
    )


def _lowered_ops(
    actions: ActionColumns, sent: SentMessages, lowered: Numbers, stages: Sequence[list[int]]
) -> Iterator[_Ops]:
    """Yield what is lowered of each rank."""
    columns = zip(*(column[lowered].tolist() for column in actions[:3]), strict=True)
    ops = [Action(_KINDS[kind], stage, microbatch) for kind, stage, microbatch in columns]
    awaited, going = sent.awaited[lowered].tolist(), sent.by_action[lowered].tolist()
    for own, (first, last) in zip(stages, pairwise(np.searchsorted(lowered, actions.first).tolist()), strict=True):
        yield _Ops(own, ops[first:last], awaited[first:last], going[first:last])


def _looks(schedule: Schedule, costs: Sequence[StageCosts]) -> list[tuple[int, int]]:
    """Return by what stages differ: their costs, as numbers, and the gradients that they share with others. [bytes]"""
    numbers = numbered(costs)[1].tolist()
    return [(number, tied_gradients_bytes(schedule, costs, stage)) for stage, number in enumerate(numbers)]


def _key(ops: _Ops, looks: Sequence[tuple[int, int]], op_costs: OpCosts) -> Hashable:
    """Return what is the same for ranks whose rows are, but for the numbers of stages, micro-batches and messages."""
    place_of = {stage: place for place, stage in enumerate(ops.stages)}
    return (
        tuple([looks[stage] for stage in ops.stages]),
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
    rows = with_update(schedule, ops.stages, rows, costs, options, schedule.shape.num_microbatches, calls)
    calls_once, templates = list(calls.calls), []
    for part in _by_op(rows):
        first_call = len(calls)
        part = with_group_exchanges(part, op_costs, options.groups, calls)
        templates.append(_Template(part, calls.calls[first_call:], first_call))
    return _Model(number, ops.stages, calls_once, templates)


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
    model: Numbers,
    of_action: Numbers,
    of_end: Numbers,
    stage_at: Numbers,
    first_stage: Numbers,
) -> Templates:
    """Return the templates of all models, given the one of each rank, and where those of actions and ends are."""
    templates = [template for one in models for template in one.templates]
    rows = [row for template in templates for row in template.rows]
    calls = [*chain.from_iterable(one.calls_once for one in models), *(call for one in templates for call in one.calls)]
    costs = _ints([row.cost for row in rows]).reshape(-1, 3)
    num_calls = _ints([len(template.calls) for template in templates])
    num_once = _ints([len(one.calls_once) for one in models])
    places = [({stage: place for place, stage in enumerate([-1, *one.stages])}, one) for one in models]
    return Templates(
        of_action=of_action,
        of_end=of_end,
        stage_at=stage_at,
        first_stage=first_stage,
        num_rows=_ints([len(template.rows) for template in templates]),
        waiting_row=_rows_with(templates, "waits_for"),
        sending_row=_rows_with(templates, "sends"),
        kind=_ints([row.kind for row in rows]),
        place=_ints([of[row.stage] for of, one in places for template in one.templates for row in template.rows]),
        has_microbatch=np.array([row.microbatch >= 0 for row in rows], dtype=np.bool_),
        duration_ps=costs[:, 0],
        start_bytes=costs[:, 1],
        end_bytes=costs[:, 2],
        joins=_call_numbers(templates, "joins"),
        awaits=_call_numbers(templates, "awaits"),
        calls=calls,
        place_of_call=_ints(
            [
                *(of[call.stage] for of, one in places for call in one.calls_once),
                *(of[call.stage] for of, one in places for template in one.templates for call in template.calls),
            ]
        ),
        num_calls=num_calls,
        first_call=starts(num_calls)[:-1] + num_once.sum(),
        num_once=num_once[model],
        first_once=starts(num_once)[model],
    )


def _rows_with(templates: Sequence[_Template], column: str) -> Numbers:
    """Return the row of each template that has anything in a column; 0 if there is none."""
    places = [[number for number, row in enumerate(one.rows) if getattr(row, column)] for one in templates]
    return _ints([own[0] if own else 0 for own in places])


def _call_numbers(templates: Sequence[_Template], column: str) -> Lists:
    rows = [(one.first_call, getattr(row, column)) for one in templates for row in one.rows]
    joined = [number - first if number >= first else -1 - number for first, numbers in rows for number in numbers]
    return Lists(_ints([len(numbers) for _, numbers in rows]), _ints(joined))


def _ints(values: Sequence[int] | Sequence[Sequence[int]]) -> Numbers:
    return np.array(values, dtype=np.int64)
