"""Rows of a rank that run in one go: an op, and the collectives within groups of its own that it waits for at once.

Where a group has its links to itself and its members wait for each collective right after the call, nothing else has a
say in when it ends. Such a call is part of the row that makes it: replicas wait for the last of their group, and then
for as long as the collective takes. When rows and collectives in between began is worked out at the end, for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from clustersim.engine.group_vectors import GroupVector, Members
from clustersim.engine.way_vectors import Time, longest
from clustersim.ops import Kind, Pipeline, Program
from clustersim.trace import Ints

Call = tuple[GroupVector, int]  # the groups that do it, and the how-manieth of theirs it is


class Leap(NamedTuple):
    """What passes until something is sent or called for."""

    duration_ps: Time
    members: Members | None  # groups of which each then waits for its last; None: nobody waits
    then_ps: Time  # what passes after that
    sends: tuple[int, ...]
    joins: tuple[GroupVector, ...]


class Stretch(NamedTuple):
    """Rows that run in one go once the first has all that it waits for."""

    needs: tuple[int, ...]
    awaits: tuple[Call, ...]
    is_barrier: bool
    leaps: tuple[Leap, ...]

    def end_ps(self, start_ps: Ints) -> Ints:
        """Return when it ends in each replica, given when it starts. [ps]"""
        clock_ps = start_ps
        for leap in self.leaps:
            clock_ps = clock_ps + leap.duration_ps
            if leap.members is not None:
                clock_ps = leap.members.latest_ps(clock_ps) + leap.then_ps
        return clock_ps


class CallTable:
    """The calls of a pipeline, with the groups that do them, and which are part of the row that makes them.

    Parameters
    ----------
    pipeline
        Whose calls they are.
    groups
        Its groups, by axis and pp_rank.
    """

    def __init__(self, pipeline: Pipeline, groups: dict[tuple[str, int], GroupVector]) -> None:
        calls = pipeline.calls
        self.vectors = list({id(vector): vector for vector in groups.values()}.values())
        number = {id(vector): place for place, vector in enumerate(self.vectors)}
        of_place = {place: number[id(vector)] for place, vector in groups.items()}
        places = zip(calls.axes, calls.pp_ranks, strict=True)
        self.vector = np.fromiter(map(of_place.__getitem__, places), dtype=np.int64, count=len(calls))
        self.order = np.array(calls.orders, dtype=np.int64)
        self._pairs = list(zip(self.vector.tolist(), calls.orders, strict=True))
        self._inline = self._inline_by_row(pipeline)

    def call(self, number: int) -> Call:
        """Return the groups that do a call, and the how-manieth of theirs it is."""
        vector, order = self._pairs[number]
        return self.vectors[vector], order

    def inline(self, pp_rank: int) -> Ints:
        """Return the call that is part of each row of a rank, or -1."""
        return self._inline[pp_rank]

    def _inline_by_row(self, pipeline: Pipeline) -> list[Ints]:
        """Return, for each rank, the call that is part of each row: all of some groups, or none of them."""
        calls, programs = pipeline.calls, pipeline.programs
        producer, consumer, pp_rank = (_ints(column) for column in (calls.producers, calls.consumers, calls.pp_ranks))
        waits_for_that_alone = [
            (_ints(map(len, program.awaits)) == 1)
            & (_ints(map(len, program.waits_for)) == 0)
            & (_ints(program.kinds) != Kind.BARRIER)
            for program in programs
        ]
        is_inline = consumer == producer + 1
        own = [np.flatnonzero(pp_rank == number) for number in range(len(programs))]
        for mine, is_alone in zip(own, waits_for_that_alone, strict=True):
            is_inline[mine] &= is_alone[consumer[mine]]
        may_be = [vector.are_links_own and len(vector.pp_ranks) == 1 for vector in self.vectors]
        num_others = np.bincount(self.vector, weights=~is_inline, minlength=len(self.vectors))
        is_inline &= (np.array(may_be, dtype=np.bool_) & (num_others == 0))[self.vector]
        found = []
        for mine, program in zip(own, programs, strict=True):
            inline = np.full(len(program), -1, dtype=np.int64)
            calls_here = mine[is_inline[mine]]
            inline[producer[calls_here]] = calls_here
            found.append(inline)
        return found


class _Segment(NamedTuple):
    """A leap of all stretches that are alike: what of it is not the same is in the row at an offset."""

    duration_ps: Time
    members: Members | None
    then_ps: Time
    offset: int
    call: bool  # whether that row has an inline call


class RankRows:
    """The rows of a rank, and the stretches that they are run in.

    Parameters
    ----------
    pp_rank, program
        The rank.
    durations_ps
        How long each of its rows lasts.
    calls
        The calls of its pipeline.
    """

    def __init__(self, pp_rank: int, program: Program, durations_ps: Sequence[Time], calls: CallTable) -> None:
        self._pp_rank, self._program, self._calls = pp_rank, program, calls
        self._durations_ps, self._inline = durations_ps, calls.inline(pp_rank)
        different = {(time if isinstance(time, int) else id(time)): time for time in durations_ps}
        number = {key: place for place, key in enumerate(different)}
        self._different_ps = list(different.values())
        self._which_ps = _ints(number[time if isinstance(time, int) else id(time)] for time in durations_ps)
        self._first = np.flatnonzero(np.append(True, self._inline[:-1] < 0))[: len(self._inline)]
        self.stretches = self._stretches()

    def __len__(self) -> int:
        return len(self._inline)

    @property
    def longest_ps(self) -> int:
        """How long the longest row lasts in the slowest replica. [ps]"""
        return max(map(longest, self._different_ps), default=0)

    @property
    def sum_ps(self) -> int:
        """How long all rows last together, each in the slowest replica. [ps]"""
        counts = np.bincount(self._which_ps, minlength=len(self._different_ps)).tolist()
        return sum(count * longest(time) for count, time in zip(counts, self._different_ps, strict=True))

    def _stretches(self) -> list[Stretch]:
        program, calls, known = self._program, self._calls, dict[tuple[int, ...], list[_Segment]]()
        inline, alike = self._inline.tolist(), self._alike().tolist()
        columns = (program.waits_for, program.awaits, program.sends, program.joins, program.kinds)
        waits_for, awaits, sends, joins, kinds = columns
        found, bounds = [], [*self._first.tolist(), len(self)]
        for row, end in pairwise(bounds):
            key = tuple(alike[row:end])
            segments = known.get(key)
            if segments is None:
                segments = known[key] = self._segments(row, end)
            leaps = []
            for duration_ps, members, then_ps, offset, has_call in segments:
                last = row + offset
                joined = joins[last]
                if joined:
                    of_row = inline[last] if has_call else -1
                    groups = tuple([calls.call(call)[0] for call in joined if call != of_row])
                else:
                    groups = ()
                leaps.append(Leap(duration_ps, members, then_ps, sends[last], groups))
            awaited = tuple(map(calls.call, awaits[row])) if awaits[row] else ()
            found.append(Stretch(waits_for[row], awaited, kinds[row] is Kind.BARRIER, tuple(leaps)))
        return found

    def _alike(self) -> Ints:
        """Return a number for each row, the same only if stretches of rows of such numbers have the same segments."""
        program, inline = self._program, self._inline
        kind = np.zeros(len(inline), dtype=np.int64)  # 0: no call
        rows = np.flatnonzero(inline >= 0)
        kind[rows] = 1 + self._calls.vector[inline[rows]]
        for place, vector in enumerate(self._calls.vectors):
            mine = rows[kind[rows] == 1 + place]
            if len(mine):
                of_call = vector.kind_numbers[self._calls.order[inline[mine]]]
                kind[mine] += len(self._calls.vectors) * of_call
        num_kinds = int(kind.max(initial=0)) + 1
        has_more = (_ints(map(len, program.joins)) > (inline >= 0)) | (_ints(map(len, program.sends)) > 0)
        numbers: Ints = (self._which_ps * num_kinds + kind) * 2 + has_more
        return numbers

    def _segments(self, row: int, end: int) -> list[_Segment]:
        """Return what the rows of a stretch take, up to each that sends or calls for something, and to the last."""
        found: list[_Segment] = []
        duration_ps: Time = 0
        then_ps: Time = 0
        members: Members | None = None
        together: Members | None = None  # groups whose members have the same time
        for number in range(row, end):
            lasts_ps, call = self._durations_ps[number], int(self._inline[number])
            if members is None:
                duration_ps = duration_ps + lasts_ps
            else:
                then_ps = then_ps + lasts_ps
            if not isinstance(lasts_ps, int):
                together = None
            num_joined = len(self._program.joins[number]) - (call >= 0)
            if self._program.sends[number] or num_joined or number == end - 1:
                found.append(_Segment(duration_ps, members, then_ps, number - row, call >= 0))
                duration_ps, members, then_ps = 0, None, 0
            if call < 0:
                continue
            vector, order = self._calls.call(call)
            own = vector.members_of_several(self._pp_rank)
            if own is not None and own is not together:
                if members is not None:
                    found.append(_Segment(duration_ps, members, then_ps, number - row, call >= 0))
                    duration_ps, then_ps = 0, 0
                members = together = own
            total_ps = vector.total_by_replica_ps(order, self._pp_rank)
            if members is None:
                duration_ps = duration_ps + total_ps
            else:
                then_ps = then_ps + total_ps
        return found

    def starts_ps(self, starts_ps: Ints) -> Ints:
        """Return when every row starts in each replica, given when stretches do; note what inline calls became. [ps]"""
        num_replicas = starts_ps.shape[1]
        lasting_ps = np.stack([np.broadcast_to(time, num_replicas) for time in self._different_ps])
        found = np.empty((len(self), num_replicas), dtype=np.int64)
        rows, clock_ps = self._first, starts_ps
        while True:
            found[rows] = clock_ps
            goes_on = np.flatnonzero(self._inline[rows] >= 0)
            if not len(goes_on):
                return found
            rows = rows[goes_on]
            clock_ps = clock_ps[goes_on] + lasting_ps[self._which_ps[rows]]
            calls = self._inline[rows]
            vectors = self._calls.vector[calls]
            for number in np.unique(vectors).tolist():
                mine = np.flatnonzero(vectors == number)
                orders = self._calls.order[calls[mine]]
                clock_ps[mine] = self._calls.vectors[number].done_ps(orders, self._pp_rank, clock_ps[mine])
            rows = rows + 1


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, dtype=np.int64)
