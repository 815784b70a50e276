"""Columns of a pipeline as programs, messages and calls: tuples, made when somebody goes through them one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from clustersim.columns import CallColumns, Numbers, PipelineColumns
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
    return Program.made_by(
        kinds=lambda: _named(_KINDS, columns.kind[own]),
        stages=lambda: _as_tuple(columns.stage[own]),
        microbatches=lambda: _as_tuple(columns.microbatch[own]),
        steps=lambda: _as_tuple(columns.step[own]),
        durations_ps=lambda: _as_tuple(columns.duration_ps[own]),
        waits_for=lambda: columns.needs.of(own),
        sends=lambda: columns.sends.of(own),
        start_bytes=lambda: _as_tuple(columns.start_bytes[own]),
        end_bytes=lambda: _as_tuple(columns.end_bytes[own]),
        backward_of=dict,
        joins=lambda: columns.joins.of(own),
        awaits=lambda: columns.awaits.of(own),
    )


def _messages(columns: PipelineColumns) -> Messages:
    return Messages.made_by(
        kinds=lambda: _named(_KINDS, columns.sent_kind),
        microbatches=lambda: _as_tuple(columns.sent_microbatch),
        steps=lambda: _as_tuple(columns.sent_step),
        sources=lambda: _as_tuple(columns.source),
        destinations=lambda: _as_tuple(columns.destination),
        sizes_bytes=lambda: _as_tuple(columns.size_bytes),
        producers=lambda: _as_tuple(columns.producer - columns.first_op[columns.source]),
        consumers=lambda: _as_tuple(columns.consumer - columns.first_op[columns.destination]),
    )


def _calls(columns: CallColumns) -> Calls:
    operations, sizes_bytes, num_repeats = zip(*columns.whats, strict=True) if columns.whats else ((), (), ())
    calls = Calls.made_by(
        axes=lambda: _named(columns.axes, columns.axis),
        operations=lambda: _named(operations, columns.what),
        sizes_bytes=lambda: _named(sizes_bytes, columns.what),
        num_repeats=lambda: _named(num_repeats, columns.what),
        kinds=lambda: _named(_KINDS, columns.kind),
        stages=lambda: _as_tuple(columns.stage),
        microbatches=lambda: _as_tuple(columns.microbatch),
        steps=lambda: _as_tuple(columns.step),
        pp_ranks=lambda: _as_tuple(columns.pp_rank),
        orders=lambda: _as_tuple(columns.order),
        producers=lambda: _as_tuple(columns.producer),
        consumers=lambda: _as_tuple(columns.consumer),
    )
    calls.__dict__["columns"] = columns  # where the property keeps them
    return calls


def _as_tuple(column: Numbers) -> tuple[int, ...]:
    return tuple(column.tolist())


def _named(names: Sequence[T], column: Numbers) -> tuple[T, ...]:
    return tuple([names[number] for number in column.tolist()])
