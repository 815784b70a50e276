"""The stretches of all ranks as columns: most wait for a message, last for a while and send one, many at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from clustersim.engine.group_vectors import GroupVector, Members
from clustersim.trace import Flags, Ints

Call = tuple[GroupVector, int]  # the groups that do it, and the how-manieth of theirs it is


class Leap(NamedTuple):
    """What passes until something is sent or called for, in each replica: numpy adds arrays faster than numbers."""

    duration_ps: Ints
    members: Members | None  # groups of which each then waits for its last; None: nobody waits
    then_ps: Ints  # what passes after that
    sends: tuple[int, ...]
    joins: tuple[GroupVector, ...]

    def end_ps(self, start_ps: Ints) -> Ints:
        """Return when it ends in each replica, given when it starts. [ps]"""
        end_ps = start_ps + self.duration_ps
        return end_ps if self.members is None else self.members.latest_ps(end_ps) + self.then_ps


class Stretch(NamedTuple):
    """Rows that run in one go once the first has all that it waits for."""

    needs: tuple[int, ...]
    awaits: tuple[Call, ...]
    is_barrier: bool
    leaps: tuple[Leap, ...]

    def end_ps(self, start_ps: Ints) -> Ints:
        """Return when it ends in each replica, given when it starts. [ps]"""
        for leap in self.leaps:
            start_ps = leap.end_ps(start_ps)
        return start_ps


class StretchTable:
    """The stretches of all ranks, rank after rank. What the unusual ones are is in `unusual`, not in the columns.

    Parameters
    ----------
    first_of_rank
        The first stretch of each rank; one more entry than ranks.
    need, message
        What each waits for, and what it sends when it ends; -1 where it is nothing.
    leaps
        What may pass until then, without what leaves.
    leap
        Which of those passes in each.
    unusual
        Those that wait for more, or send several messages, or over FIFO links, or call for collectives, by number.
    """

    def __init__(
        self,
        first_of_rank: Ints,
        need: Ints,
        message: Ints,
        leaps: list[Leap],
        leap: Ints,
        unusual: dict[int, Stretch],
    ) -> None:
        self.first_of_rank, self.need, self.message, self.unusual = first_of_rank, need, message, unusual
        self.is_unusual: Flags = np.zeros(len(need), dtype=np.bool_)
        self.is_unusual[list(unusual)] = True
        self._leap = leap
        self._duration_ps = np.stack([own.duration_ps for own in leaps])
        self._then_ps = np.stack([own.then_ps for own in leaps])
        self._members: list[Members] = []  # each different one once
        self._members_of_leap = self._with_members(leaps)

    def _with_members(self, leaps: list[Leap]) -> Ints | None:
        """Return which members wait for one another in each leap, -1 where none do; None if none do anywhere."""
        known: dict[tuple[bytes, ...], int] = {}
        found = np.full(len(leaps), -1, dtype=np.int64)
        for number, leap in enumerate(leaps):
            if leap.members is None:
                continue
            content = tuple(b"" if column is None else column.tobytes() for column in leap.members)
            if content not in known:
                known[content] = len(self._members)
                self._members.append(leap.members)
            found[number] = known[content]
        return found if known else None

    def ends_ps(self, numbers: Ints, starts_ps: Ints) -> Ints:
        """Return when stretches that are not unusual end in each replica, given when they start. [ps]"""
        leaps = self._leap[numbers]
        ends_ps: Ints = starts_ps + self._duration_ps[leaps]
        if self._members_of_leap is not None:
            of_stretch = self._members_of_leap[leaps]
            for number in set(of_stretch.tolist()) - {-1}:
                mine = np.flatnonzero(of_stretch == number)
                ends_ps[mine] = self._members[number].latest_ps(ends_ps[mine]) + self._then_ps[leaps[mine]]
        return ends_ps
