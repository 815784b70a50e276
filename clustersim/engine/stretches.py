"""Rows of a rank that run in one go: an op, and the collectives within groups of its own that it waits for at once.

Where a group has its links to itself and its members wait for each collective right after the call, nothing else has a
say in when it ends. Such a call is part of the row that makes it: replicas wait for the last of their group, and then
for as long as the collective takes. When rows and collectives in between began is worked out at the end, for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, repeat
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from clustersim.columns import CallColumns
from clustersim.engine.group_vectors import GroupVector, Members
from clustersim.engine.record_programs import columns_of
from clustersim.engine.stretch_table import Call, Leap, Stretch, StretchTable
from clustersim.engine.way_vectors import Time, agreed, by_replica, longest
from clustersim.ops import Kind, Pipeline
from clustersim.sorting import kinds_of, order_by
from clustersim.trace import Flags, Ints

_MOST_CODES_PER_ROW = 4  # a table of which ones there are is faster than a sort


class _Segment(NamedTuple):
    """A leap of all stretches that are alike; what leaves at its end is in the row at an offset."""

    duration_ps: Time
    members: Members | None
    then_ps: Time
    offset: int


class Rows:
    """The rows of all ranks of a pipeline, and the stretches that they are run in.

    Parameters
    ----------
    pipelines
        Replicas that have all in common but how long rows last.
    groups
        Their groups, by axis and pp_rank.
    """

    def __init__(self, pipelines: Sequence[Pipeline], groups: dict[tuple[str, int], GroupVector]) -> None:
        self._num_replicas = len(pipelines)
        self._columns, self._calls = columns_of(pipelines[0]), pipelines[0].calls.columns
        self._vectors = list({id(vector): vector for vector in groups.values()}.values())
        self._vector_of_call = _vectors_of_calls(self._calls, self._vectors, groups)
        self._lasting_ps, self._lasting = _durations_ps(pipelines)
        self._inline = self._inline_calls()
        goes_on = self._inline >= 0
        self._first = np.flatnonzero(~np.append(False, goes_on[:-1]))
        self._first_of_rank = np.searchsorted(self._first, self._columns.first_op)

    @property
    def longest_ps(self) -> int:
        """How long the longest row lasts in the slowest replica. [ps]"""
        return max(map(longest, self._lasting_ps), default=0)

    @property
    def sum_ps(self) -> int:
        """How long all rows last together, each in the slowest replica. [ps]"""
        counts = np.bincount(self._lasting, minlength=len(self._lasting_ps)).tolist()
        return sum(count * longest(time) for count, time in zip(counts, self._lasting_ps, strict=True))

    def _inline_calls(self) -> Ints:
        """Return the call that is part of each row, or -1: all calls of some groups, or none of them."""
        columns, calls = self._columns, self._calls
        waits_for_one_call = (columns.awaits.count == 1) & (columns.needs.count == 0) & (columns.kind != Kind.BARRIER)
        producer, consumer = (columns.first_op[calls.pp_rank] + row for row in (calls.producer, calls.consumer))
        is_inline = (consumer == producer + 1) & waits_for_one_call[consumer]
        num_others = np.bincount(self._vector_of_call[~is_inline], minlength=len(self._vectors))
        may_be = [vector.are_links_own and len(vector.pp_ranks) == 1 for vector in self._vectors]
        is_inline &= (np.array(may_be, dtype=np.bool_) & (num_others == 0))[self._vector_of_call]
        inline = np.full(columns.num_rows, -1, dtype=np.int64)
        inline[producer[is_inline]] = np.flatnonzero(is_inline)
        return inline

    def table(self, is_flow: Flags) -> StretchTable:
        """Return the stretches of all ranks.

        Parameters
        ----------
        is_flow
            Whether each message is a flow; what sends others is unusual.
        """
        columns, first = self._columns, self._first
        last = np.append(first[1:], len(self._inline)) - 1
        need, message = columns.needs.only()[first], columns.sends.only()[last]
        is_unusual = columns.needs.has_several()[first] | columns.sends.has_several()[last]
        is_unusual |= (columns.awaits.count[first] > 0) | (columns.kind[first] == Kind.BARRIER)
        is_unusual |= columns.joins.count[last] > (self._inline[last] >= 0)
        is_unusual |= (message >= 0) & ~np.append(is_flow, True)[message]
        leaps: list[Leap] = []
        unusual: dict[int, Stretch] = {}
        kinds, kind_of_stretch = self._kinds_of_stretches()
        by_kind = order_by(kind_of_stretch)
        bounds = np.searchsorted(kind_of_stretch[by_kind], np.arange(kinds + 1)).tolist()
        for own in (by_kind[begin:end] for begin, end in pairwise(bounds)):
            segments = self._segments(int(first[own[0]]), int(last[own[0]]) + 1)
            if len(segments) > 1:
                is_unusual[own] = True
            numbers = own[is_unusual[own]]
            unusual.update(zip(numbers.tolist(), self._alike(numbers, segments), strict=True))
            leaps.append(self._leap(segments[0]))
        return StretchTable(self._first_of_rank, need, message, leaps, kind_of_stretch, unusual)

    def _kinds_of_stretches(self) -> tuple[int, Ints]:
        """Return how many kinds of stretches there are, of the same segments, and which each is of."""
        columns, inline = self._columns, self._inline
        call = np.zeros(len(inline), dtype=np.int64)  # the groups and the kind of each row's inline call; 0: none
        rows = np.flatnonzero(inline >= 0)
        call[rows] = 1 + self._vector_of_call[inline[rows]] * len(self._calls.whats) + self._calls.what[inline[rows]]
        leaves = (columns.sends.count > 0) * 2 + (columns.joins.count > (inline >= 0))
        rows_alike = _joined_codes(_joined_codes(call, self._lasting), leaves * 2 + (columns.kind == Kind.BARRIER))
        last = np.append(self._first[1:], len(inline)) - 1
        kind, row = rows_alike[self._first], self._first
        while (row < last).any():
            row = np.minimum(row + 1, last)
            kind = _joined_codes(kind, rows_alike[row])
        kind = _joined_codes(kind, last - self._first)
        return int(kind.max(initial=-1)) + 1, kind

    def _leap(self, segment: _Segment) -> Leap:
        """Return what passes in a segment, without what leaves."""
        times_ps = (by_replica(time, self._num_replicas) for time in (segment.duration_ps, segment.then_ps))
        duration_ps, then_ps = times_ps
        return Leap(duration_ps, segment.members, then_ps, (), ())

    def _alike(self, numbers: Ints, segments: Sequence[_Segment]) -> Iterator[Stretch]:
        """Yield stretches of one kind."""
        if not len(numbers):
            return
        columns, first = self._columns, self._first[numbers]
        leaps = []
        for segment in segments:
            own, rows = self._leap(segment), first + segment.offset
            leaving = zip(columns.sends.of(rows), self._joined(rows), strict=True)
            leaps.append([own._replace(sends=sends, joins=joins) for sends, joins in leaving])
        is_barrier = bool(columns.kind[first[0]] == Kind.BARRIER)
        awaited = self._awaited(first)
        for needs, awaits, of_one in zip(columns.needs.of(first), awaited, zip(*leaps, strict=True), strict=True):
            yield Stretch(needs, awaits, is_barrier, of_one)

    def _joined(self, rows: Ints) -> Iterable[tuple[GroupVector, ...]]:
        """Return the groups that each row calls, inline calls left out."""
        inline = self._inline[rows].tolist()
        if (self._columns.joins.count[rows] <= (self._inline[rows] >= 0)).all():
            return repeat((), len(rows))
        vector = self._vector_of_call
        return [
            tuple([self._vectors[vector[call]] for call in calls if call != own])
            for calls, own in zip(self._columns.joins.of(rows), inline, strict=True)
        ]

    def _awaited(self, rows: Ints) -> Iterable[tuple[Call, ...]]:
        """Return the calls that each row waits for, the last one of each vector, as its groups do them in order."""
        if not self._columns.awaits.count[rows].any():
            return repeat((), len(rows))
        awaited = (sorted(map(self._call, calls), key=itemgetter(1)) for calls in self._columns.awaits.of(rows))
        return [tuple(dict(calls).items()) for calls in awaited]

    def _call(self, number: int) -> Call:
        return self._vectors[self._vector_of_call[number]], int(self._calls.order[number])

    def _segments(self, row: int, after: int) -> list[_Segment]:
        """Return what the rows of a stretch take, up to each at whose end something leaves, and to the last."""
        found: list[_Segment] = []
        duration_ps: Time = 0
        then_ps: Time = 0
        members: Members | None = None
        together: Members | None = None  # groups whose members have the same time
        columns, pp_rank = self._columns, int(np.searchsorted(self._columns.first_op, row, side="right")) - 1
        for number in range(row, after):
            lasts_ps, call = self._lasting_ps[self._lasting[number]], int(self._inline[number])
            if members is None:
                duration_ps = duration_ps + lasts_ps
            else:
                then_ps = then_ps + lasts_ps
            if not isinstance(lasts_ps, int):
                together = None
            if columns.sends.count[number] or columns.joins.count[number] > (call >= 0) or number == after - 1:
                found.append(_Segment(duration_ps, members, then_ps, number - row))
                duration_ps, members, then_ps = 0, None, 0
            if call < 0:
                continue
            vector, order = self._call(call)
            own = vector.members_of_several(pp_rank)
            if own is not None and own is not together:
                if members is not None:  # nothing leaves here
                    found.append(_Segment(duration_ps, members, then_ps, number - row))
                    duration_ps, then_ps = 0, 0
                members = together = own
            total_ps = vector.total_by_replica_ps(order, pp_rank)
            if members is None:
                duration_ps = duration_ps + total_ps
            else:
                then_ps = then_ps + total_ps
        return found

    def starts_ps(self, starts_ps: Ints) -> Ints:
        """Return when every row starts in each replica, given when stretches do. [ps]

        What inline calls became is noted in their groups.
        """
        clock_ps, rows = starts_ps, self._first
        lasting_ps = np.stack([by_replica(time, self._num_replicas) for time in self._lasting_ps])
        found = np.empty((len(self._inline), clock_ps.shape[1]), dtype=np.int64)
        while True:
            found[rows] = clock_ps
            goes_on = np.flatnonzero(self._inline[rows] >= 0)
            if not len(goes_on):
                return found
            rows = rows[goes_on]
            clock_ps = clock_ps[goes_on] + lasting_ps[self._lasting[rows]]
            calls = self._inline[rows]
            vectors = self._vector_of_call[calls]
            for number in np.unique(vectors).tolist():
                mine, vector = np.flatnonzero(vectors == number), self._vectors[number]
                orders = self._calls.order[calls[mine]]
                clock_ps[mine] = vector.done_ps(orders, vector.pp_ranks[0], clock_ps[mine])
            rows = rows + 1


def _vectors_of_calls(
    calls: CallColumns, vectors: Sequence[GroupVector], groups: dict[tuple[str, int], GroupVector]
) -> Ints:
    """Return the groups that do each call, by their place in `vectors`."""
    number = {id(vector): place for place, vector in enumerate(vectors)}
    num_ranks = 1 + max((pp_rank for _, pp_rank in groups), default=-1)
    of_place = np.full((len(calls.axes), num_ranks), -1, dtype=np.int64)
    for (axis, pp_rank), vector in groups.items():
        of_place[calls.axes.index(axis), pp_rank] = number[id(vector)]
    return of_place[calls.axis, calls.pp_rank]


def _durations_ps(pipelines: Sequence[Pipeline]) -> tuple[list[Time], Ints]:
    """Return how long rows last, each different time once, and which of those each row's is. [ps]"""
    different = list({id(pipeline): pipeline for pipeline in pipelines}.values())
    table = [columns_of(pipeline).duration_ps for pipeline in different]
    codes = np.zeros(len(table[0]), dtype=np.int64)
    for column in table:
        codes = _joined_codes(codes, kinds_of(column)[1])
    _, first = np.unique(codes, return_index=True)
    position = {id(pipeline): place for place, pipeline in enumerate(different)}
    of_replica = [position[id(pipeline)] for pipeline in pipelines]
    times = zip(*(column[first].tolist() for column in table), strict=True)
    return [agreed([row[place] for place in of_replica]) for row in times], codes


def _joined_codes(one: Ints, other: Ints) -> Ints:
    """Return numbers from 0 without gaps, the same where both codes, which are at least 0, are."""
    joined = one * (int(other.max(initial=0)) + 1) + other
    largest = int(joined.max(initial=0))
    if largest > _MOST_CODES_PER_ROW * len(joined):
        return kinds_of(joined)[1]
    is_there = np.zeros(largest + 1, dtype=np.bool_)
    is_there[joined] = True
    codes: Ints = (np.cumsum(is_there) - 1)[joined]
    return codes
