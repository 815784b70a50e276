"""What groups did: the columns of collectives and of their phases, and which rows of ops waited for which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from clustersim.columns import CallColumns, Lists, PipelineColumns, starts
from clustersim.engine.group import CollectiveLog
from clustersim.engine.record_links import Loads
from clustersim.ops import Job, Phase
from clustersim.sorting import order_by
from clustersim.trace import AXES, Collectives, Ints, Phases
from clustersim.words import Words


class GroupRecord:
    """The collectives of a finished run; they stand by group, then by their order in it, and so do their phases."""

    def __init__(self, job: Job, columns: Sequence[PipelineColumns], log: CollectiveLog) -> None:
        self.job, self.columns, self.log = job, columns, log  # columns of each replica
        self.by_group_and_order = order_by(_column(log.group), _column(log.order))
        place = np.empty(len(self.by_group_and_order), dtype=np.int64)
        place[self.by_group_and_order] = np.arange(len(place))
        self._collective_of_phase = place[_column(log.phase_collective)]
        self.phase_order = order_by(self._collective_of_phase)  # those of one are noted in order

    def collectives(self) -> Collectives:
        """Return a row for each collective, told apart by the call of the group's first member."""
        log, order = self.log, self.by_group_and_order
        group = _column(log.group)[order]
        calls = self._first_calls(group, _column(log.order)[order])
        plans, plan = log.plans.known, _column(log.plan)[order]
        return Collectives(
            axis=calls[:, 0],
            operation=Words([one.operation for one in plans], plan),
            algorithm=Words([one.algorithm for one in plans], plan),
            kind=calls[:, 1],
            stage=calls[:, 2],
            microbatch=calls[:, 3],
            step=calls[:, 4],
            group=group,
            size_bytes=_ints(one.size_bytes for one in plans)[plan],
            num_repeats=calls[:, 5],
            queued_ps=_column(log.queued_ps)[order],
            start_ps=_column(log.start_ps)[order],
            end_ps=_column(log.end_ps)[order],
        )

    def _first_calls(self, group: Ints, order: Ints) -> Ints:
        """Return the call with which each group's first member took part in each of its collectives: a row for each.

        Columns are axis, kind, stage, micro-batch, step and repeats.
        """
        tables: dict[int, Ints] = {}  # of calls, once for replicas that share them
        found = np.empty((len(group), 6), dtype=np.int64)
        bounds = np.searchsorted(group, np.arange(len(self.job.groups) + 1)).tolist()
        for own, first, last in zip(self.job.groups, bounds, bounds[1:], strict=False):
            calls = self.job.pipelines[own.places[0].replica].calls.columns
            if id(calls) not in tables:
                tables[id(calls)] = _table(calls)
            of_member = calls.by_rank[own.axis, own.places[0].pp_rank]
            found[first:last] = tables[id(calls)][of_member[order[first:last]]]
        return found

    @cached_property
    def kinds_of_phases(self) -> tuple[list[Phase], Ints]:
        """What there was of phases, in the order in which each came up first, and which of them each phase is."""
        number = _column(self.log.phase)[self.phase_order]
        first = np.empty(len(self.log.phases.known), dtype=np.int64)
        first[number[::-1]] = np.arange(len(number))[::-1]  # the last to be set is the first to come
        order = np.argsort(first)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return [self.log.phases.known[kind] for kind in order.tolist()], place[number]

    def rows_of_flows(self, num_messages: int) -> Ints:
        """Return the row of each flow: of messages their own, then of phases, in the order in which they were noted."""
        rows = np.arange(num_messages + len(self.phase_order))
        rows[num_messages + self.phase_order] = np.arange(num_messages, len(rows))
        return rows

    def phases(self, loads: Loads) -> Phases:
        """Return a row for each phase."""
        log, order = self.log, self.phase_order
        volumes = np.array([float(phase.volume_bytes) for phase in loads.kinds_of_phases], dtype=np.float64)
        return Phases(
            collective=self._collective_of_phase[order],
            way=loads.kind_of_phase,
            volume_bytes=volumes[loads.kind_of_phase],
            start_ps=_column(log.phase_start_ps)[order],
            end_ps=_column(log.phase_end_ps)[order],
        )

    def groups(self, first_rank: Ints) -> tuple[tuple[int, ...], ...]:
        """Return the members of each group as rows of Ranks."""
        return tuple(
            tuple(int(first_rank[place.replica]) + place.pp_rank for place in group.places) for group in self.job.groups
        )

    def awaits(self) -> tuple[Ints, Ints]:
        """Return which collectives rows of ops wait for, row after row, after where those of each row begin."""
        return self._of_ops([columns.awaits for columns in self.columns])

    def joins(self) -> tuple[Ints, Ints]:
        """Return which collectives rows of ops call for when they end, in the same way."""
        return self._of_ops([columns.joins for columns in self.columns])

    def _of_ops(self, calls: Sequence[Lists]) -> tuple[Ints, Ints]:
        collectives = [rows[own.joined] for own, rows in zip(calls, self._row_by_call, strict=True)]
        return starts(np.concatenate([own.count for own in calls])), np.concatenate(collectives)

    @cached_property
    def _row_by_call(self) -> list[Ints]:
        """The collective that each call of each replica was part of; they are numbered without gaps in each group."""
        first_row = np.searchsorted(_column(self.log.group)[self.by_group_and_order], np.arange(len(self.job.groups)))
        group_of = [np.full((len(AXES), len(ranks)), -1, dtype=np.int64) for ranks in self.job.ranks]
        for number, group in enumerate(self.job.groups):
            for replica, pp_rank in group.places:
                group_of[replica][AXES.index(group.axis), pp_rank] = number
        places: dict[int, Ints] = {}  # of calls, once for replicas that share them
        rows = []
        for groups, pipeline in zip(group_of, self.job.pipelines, strict=True):
            calls = pipeline.calls.columns
            if id(calls) not in places:
                places[id(calls)] = _axis(calls) * groups.shape[1] + calls.pp_rank
            rows.append(first_row[groups.reshape(-1)[places[id(calls)]]] + calls.order)
        return rows


def _table(calls: CallColumns) -> Ints:
    """Return axis, kind, stage, micro-batch, step and repeats of each call, a row each."""
    num_repeats = _column([repeats for _, _, repeats in calls.whats])[calls.what]
    return np.stack([_axis(calls), calls.kind, calls.stage, calls.microbatch, calls.step, num_repeats], axis=1)


def _axis(calls: CallColumns) -> Ints:
    return _column([AXES.index(axis) for axis in calls.axes])[calls.axis]


def _column(values: Iterable[int]) -> Ints:
    return np.asarray(values, dtype=np.int64)


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, dtype=np.int64)
