"""Cohorts: replicas that run the same order over links that are laid out alike, each with times of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from clustersim.engine.network import Network
from clustersim.engine.record_programs import columns_of
from clustersim.ops import Job, Pipeline, Program
from clustersim.trace import Ints

_LARGEST_TIME = 2**62

Time = int | Ints  # of all members of a cohort, or of each [ps]


class Cohort(NamedTuple):
    """Replicas whose programs and messages differ in nothing but times.

    Parameters
    ----------
    replicas
        Numbers of the replicas in the job.
    pipelines
        Their pipelines.
    ways
        Links between each two pp_ranks that exchange messages, as numbered in the cohort.
    links
        ``links[link][member]``: which link of the cluster it is.
    """

    replicas: tuple[int, ...]
    pipelines: tuple[Pipeline, ...]
    ways: dict[tuple[int, int], tuple[int, ...]]
    links: tuple[tuple[int, ...], ...]

    def of_one(self, member: int) -> Cohort:
        """Return the cohort of one of its members alone."""
        links = tuple((numbers[member],) for numbers in self.links)
        return Cohort((self.replicas[member],), (self.pipelines[member],), self.ways, links)


def cohorts_of(job: Job, network: Network) -> list[Cohort]:
    """Return the replicas of a job in cohorts, in the order of their first ones."""
    members: dict[tuple[int, tuple[tuple[int, ...], ...]], list[int]] = {}
    links: list[tuple[int, ...]] = []
    for replica, pipeline in enumerate(job.pipelines):
        local: dict[int, int] = {}  # links in the order in which the routes of the replica come upon them
        ways = tuple(
            [
                tuple([local.setdefault(link, len(local)) for link in network.link_ids[gpus]])
                for gpus in network.gpu_pairs(replica).values()
            ]
        )
        links.append(tuple(local))
        # Pipelines that were lowered as one, some of them slowed down, have their messages in common.
        members.setdefault((id(pipeline.messages), ways), []).append(replica)
    return [
        Cohort(
            tuple(replicas),
            tuple(job.pipelines[replica] for replica in replicas),
            dict(zip(network.gpu_pairs(replicas[0]), ways, strict=True)),
            tuple(zip(*(links[replica] for replica in replicas), strict=True)),
        )
        for (_, ways), replicas in members.items()
    ]


class Timing:
    """How long the ops of a cohort last and its messages hold their links: a number where its members agree.

    ``way_of_message`` is an index into ``ways``, the kinds of messages, each a link, a hold and a latency a hop. [ps]
    """

    def __init__(self, cohort: Cohort, network: Network) -> None:
        self.cohort = cohort
        self._network = network
        self.columns = columns_of(cohort.pipelines[0])
        kinds, self.way_of_message = self.columns.kinds_of_messages
        self.ways: list[tuple[tuple[int, Time, Time], ...]] = [
            tuple(self._hop(link, size_bytes) for link in cohort.ways[source, destination])
            for source, destination, size_bytes in kinds
        ]

    def durations_ps(self, pp_rank: int) -> Sequence[Time]:
        """Return how long each row of a rank's program lasts. [ps]"""
        programs = [pipeline.programs[pp_rank] for pipeline in self.cohort.pipelines]
        kinds = _different(programs)
        if len(kinds) == 1:
            durations_ps: list[int] = self.columns.duration_ps[self.rows(pp_rank)].tolist()
            return durations_ps
        position = {id(program): number for number, program in enumerate(kinds)}
        of_member = np.array([position[id(program)] for program in programs])
        rows = list(zip(*(program.durations_ps for program in kinds), strict=True))
        time_of = {row: _agreed(row, of_member) for row in set(rows)}
        return [time_of[row] for row in rows]

    def rows(self, pp_rank: int) -> slice:
        """Return the rows of a rank's program among all rows."""
        return slice(int(self.columns.first_op[pp_rank]), int(self.columns.first_op[pp_rank + 1]))

    def fits_64_bits(self, computed_ps: int | None = None) -> bool:
        """Return whether no clock of the cohort, and no sum of waits at a link, can come near to what an int64 holds.

        A clock never passes the time that everything takes one after the other, nor does any wait. `computed_ps` is
        what all rows last together, or their own durations if it is None.
        """
        largest_ps: int = self.most_ps(computed_ps) * max(self._messages_by_link(self._sent()), default=1)
        return largest_ps < _LARGEST_TIME

    def most_ps(self, computed_ps: int | None = None) -> int:
        """Return what everything takes one after the other, which no clock of the cohort ever passes. [ps]"""
        if computed_ps is None:
            pipelines = self.cohort.pipelines
            programs = [_different(pipeline.programs[rank] for pipeline in pipelines) for rank in self._ranks]
            computed_ps = sum(max(self._sum_ps(program, rank) for program in programs[rank]) for rank in self._ranks)
        way_ps = [sum(_most_ps(hold) + _most_ps(latency) for _, hold, latency in way) for way in self.ways]
        return computed_ps + sum(count * time_ps for count, time_ps in zip(self._sent(), way_ps, strict=True))

    def _sent(self) -> list[int]:
        """Return how many messages take each way."""
        sent: list[int] = np.bincount(self.way_of_message, minlength=len(self.ways)).tolist()
        return sent

    @property
    def _ranks(self) -> range:
        return range(self.columns.num_ranks)

    def _sum_ps(self, program: Program, rank: int) -> int:
        if program is self.cohort.pipelines[0].programs[rank]:  # its columns are there
            return sum(self.columns.duration_ps[self.rows(rank)].tolist())
        return sum(program.durations_ps)

    def _messages_by_link(self, sent: Sequence[int]) -> list[int]:
        counts = [0] * len(self.cohort.links)
        for number, way in zip(sent, self.ways, strict=True):
            for link, _, _ in way:
                counts[link] += number
        return counts

    def _hop(self, link: int, size_bytes: int) -> tuple[int, Time, Time]:
        makes: dict[tuple[int, int, int], int] = {}
        holds_ps: list[int] = []
        latencies_ps: list[int] = []
        of_member = []
        for number in self.cohort.links[link]:
            own = self._network.link(number)
            make = own.make
            if make not in makes:
                makes[make] = len(makes)
                holds_ps.append(own.hold_ps(size_bytes))
                latencies_ps.append(own.latency_ps)
            of_member.append(makes[make])
        if len(makes) == 1:
            return link, holds_ps[0], latencies_ps[0]
        members = np.array(of_member)
        return link, _agreed(holds_ps, members), _agreed(latencies_ps, members)


def _most_ps(time: Time) -> int:
    return time if isinstance(time, int) else int(time.max())


def _different(programs: Iterable[Program]) -> list[Program]:
    return list({id(program): program for program in programs}.values())


def _agreed(values: Sequence[int], of_member: Ints) -> Time:
    """Return the one value that all members have, or else each member's. [ps]"""
    return values[0] if len(set(values)) == 1 else np.array(values, dtype=np.int64)[of_member]
