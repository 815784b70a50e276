"""Ops that stand for all others of their kind: what rows and calls each makes, in arrays.

A rank does the same for every full micro-batch of a stage but for the numbers of micro-batches, messages and calls. So
few of its ops are lowered row by row, those that may differ among them, and the others are stamped out after them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from clustersim.columns import Flags, Lists, Numbers
from clustersim.ops import Action, Kind, Schedule, StageCosts
from clustersim.schedules.columns import ActionColumns
from clustersim.workload.calls import Call, RankCalls
from clustersim.workload.group_rows import with_group_exchanges
from clustersim.workload.opcost import OpCosts
from clustersim.workload.rows import Row
from clustersim.workload.sent import SentMessages
from clustersim.workload.step_rows import StepOptions, rows_of_ops, with_update

_KINDS = tuple(Kind)
_OPS = frozenset({Kind.F, Kind.B, Kind.I, Kind.W})


class _Template(NamedTuple):
    rows: list[Row]
    calls: list[Call]  # that each op of the kind makes
    first_call: int  # number of the first of them; calls with lower ones are made once a step


@dataclass(frozen=True, slots=True, eq=False)
class Templates:
    """Templates of all ranks: those of a rank's ops in their order, then one of the rows with which it ends a step."""

    of_action: Numbers  # template of each action
    of_end: Numbers  # of the end of each rank's step
    num_rows: Numbers  # of each template
    num_calls: Numbers  # that every op of a template makes for itself
    waiting_row: Numbers  # of each template, its row that waits for the op's message
    sending_row: Numbers
    kind: Numbers  # of each row
    stage: Numbers
    has_microbatch: Flags
    duration_ps: Numbers
    start_bytes: Numbers
    end_bytes: Numbers
    joins: Lists  # own calls of an op as 0, 1, ...; those that a rank makes once a step as -1, -2, ...
    awaits: Lists
    calls: list[Call]  # own calls, template after template
    calls_once: list[list[Call]]  # that each rank makes once a step, numbered before all others of the rank


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
    columns = zip(*(column[lowered].tolist() for column in actions[:3]), strict=True)
    ops = [Action(_KINDS[kind], stage, microbatch) for kind, stage, microbatch in columns]
    awaited, going = sent.awaited[lowered].tolist(), sent.by_action[lowered].tolist()
    bounds = np.searchsorted(lowered, actions.first).tolist()
    templates: list[_Template] = []
    calls_once: list[list[Call]] = []
    for rank, (first, last) in enumerate(pairwise(bounds)):
        calls = RankCalls()
        own = slice(first, last)
        rows = rows_of_ops(ops[own], awaited[own], going[own], op_costs)
        rows = with_update(schedule, rank, rows, costs, options, schedule.shape.num_microbatches, calls)
        calls_once.append(list(calls.calls))
        for part in _by_op(rows):
            first_call = len(calls)
            part = with_group_exchanges(part, op_costs, options.groups, calls)
            templates.append(_Template(part, calls.calls[first_call:], first_call))
    of_action = (np.cumsum(is_lowered) - 1)[stands_for] + actions.rank  # every rank before has one for its end
    return _joined(templates, calls_once, of_action, _ints(bounds[1:]) + np.arange(len(calls_once)))


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
    templates: Sequence[_Template], calls_once: list[list[Call]], of_action: Numbers, of_end: Numbers
) -> Templates:
    rows = [row for template in templates for row in template.rows]
    costs = np.array([row.cost for row in rows], dtype=np.int64).reshape(-1, 3)

    def rows_with(column: str) -> Numbers:
        places = [[number for number, row in enumerate(one.rows) if getattr(row, column)] for one in templates]
        return _ints([own[0] if own else 0 for own in places])

    return Templates(
        of_action=of_action,
        of_end=of_end,
        num_rows=_ints([len(template.rows) for template in templates]),
        num_calls=_ints([len(template.calls) for template in templates]),
        waiting_row=rows_with("waits_for"),
        sending_row=rows_with("sends"),
        kind=_ints([row.kind for row in rows]),
        stage=_ints([row.stage for row in rows]),
        has_microbatch=np.array([row.microbatch >= 0 for row in rows], dtype=np.bool_),
        duration_ps=costs[:, 0],
        start_bytes=costs[:, 1],
        end_bytes=costs[:, 2],
        joins=_call_numbers(templates, "joins"),
        awaits=_call_numbers(templates, "awaits"),
        calls=[call for template in templates for call in template.calls],
        calls_once=calls_once,
    )


def _call_numbers(templates: Sequence[_Template], column: str) -> Lists:
    rows = [(one.first_call, getattr(row, column)) for one in templates for row in one.rows]
    joined = [number - first if number >= first else -1 - number for first, numbers in rows for number in numbers]
    return Lists(_ints([len(numbers) for _, numbers in rows]), _ints(joined))


def _ints(values: Sequence[int]) -> Numbers:
    return np.array(values, dtype=np.int64)
