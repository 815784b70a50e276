"""What groups did: the columns of collectives and of their phases, and which rows of ops waited for which."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from itertools import chain

import numpy as np

from clustersim.engine.group import CollectiveLog
from clustersim.engine.record_links import Loads
from clustersim.ops import Calls, Job
from clustersim.trace import AXES, Collectives, Ints, Phases


class GroupRecord:
    """The collectives of a finished run; they stand by group, then by their order in it."""

    def __init__(self, job: Job, log: CollectiveLog) -> None:
        self.job, self.log = job, log
        self.by_group_and_order = np.lexsort((_column(log.order), _column(log.group)))
        self._numbers: dict[int, dict[tuple[str, int, int], int]] = {}  # of calls, once for replicas that share them

    def collectives(self) -> Collectives:
        """Return a row for each collective, told apart by the call of the group's first member."""
        log, rows = self.log, self.by_group_and_order.tolist()
        calls = [self._call(log.group[row], log.order[row]) for row in rows]

        def of_call(name: str) -> Ints:
            return _ints(getattr(columns, name)[call] for columns, call in calls)

        plans = [log.plans[row] for row in rows]
        order = self.by_group_and_order
        return Collectives(
            axis=_ints(AXES.index(columns.axes[call]) for columns, call in calls),
            operation=tuple(plan.operation for plan in plans),
            algorithm=tuple(plan.algorithm for plan in plans),
            kind=of_call("kinds"),
            stage=of_call("stages"),
            microbatch=of_call("microbatches"),
            step=of_call("steps"),
            group=_column(log.group)[order],
            size_bytes=_ints(plan.size_bytes for plan in plans),
            num_repeats=of_call("num_repeats"),
            queued_ps=_column(log.queued_ps)[order],
            start_ps=_column(log.start_ps)[order],
            end_ps=_column(log.end_ps)[order],
        )

    def phases(self, loads: Loads) -> Phases:
        """Return a row for each phase, in the order in which they were noted."""
        log = self.log
        place = np.empty(len(self.by_group_and_order), dtype=np.int64)
        place[self.by_group_and_order] = np.arange(len(place))
        return Phases(
            collective=place[_column(log.phase_collective)],
            way=loads.kind_of_phase,
            volume_bytes=np.array([float(phase.volume_bytes) for phase in log.phases], dtype=np.float64),
            start_ps=_column(log.phase_start_ps),
            end_ps=_column(log.phase_end_ps),
        )

    def groups(self, first_rank: Ints) -> tuple[tuple[int, ...], ...]:
        """Return the members of each group as rows of Ranks."""
        return tuple(
            tuple(int(first_rank[place.replica]) + place.pp_rank for place in group.places) for group in self.job.groups
        )

    def awaits(self) -> tuple[Ints, Ints]:
        """Return which collectives rows of ops wait for, row after row, after where those of each row begin."""
        return self._of_ops("awaits")

    def joins(self) -> tuple[Ints, Ints]:
        """Return which collectives rows of ops call for when they end, in the same way."""
        return self._of_ops("joins")

    def _of_ops(self, column: str) -> tuple[Ints, Ints]:
        known: dict[int, tuple[Ints, Ints]] = {}  # once for replicas that share a program
        counts, collectives = [], []
        for pipeline, row_by_call in zip(self.job.pipelines, self._row_by_call, strict=True):
            for program in pipeline.programs:
                if id(program) not in known:
                    calls = getattr(program, column)
                    known[id(program)] = _ints(map(len, calls)), _ints(chain.from_iterable(calls))
                count, numbers = known[id(program)]
                counts.append(count)
                collectives.append(row_by_call[numbers])
        return np.concatenate([[0], np.cumsum(np.concatenate(counts))]), np.concatenate(collectives)

    @cached_property
    def _row_by_call(self) -> list[Ints]:
        """The collective that each call of each replica was part of; they are numbered without gaps in each group."""
        first_row = np.searchsorted(_column(self.log.group)[self.by_group_and_order], np.arange(len(self.job.groups)))
        group_of = [np.full((len(AXES), len(ranks)), -1, dtype=np.int64) for ranks in self.job.ranks]
        for number, group in enumerate(self.job.groups):
            for replica, pp_rank in group.places:
                group_of[replica][AXES.index(group.axis), pp_rank] = number
        known: dict[int, tuple[Ints, Ints, Ints]] = {}
        rows = []
        for replica, pipeline in enumerate(self.job.pipelines):
            calls = pipeline.calls
            if id(calls) not in known:
                axis = _ints(map(AXES.index, calls.axes))
                known[id(calls)] = axis, _ints(calls.pp_ranks), _ints(calls.orders)
            axis, pp_ranks, orders = known[id(calls)]
            rows.append(first_row[group_of[replica][axis, pp_ranks]] + orders)
        return rows

    def _call(self, group: int, order: int) -> tuple[Calls, int]:
        """Return the call with which the first member of a group took part in its collective number `order`."""
        place = self.job.groups[group].places[0]
        calls = self.job.pipelines[place.replica].calls
        key = (self.job.groups[group].axis, place.pp_rank, order)
        numbers = self._numbers.setdefault(id(calls), {})
        if not numbers:
            numbers.update((k, n) for n, k in enumerate(zip(calls.axes, calls.pp_ranks, calls.orders, strict=True)))
        return calls, numbers[key]


def _column(values: Iterable[int]) -> Ints:
    return np.array(values, dtype=np.int64)


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, dtype=np.int64)
