"""Which ops and ranks stand for others, and their templates.

A rank does the same for every full micro-batch of a stage but for the numbers of micro-batches, messages and calls, and
most ranks do the same as others but for the numbers of their stages. So few ops are lowered row by row, those that may
differ among them, and the others are stamped out after them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from clustersim.columns import Numbers, numbered, starts
from clustersim.ops import Action, Kind, Schedule, StageCosts
from clustersim.schedules.columns import ActionColumns
from clustersim.workload.calls import RankCalls
from clustersim.workload.data_parallel import tied_gradients_bytes
from clustersim.workload.group_rows import GroupOptions, with_gathered_messages, with_group_exchanges
from clustersim.workload.opcost import OpCosts
from clustersim.workload.rows import Row
from clustersim.workload.sent import SentMessages
from clustersim.workload.step_rows import StepOptions, rows_of_ops, stages_by_rank, with_update
from clustersim.workload.templates import Model, Template, Templates, ints, joined

_KINDS = tuple(Kind)
_OPS = frozenset({Kind.F, Kind.B, Kind.I, Kind.W})


class _Ops(NamedTuple):
    """Ops of a rank that stand for others, each with the message that it waits for, and sends; -1: none."""

    stages: list[int]  # of the rank
    ops: list[Action]
    awaited: list[int]
    sent: list[int]
    gathered_bytes: dict[int, int]  # of messages that it puts together


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
    lowered = np.flatnonzero(is_lowered)
    stages, looks = stages_by_rank(schedule), _looks(schedule, costs)
    models: dict[Hashable, Model] = {}
    model_by_rank: list[Model] = []
    for ops in _lowered_ops(actions, sent, lowered, stages, op_costs, options.groups):
        key = _key(ops, looks, op_costs)
        if key not in models:
            models[key] = _model(len(models), schedule, ops, costs, op_costs, options)
        model_by_rank.append(models[key])
    number = np.empty(len(stands_for), dtype=np.int64)  # among those that are lowered
    number[lowered] = np.arange(len(lowered))
    first_template = starts(ints([len(model.templates) for model in models.values()]))
    model = ints([model.number for model in model_by_rank])
    first = first_template[model] - np.searchsorted(lowered, actions.first[:-1])
    return joined(
        list(models.values()),
        of_action=number.take(stands_for) + first.take(actions.rank),
        of_end=first_template[model + 1] - 1,
        stage_at=ints([stage for own in stages for stage in (-1, *own)]),
        first_stage=starts(ints([1 + len(own) for own in stages]))[:-1],
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
) -> Model:
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
        templates.append(Template(part, calls.calls[first[0] : before], calls.calls[first[2] :], first))
    end = templates[-1]
    templates[-1] = end._replace(calls=calls.calls[num_before : num_before + num_once])
    return Model(number, ops.stages, templates)


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
    stands_for: Numbers = last.take(like)
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
