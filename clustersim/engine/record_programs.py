"""What the columns of a trace owe to programs alone: made once for all replicas that share a pipeline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

import numpy as np

from clustersim.ops import Pipeline
from clustersim.trace import Ints


class ReplicaColumns:
    """The rows and messages of one replica, numbered within it."""

    def __init__(self, pipeline: Pipeline) -> None:
        programs, messages = pipeline.programs, pipeline.messages
        self.num_ranks, self.num_messages = len(programs), len(messages)
        self.first_op = np.cumsum([0, *map(len, programs)], dtype=np.int64)
        self.num_rows = int(self.first_op[-1])

        def joined(name: str) -> Ints:
            return ints(chain.from_iterable(getattr(program, name) for program in programs))

        self.rank_index = np.repeat(np.arange(len(programs)), np.diff(self.first_op))
        self.kind, self.stage, self.microbatch = joined("kinds"), joined("stages"), joined("microbatches")
        self.step, self.duration_ps = joined("steps"), joined("durations_ps")
        self.start_bytes, self.end_bytes = joined("start_bytes"), joined("end_bytes")
        self.num_needs = ints(len(needs) for program in programs for needs in program.waits_for)
        self.needs = ints(chain.from_iterable(chain.from_iterable(program.waits_for for program in programs)))
        self.backward_stage, self.backward_microbatch = (np.full(self.num_rows, -1, dtype=np.int64) for _ in range(2))
        for first, program in zip(self.first_op.tolist(), programs, strict=False):
            for row, action in program.backward_of.items():
                self.backward_stage[first + row] = action.stage
                self.backward_microbatch[first + row] = action.microbatch
        self.sent_kind, self.sent_microbatch = ints(messages.kinds), ints(messages.microbatches)
        self.sent_step, self.size_bytes = ints(messages.steps), ints(messages.sizes_bytes)
        self.source, self.destination = ints(messages.sources), ints(messages.destinations)
        self.producer = ints(messages.producers) + self.first_op[self.source]
        self.consumer = ints(messages.consumers) + self.first_op[self.destination]
        # How many messages of each size went between each two ranks.
        self.traffic = Counter(zip(messages.sources, messages.destinations, messages.sizes_bytes, strict=True))


def columns_by_replica(pipelines: Sequence[Pipeline]) -> list[ReplicaColumns]:
    """Return the columns of each replica; equal ones share theirs."""
    known: dict[int, ReplicaColumns] = {}
    for pipeline in pipelines:
        if id(pipeline) not in known:
            known[id(pipeline)] = ReplicaColumns(pipeline)
    return [known[id(pipeline)] for pipeline in pipelines]


class Stack:
    """Replicas one after the other: their columns joined, and numbered on from one to the next."""

    def __init__(self, columns: Sequence[ReplicaColumns]) -> None:
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

    def joined(self, name: str) -> Ints:
        """Return a column whose values stand as they are."""
        return np.concatenate([getattr(column, name) for column in self.columns])

    def shifted(self, name: str, first: Ints) -> Ints:
        """Return a column that counts ranks, rows or messages, of which those of each replica begin at `first`."""
        return np.concatenate(
            [getattr(column, name) + start for column, start in zip(self.columns, first.tolist(), strict=False)]
        )

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
