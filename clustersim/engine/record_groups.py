"""What groups did: the columns of collectives and of their phases, and which rows of ops waited for which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from operator import attrgetter

import numpy as np

from clustersim.columns import CallColumns, Lists, PipelineColumns, starts
from clustersim.engine.noted_groups import NotedCollectives, NotedPhases
from clustersim.engine.record_links import Loads
from clustersim.later import later
from clustersim.ops import Job, Phase
from clustersim.trace import AXES, Collectives, Ints, Phases
from clustersim.words import Words

_NOTHING = np.empty(0, dtype=np.int64)


class GroupRecord:
    """The collectives of a finished run and their phases."""

    def __init__(
        self, job: Job, columns: Sequence[PipelineColumns], noted: NotedCollectives, phases: NotedPhases
    ) -> None:
        self._job, self._columns, self._noted, self._phases = job, columns, noted, phases  # columns of each replica
        self._first_row = np.searchsorted(noted.group, np.arange(len(job.groups) + 1))  # of each group

    def collectives(self) -> Collectives:
        """Return a row for each collective, told apart by the call of the group's first member."""
        noted, plans = self._noted, self._noted.plans

        def of_calls(of: Callable[[CallColumns], Ints]) -> Ints:
            return later(lambda: self._of_calls(of))

        return Collectives(
            axis=of_calls(_axis),
            operation=Words([one.operation for one in plans], noted.plan),
            algorithm=Words([one.algorithm for one in plans], noted.plan),
            kind=of_calls(attrgetter("kind")),
            stage=of_calls(attrgetter("stage")),
            microbatch=of_calls(attrgetter("microbatch")),
            step=of_calls(attrgetter("step")),
            group=noted.group,
            size_bytes=later(lambda: _ints(one.size_bytes for one in plans).take(noted.plan)),
            num_repeats=of_calls(_num_repeats),
            queued_ps=noted.queued_ps,
            start_ps=noted.start_ps,
            end_ps=noted.end_ps,
        )

    def _of_calls(self, of: Callable[[CallColumns], Ints]) -> Ints:
        """Return what a column of calls has for each collective."""
        columns = [of(calls) for calls in self._first_calls[0]]
        return np.concatenate(columns).take(self._first_calls[1]) if columns else _NOTHING

    @cached_property
    def _first_calls(self) -> tuple[list[CallColumns], Ints]:
        """The tables of calls, and the row of that with which each group's first member took part in each collective.

        Rows are numbered through all tables; replicas that do the same share one.
        """
        first: dict[int, int] = {}  # row of each table
        tables: list[CallColumns] = []
        rows = np.empty(len(self._noted.group), dtype=np.int64)
        bounds = self._first_row.tolist()
        for own, begin, end in zip(self._job.groups, bounds, bounds[1:], strict=False):
            calls = self._job.pipelines[own.places[0].replica].calls.columns
            if id(calls) not in first:
                first[id(calls)] = sum(len(table.what) for table in tables)
                tables.append(calls)
            of_member = calls.by_rank[own.axis, own.places[0].pp_rank]
            rows[begin:end] = of_member.take(self._noted.order[begin:end]) + first[id(calls)]
        return tables, rows

    @cached_property
    def kinds_of_phases(self) -> tuple[list[Phase], Ints]:
        """What there was of phases, in the order in which each came up first, and which of them each phase is."""
        kinds, number = self._phases.kinds, self._phases.kind
        first = np.full(len(kinds), len(number), dtype=np.int64)
        first[number[::-1]] = np.arange(len(number))[::-1]  # the last to be set is the first to come
        order = np.argsort(first, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return [kinds[kind] for kind in order.tolist()], place.take(number)

    def phases(self, loads: Loads) -> Phases:
        """Return a row for each phase."""
        volumes = np.array([float(phase.volume_bytes) for phase in loads.kinds_of_phases], dtype=np.float64)
        return Phases(
            collective=self._phases.collective,
            way=loads.kind_of_phase,
            volume_bytes=later(lambda: volumes.take(loads.kind_of_phase)),
            start_ps=self._phases.start_ps,
            end_ps=self._phases.end_ps,
        )

    def groups(self, first_rank: Ints) -> tuple[tuple[int, ...], ...]:
        """Return the members of each group as rows of Ranks."""
        return tuple(
            tuple(int(first_rank[place.replica]) + place.pp_rank for place in group.places)
            for group in self._job.groups
        )

    def awaits(self) -> tuple[Ints, Ints]:
        """Return which collectives rows of ops wait for, row after row, after where those of each row begin."""
        return self._of_ops([columns.awaits for columns in self._columns])

    def joins(self) -> tuple[Ints, Ints]:
        """Return which collectives rows of ops call for when they end, in the same way."""
        return self._of_ops([columns.joins for columns in self._columns])

    def _of_ops(self, calls: Sequence[Lists]) -> tuple[Ints, Ints]:
        collectives = [rows[own.joined] for own, rows in zip(calls, self._row_by_call, strict=True)]
        return starts(np.concatenate([own.count for own in calls])), np.concatenate(collectives)

    @cached_property
    def _row_by_call(self) -> list[Ints]:
        """The collective that each call of each replica was part of; they are numbered without gaps in each group."""
        group_of = [np.full((len(AXES), len(ranks)), -1, dtype=np.int64) for ranks in self._job.ranks]
        for number, group in enumerate(self._job.groups):
            for replica, pp_rank in group.places:
                group_of[replica][AXES.index(group.axis), pp_rank] = number
        places: dict[int, Ints] = {}  # of calls, once for replicas that share them
        rows = []
        for groups, pipeline in zip(group_of, self._job.pipelines, strict=True):
            calls = pipeline.calls.columns
            if id(calls) not in places:
                places[id(calls)] = _axis(calls) * groups.shape[1] + calls.pp_rank
            rows.append(self._first_row[groups.reshape(-1)[places[id(calls)]]] + calls.order)
        return rows


def _axis(calls: CallColumns) -> Ints:
    return _ints(AXES.index(axis) for axis in calls.axes).take(calls.axis)


def _num_repeats(calls: CallColumns) -> Ints:
    return _ints(repeats for _, _, repeats in calls.whats).take(calls.what)


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, dtype=np.int64)
