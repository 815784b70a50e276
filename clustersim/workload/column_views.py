"""Columns of a pipeline as programs, messages and calls: tuples, made when somebody goes through them one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from clustersim.columns import CallColumns, Numbers, PipelineColumns
from clustersim.later import later
from clustersim.ops import Calls, Kind, Messages, Pipeline, Program, Schedule

T = TypeVar("T")

_KINDS = tuple(Kind)


def pipeline_of(schedule: Schedule, columns: PipelineColumns, calls: CallColumns) -> Pipeline:
    """Return the pipeline that these columns, without overlapped slots, describe."""
    programs = tuple(_program(columns, rank) for rank in range(columns.num_ranks))
    messages = _messages(columns)
    return Pipeline(schedule, programs, messages, _calls(calls), (programs, messages, columns))


def _program(columns: PipelineColumns, rank: int) -> Program:
    own = slice(*columns.first_op[rank : rank + 2].tolist())
    return Program(
        later(lambda: _named(_KINDS, columns.kind[own])),
        later(lambda: _as_tuple(columns.stage[own])),
        later(lambda: _as_tuple(columns.microbatch[own])),
        _steps(columns.step[own]),
        later(lambda: _as_tuple(columns.duration_ps[own])),
        later(lambda: columns.needs.of(own)),
        later(lambda: columns.sends.of(own)),
        later(lambda: _as_tuple(columns.start_bytes[own])),
        later(lambda: _as_tuple(columns.end_bytes[own])),
        {},
        later(lambda: columns.joins.of(own)),
        later(lambda: columns.awaits.of(own)),
    )


def _messages(columns: PipelineColumns) -> Messages:
    return Messages(
        later(lambda: _named(_KINDS, columns.sent_kind)),
        later(lambda: _as_tuple(columns.sent_microbatch)),
        later(lambda: _as_tuple(columns.sent_step)),
        later(lambda: _as_tuple(columns.source)),
        later(lambda: _as_tuple(columns.destination)),
        later(lambda: _as_tuple(columns.size_bytes)),
        later(lambda: _as_tuple(columns.producer - columns.first_op[columns.source])),
        later(lambda: _as_tuple(columns.consumer - columns.first_op[columns.destination])),
    )


def _calls(columns: CallColumns) -> Calls:
    operations, sizes_bytes, num_repeats = zip(*columns.whats, strict=True) if columns.whats else ((), (), ())
    calls = Calls(
        later(lambda: _named(columns.axes, columns.axis)),
        later(lambda: _named(operations, columns.what)),
        later(lambda: _named(sizes_bytes, columns.what)),
        later(lambda: _named(num_repeats, columns.what)),
        later(lambda: _named(_KINDS, columns.kind)),
        later(lambda: _as_tuple(columns.stage)),
        later(lambda: _as_tuple(columns.microbatch)),
        _steps(columns.step),
        later(lambda: _as_tuple(columns.pp_rank)),
        later(lambda: _as_tuple(columns.order)),
        later(lambda: _as_tuple(columns.producer)),
        later(lambda: _as_tuple(columns.consumer)),
    )
    calls.__dict__["columns"] = columns  # where the property keeps them
    return calls


def _as_tuple(column: Numbers) -> tuple[int, ...]:
    return tuple(column.tolist())


def _steps(column: Numbers) -> tuple[int, ...]:
    """Return steps, which never fall; as a rule there is one."""
    is_one = len(column) and column[0] == column[-1]
    return (int(column[0]),) * len(column) if is_one else _as_tuple(column)


def _named(names: Sequence[T], column: Numbers) -> tuple[T, ...]:
    return tuple([names[number] for number in column.tolist()])
