"""Templates of ops: what rows and calls each makes, in arrays."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clustersim.columns import Flags, Numbers
from clustersim.workload.calls import Call
from clustersim.workload.rows import Row

# A rank numbers the calls of a step pass by pass: those that put the parts of its ops' messages together, then what
# it calls for once a step, which are the calls of its end, then what its ops exchange.
BEFORE, ONCE, WITHIN = range(3)


class CallsOfRows(NamedTuple):
    """Calls that rows of templates make or wait for."""

    per_row: Numbers
    per_template: Numbers
    of_pass: Numbers  # of each call, row after row
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


class Template(NamedTuple):
    """What one op makes, or how a rank ends a step."""

    rows: list[Row]
    before: list[Call]
    calls: list[Call]  # WITHIN an op, or ONCE a step
    first: tuple[int, int, int]  # number on the rank that the first call of each pass has


class Model(NamedTuple):
    """A rank that others are like."""

    number: int
    stages: list[int]
    templates: list[Template]


def joined(
    models: Sequence[Model],
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
    costs = ints([row.cost for row in rows]).reshape(-1, 3)
    return Templates(
        of_action=of_action,
        of_end=of_end,
        stage_at=stage_at,
        first_stage=first_stage,
        num_rows=ints([len(template.rows) for template in templates]),
        waiting_row=_rows_with(templates, "waits_for"),
        sending_row=_rows_with(templates, "sends"),
        kind=ints([row.kind for row in rows]),
        place=ints([place_of[row.stage] for place_of, template in placed for row in template.rows]),
        has_microbatch=np.array([row.microbatch >= 0 for row in rows], dtype=np.bool_),
        duration_ps=costs[:, 0],
        start_bytes=costs[:, 1],
        end_bytes=costs[:, 2],
        joins=_calls_of_rows(templates, "joins"),
        awaits=_calls_of_rows(templates, "awaits"),
        calls=[call for one in templates for call in (*one.before, *one.calls)],
        place_of_call=ints([place_of[call.stage] for place_of, one in placed for call in (*one.before, *one.calls)]),
        num_before=ints([len(template.before) for template in templates]),
        num_calls=ints([len(template.calls) for template in templates]),
    )


def _rows_with(templates: Sequence[Template], column: str) -> Numbers:
    """Return the row of each template that has anything in a column; 0 if there is none."""
    places = [[number for number, row in enumerate(one.rows) if getattr(row, column)] for one in templates]
    return ints([own[0] if own else 0 for own in places])


def _calls_of_rows(templates: Sequence[Template], column: str) -> CallsOfRows:
    rows = [[getattr(row, column) for row in one.rows] for one in templates]
    calls = [(one.first, number) for one, own in zip(templates, rows, strict=True) for row in own for number in row]
    passes = [bisect(first[1:], number) for first, number in calls]
    numbers = [number - first[of_pass] for (first, number), of_pass in zip(calls, passes, strict=True)]
    return CallsOfRows(
        ints([len(row) for own in rows for row in own]),
        ints([sum(map(len, own)) for own in rows]),
        ints(passes),
        ints(numbers),
    )


def ints(values: Sequence[int] | Sequence[Sequence[int]]) -> Numbers:
    """Return integers, or rows of them, as an array."""
    return np.array(values, dtype=np.int64)
