"""Who uses which link: the ways of messages and the streams of groups, as arrays over all replicas of a job."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from clustersim.engine.network import pairs_of
from clustersim.ops import Group, Job, Phase
from clustersim.topology.cluster import Cluster
from clustersim.topology.link_roles import link_kinds
from clustersim.trace import AXES, Flags, Ints

_PLACES = 2**20  # hops of a way, members of a group and phases of its plans are fewer
_SPARSE = 16  # times as many numbers as values: sorting the values is then quicker than a flag for each number


class Lists:
    """Lists of different lengths, one after the other: list `i` is ``first[i]:first[i + 1]`` of each column."""

    def __init__(self, lengths: Iterable[int] | Ints) -> None:
        counts = lengths if isinstance(lengths, np.ndarray) else _ints(lengths)
        self.first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def __len__(self) -> int:
        return len(self.first) - 1

    @cached_property
    def lengths(self) -> Ints:
        """Length of each list."""
        return np.diff(self.first)

    @cached_property
    def owner(self) -> Ints:
        """The list that each entry is in."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @cached_property
    def position(self) -> Ints:
        """Where in its list each entry stands."""
        return np.arange(self.first[-1]) - self.first[self.owner]

    def sums(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the sum of the values of each list, modulo 2^64."""
        total = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(values, dtype=np.uint64)])
        sums: NDArray[np.uint64] = total[self.first[1:]] - total[self.first[:-1]]
        return sums

    def of(self, numbers: Ints, position: int) -> Ints:
        """Return the entries at one position of some lists."""
        return self.first[numbers] + position


class Uses:
    """The ways and streams of a job; links are numbered by `links`, ways and phases as they come.

    Attributes
    ----------
    pairs
        ``pairs[replica]``: the pp_ranks that exchange messages; equal replicas share theirs.
    first_way, ways
        The first way of each replica, and the hops of each way: ``hop_link``; ``sender`` is the GPU that it begins at.
    phases, first_phase
        The phases of all plans of each group, and the links that each crosses: ``crossed``, with ``streams``.
    members
        The members of each group: ``member_replica`` and ``member_rank``.
    links
        Numbers in the cluster of all links that are used, rising.
    """

    def __init__(self, job: Job, cluster: Cluster) -> None:
        self.job, self.cluster = job, cluster
        known = {id(pipeline): pairs_of(pipeline) for pipeline in {id(one): one for one in job.pipelines}.values()}
        self.pairs = [known[id(pipeline)] for pipeline in job.pipelines]
        self.first_way = Lists(map(len, self.pairs)).first
        self.sender, receiver = self._gpus()
        hops, lengths = cluster.routes(self.sender, receiver)
        self.ways = Lists(lengths)
        plans = [[phase for plan in group.plans.values() for phase in plan.phases] for group in job.groups]
        self.first_phase = Lists(map(len, plans)).first
        phases = [phase for own in plans for phase in own]
        self.phases = Lists(len(phase.links) for phase in phases)
        self.streams = _ints(chain.from_iterable(phase.streams for phase in phases))
        self.members = Lists(len(group.places) for group in job.groups)
        places = np.array([place for group in job.groups for place in group.places], dtype=np.int64).reshape(-1, 2)
        self.member_replica, self.member_rank = places.T
        crossed = _ints(chain.from_iterable(phase.links for phase in phases))
        numbers = np.concatenate([hops, crossed])
        self.links, index = numbered(numbers, len(cluster.links))
        self.hop_link, self.crossed = index[: len(index) - len(crossed)], index[len(index) - len(crossed) :]

    def _gpus(self) -> tuple[Ints, Ints]:
        """Return the GPU that each way comes from, and that which it leads to."""
        known = {id(pairs): np.array(pairs, dtype=np.int64).reshape(-1, 2) for pairs in self.pairs}
        ends = [
            np.array(gpus, dtype=np.int64)[known[id(pairs)]]
            for gpus, pairs in zip(self.job.gpus, self.pairs, strict=True)
        ]
        source, destination = np.concatenate(ends).T
        return source, destination

    def way(self, replica: int, pair: int) -> Ints:
        """Return the links of one way."""
        number = int(self.first_way[replica]) + pair
        return self.hop_link[self.ways.first[number] : self.ways.first[number + 1]]

    def phase(self, group: int, slot: int) -> slice:
        """Return where the links and streams of one phase of a group stand."""
        number = int(self.first_phase[group]) + slot
        return slice(int(self.phases.first[number]), int(self.phases.first[number + 1]))

    @cached_property
    def way_replica(self) -> Ints:
        """The replica of each way."""
        return np.repeat(np.arange(len(self.pairs)), np.diff(self.first_way))

    @cached_property
    def way_pair(self) -> Ints:
        """Which pair of its replica each way joins."""
        return np.arange(len(self.ways)) - self.first_way[self.way_replica]

    @cached_property
    def phase_group(self) -> Ints:
        """The group of each phase."""
        return np.repeat(np.arange(len(self.first_phase) - 1), np.diff(self.first_phase))

    @cached_property
    def phase_slot(self) -> Ints:
        """Which phase of its group each one is."""
        return np.arange(len(self.phases)) - self.first_phase[self.phase_group]

    @cached_property
    def kind_of_link(self) -> Ints:
        """What tells links apart before one knows what crosses them: bandwidth, latency, overhead, sharing, role."""
        return link_kinds(self.cluster, self.links)

    @cached_property
    def _first_of_kind(self) -> tuple[list[int], Ints]:
        _, first, kind = np.unique(self.kind_of_link, return_index=True, return_inverse=True)
        return self.links[first].tolist(), kind

    def _each_link(self, values: Sequence[bool]) -> Flags:
        return np.array(values, dtype=np.bool_)[self._first_of_kind[1]]

    @cached_property
    def is_limited(self) -> Flags:
        """Whether a link has limited bandwidth."""
        links = map(self.cluster.link, self._first_of_kind[0])
        return self._each_link([link.bandwidth_bytes_per_s is not None for link in links])

    @cached_property
    def holds(self) -> Flags:
        """Whether a message holds a link for any time, if it is FIFO."""
        links = map(self.cluster.link, self._first_of_kind[0])
        return self._each_link([link.bandwidth_bytes_per_s is not None or link.overhead_ps > 0 for link in links])

    @cached_property
    def has_own_links(self) -> Flags:
        """Whether a group has all its links to itself, as :class:`Network` finds it."""
        group = self.phase_group[self.phases.owner]
        limited = self.is_limited[self.crossed]
        users = np.unique(group[limited] * len(self.links) + self.crossed[limited])
        count = np.bincount(users % len(self.links), minlength=len(self.links))
        count[np.unique(self.hop_link)] += 1
        owns = np.ones(len(self.members), dtype=np.bool_)
        owns[(users // len(self.links))[count[users % len(self.links)] > 1]] = False
        return owns

    @cached_property
    def is_fair(self) -> Flags:
        """Whether a link is shared by max-min fairness; the rules are those of ``topology.discipline``."""
        sharing = [self.cluster.link(number).sharing for number in self._first_of_kind[0]]
        asks, leaves_open = (self._each_link([entry == value for entry in sharing]) for value in ("fair", None))
        sender = self.sender[self.ways.owner]
        least, most = np.full(len(self.links), np.iinfo(np.int64).max), np.full(len(self.links), -1)
        np.minimum.at(least, self.hop_link, sender)
        np.maximum.at(most, self.hop_link, sender)
        fair: Flags = (most >= 0) & (asks | (leaves_open & (least != most))) & self.is_limited
        shared = ~self.has_own_links[self.phase_group[self.phases.owner]]
        fair[self.crossed[shared & self.is_limited[self.crossed]]] = True
        before = -1
        while before != (before := int(fair.sum())):
            on_fair_way = self.is_flow(fair)[self.ways.owner]
            fair[self.hop_link[on_fair_way & self.is_limited[self.hop_link]]] = True
        return fair

    def is_flow(self, fair: Flags) -> Flags:
        """Return which ways have a fair link."""
        has_one: Flags = np.zeros(len(self.ways), dtype=np.bool_)
        has_one[self.ways.owner[fair[self.hop_link]]] = True
        return has_one

    @cached_property
    def replicas_queue_together(self) -> bool:
        """Whether messages of several replicas hold one FIFO link, which serves them in the order of their ranks."""
        is_fifo = ~self.is_flow(self.is_fair)[self.ways.owner] & self.holds[self.hop_link]
        replica = self.way_replica[self.ways.owner][is_fifo]
        least, most = np.full(len(self.links), len(self.pairs)), np.full(len(self.links), -1)
        np.minimum.at(least, self.hop_link[is_fifo], replica)
        np.maximum.at(most, self.hop_link[is_fifo], replica)
        return bool(((most >= 0) & (least != most)).any())

    @cached_property
    def hop_place(self) -> Ints:
        """Where each hop stands in its replica: pair, then hop."""
        return self.way_pair[self.ways.owner] * _PLACES + self.ways.position

    @cached_property
    def phase_place(self) -> Ints:
        """Where each crossing of a link stands in its group: phase, then position."""
        return self.phase_slot[self.phases.owner] * _PLACES + self.phases.position

    @cached_property
    def axis(self) -> Ints:
        """The number of each group's axis."""
        return _ints(map(axis_number, self.job.groups))

    @cached_property
    def by_link(self) -> tuple[Lists, Ints]:
        """What crosses each link, as numbers of entries: hops first, then streams; in no order within a link."""
        link = np.concatenate([self.hop_link, self.crossed])
        return Lists(np.bincount(link, minlength=len(self.links))), np.argsort(link, kind="stable")


def axis_number(group: Group) -> int:
    """Return the number of a group's axis."""
    return AXES.index(group.axis)


def phases_of(group: Group) -> list[Phase]:
    """Return the phases of all plans of a group, in order."""
    return [phase for plan in group.plans.values() for phase in plan.phases]


def numbered(values: Ints, most: int) -> tuple[Ints, Ints]:
    """Return the different values, rising, and for each which of them it is; all are below `most`."""
    if most > _SPARSE * len(values):  # as in a full mesh, of whose links few are used
        found, index = np.unique(values, return_inverse=True)
        return found, index.reshape(-1)
    is_there = np.zeros(most, dtype=np.bool_)
    is_there[values] = True
    return np.flatnonzero(is_there), (np.cumsum(is_there) - 1)[values]


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, dtype=np.int64)
