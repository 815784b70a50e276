"""What the columns of a trace owe to programs alone: made once for all replicas that share a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain

import numpy as np

from clustersim.columns import Lists, Numbers, PipelineColumns, joined
from clustersim.ops import Pipeline
from clustersim.trace import Ints


def columns_of(pipeline: Pipeline) -> PipelineColumns:
    """Return the programs and messages of a pipeline as arrays: those that they were made from, or else made anew."""
    programs, messages, made_from = pipeline.programs, pipeline.messages, pipeline.made_from
    if made_from is not None and made_from[0] is programs and made_from[1] is messages:
        return made_from[2]
    first_op = np.cumsum([0, *map(len, programs)], dtype=np.int64)

    def column(name: str) -> Numbers:
        return ints(chain.from_iterable(getattr(program, name) for program in programs))

    def lists(name: str) -> Lists:
        rows = [row for program in programs for row in getattr(program, name)]
        return Lists(ints(map(len, rows)), ints(chain.from_iterable(rows)))

    backward_stage, backward_microbatch = (np.full(int(first_op[-1]), -1, dtype=np.int64) for _ in range(2))
    for first, program in zip(first_op.tolist(), programs, strict=False):
        for row, action in program.backward_of.items():
            backward_stage[first + row], backward_microbatch[first + row] = action.stage, action.microbatch
    source, destination = ints(messages.sources), ints(messages.destinations)
    return PipelineColumns(
        first_op,
        kind=column("kinds"),
        stage=column("stages"),
        microbatch=column("microbatches"),
        step=column("steps"),
        duration_ps=column("durations_ps"),
        start_bytes=column("start_bytes"),
        end_bytes=column("end_bytes"),
        backward_stage=backward_stage,
        backward_microbatch=backward_microbatch,
        needs=lists("waits_for"),
        sends=lists("sends"),
        joins=lists("joins"),
        awaits=lists("awaits"),
        sent_kind=ints(messages.kinds),
        sent_microbatch=ints(messages.microbatches),
        sent_step=ints(messages.steps),
        source=source,
        destination=destination,
        size_bytes=ints(messages.sizes_bytes),
        producer=ints(messages.producers) + first_op[source],
        consumer=ints(messages.consumers) + first_op[destination],
    )


def columns_by_replica(pipelines: Sequence[Pipeline]) -> list[PipelineColumns]:
    """Return the columns of each replica; equal ones share theirs."""
    known: dict[int, PipelineColumns] = {}
    for pipeline in pipelines:
        if id(pipeline) not in known:
            known[id(pipeline)] = columns_of(pipeline)
    return [known[id(pipeline)] for pipeline in pipelines]


def num_messages(pipeline: Pipeline) -> int:
    """Return the messages of a pipeline, without making them one by one where arrays are there."""
    made_from = pipeline.made_from
    is_made = made_from is not None and made_from[1] is pipeline.messages
    return made_from[2].num_messages if made_from is not None and is_made else len(pipeline.messages)


class Stack:
    """Replicas one after the other: their columns joined, and numbered on from one to the next."""

    def __init__(self, columns: Sequence[PipelineColumns]) -> None:
        self.columns = columns
        self.first_rank = np.cumsum([0, *(column.num_ranks for column in columns)], dtype=np.int64)
        self.first_row = np.cumsum([0, *(column.num_rows for column in columns)], dtype=np.int64)
        self.first_message = np.cumsum([0, *(column.num_messages for column in columns)], dtype=np.int64)
        self.first_op = self._first_op()
        self._kept: dict[str, Ints] = {}

    @property
    def num_rows(self) -> int:
        """Rows of all replicas."""
        return int(self.first_row[-1])

    def joined(self, of: Callable[[PipelineColumns], Ints]) -> Ints:
        """Return a column whose values stand as they are."""
        known = {id(column): of(column) for column in self.columns}
        return joined([known[id(column)] for column in self.columns])

    def shifted(self, of: Callable[[PipelineColumns], Ints], first: Ints) -> Ints:
        """Return a column that counts ranks, rows or messages, of which those of each replica begin at `first`."""
        known = {id(column): of(column) for column in self.columns}
        if len(self.columns) == 1:
            return known[id(self.columns[0])]
        starts = zip(self.columns, first.tolist(), strict=False)
        return np.concatenate([known[id(column)] + start for column, start in starts])

    def kept(self, name: str, make: Callable[[], Ints]) -> Ints:
        """Return a column that is made once, however many parts of a trace ask for it."""
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    def last_ends_ps(self, starts_ps: Ints) -> Ints:
        """Return when the last row of each rank ended. [ps]"""
        last = [column.duration_ps[column.first_op[1:] - 1] for column in self.columns]
        return starts_ps[self.first_op[1:] - 1] + np.concatenate(last)

    def _first_op(self) -> Ints:
        starts = zip(self.columns, self.first_row.tolist(), strict=False)
        return np.concatenate([*(column.first_op[:-1] + first for column, first in starts), self.first_row[-1:]])


def ints(values: Iterable[int]) -> Ints:
    """Return integers as an array."""
    return np.fromiter(values, dtype=np.int64)
