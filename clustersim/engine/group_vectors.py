"""Groups as vectors: what the groups of one axis, on the same places of all pipelines, do, each at times of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from clustersim.engine.alone import Alone, AloneRates
from clustersim.engine.network import Network
from clustersim.engine.way_vectors import Time, agreed
from clustersim.ops import CollectivePlan, Group, Job
from clustersim.trace import Flags, Ints

Kind = tuple[str, int, int]  # operation, size [bytes], repeats


class PlanVector(NamedTuple):
    """The plans of all groups for one kind of collective; ``x[phase, group]``, 0 where a group has fewer phases."""

    plans: tuple[CollectivePlan, ...]  # of each group
    has_phase: Flags
    latency_ps: Ints
    drain_ps: Ints  # of phases that meet no other flow
    total_ps: Ints  # of each group
    alone: tuple[tuple[Alone, ...], ...]  # ``alone[group][phase]``


class Members(NamedTuple):
    """The members of groups on one pp_rank: replicas in the order of their groups, and where each group begins."""

    in_order: Ints | None  # None: they stand so already
    first: Ints
    group_of_replica: Ints

    def last_ps(self, times_ps: Ints) -> Ints:
        """Return the latest time of each group, given those of all replicas along the last axis. [ps]"""
        in_groups_ps = times_ps if self.in_order is None else times_ps[..., self.in_order]
        last_ps: Ints = np.maximum.reduceat(in_groups_ps, self.first, axis=-1)
        return last_ps

    def latest_ps(self, times_ps: Ints) -> Ints:
        """Return the latest time in the group of each replica. [ps]"""
        latest_ps: Ints = self.last_ps(times_ps)[..., self.group_of_replica]
        return latest_ps


class GroupVector:
    """Groups of one axis whose members are on the same pp_ranks; together they hold every replica once on each.

    All do the same collectives, numbered in the order of their calls. Ends are known as soon as the last member has
    called, as it is assumed how long phases drain: as was found, or else as long as in the last collective of the kind
    of which something was found, as buckets follow one another in much the same company; or else as long as alone.
    """

    def __init__(self, numbers: Sequence[int], pp_ranks: tuple[int, ...], members: dict[int, Members]) -> None:
        self.numbers, self.pp_ranks, self._members = numbers, pp_ranks, members
        self.kinds: list[Kind] = []  # of each collective
        self.plans: dict[Kind, PlanVector] = {}
        # Of all plans, ``x[kind, phase, group]``.
        self.has_phase: Flags
        self.latency_ps: Ints
        self.drain_ps: Ints
        self.shared_drain_ps: Ints  # 0 where no other flow can be met
        self._usual_ps: Ints  # what the next collective of a kind is taken to be like
        self.has_own_links: Flags = np.empty(0, dtype=np.bool_)  # of each group
        self.are_links_own = True  # of all groups
        self.num_called = dict.fromkeys(pp_ranks, 0)
        self.num_known = 0  # collectives whose end is known
        self._most_known = 0  # so far, before calls were taken back
        self._total_ps: dict[tuple[Kind, int], Time] = {}  # of a kind, by replica on a pp_rank

    def prepare(self, kinds: list[Kind], groups: Sequence[Group], network: Network, rates: AloneRates) -> None:
        """Take in what the groups will do."""
        self.kinds = kinds
        self.has_own_links = np.array([network.has_own_links(number) for number in self.numbers])
        self.are_links_own = bool(self.has_own_links.all())
        plans = {kind: [groups[number].plans[kind] for number in self.numbers] for kind in dict.fromkeys(kinds)}
        most_phases = max(len(plan.phases) for own in plans.values() for plan in own)
        self.plans = {kind: _plan_vector(own, most_phases, rates) for kind, own in plans.items()}
        by_kind = self.plans.values()
        self.has_phase = np.stack([plan.has_phase for plan in by_kind])
        self.latency_ps = np.stack([plan.latency_ps for plan in by_kind])
        self.drain_ps = np.stack([plan.drain_ps for plan in by_kind])
        self.shared_drain_ps = np.where(self.has_own_links, 0, self.drain_ps)
        shape = (len(kinds), len(self.numbers))
        self.queued_ps, self.start_ps, self.end_ps = (np.empty(shape, dtype=np.int64) for _ in range(3))
        place_of_kind = {kind: place for place, kind in enumerate(self.plans)}
        self._kind_list = [place_of_kind[kind] for kind in kinds]
        self.kind_numbers = np.array(self._kind_list, dtype=np.int64)  # as places in `plans`
        self._has_usual = [False] * len(self.plans)  # or else it is taken to be alone
        self._is_taken = [False] * len(kinds)  # whether a collective stays as it was taken to be, whatever is usual
        self._drains_ps = self.drain_ps[self.kind_numbers]  # as they are taken to be, ``[collective, phase, group]``
        self._lasts_ps = np.stack([plan.total_ps for plan in by_kind])[self.kind_numbers]  # ``[collective, group]``
        self._usual_ps = self.drain_ps.copy()
        several = self.pp_ranks if len(self.pp_ranks) > 1 else ()
        self._called_ps = {pp_rank: np.empty(shape, dtype=np.int64) for pp_rank in several}

    def longest_sum_ps(self) -> int:
        """Return how long all collectives take in a row, the slowest group each time, if no phase meets others. [ps]"""
        counts = Counter(self.kinds)
        return sum(count * int(self.plans[kind].total_ps.max()) for kind, count in counts.items())

    def call(self, pp_rank: int, clock_ps: Ints) -> None:
        """Let the members on a pp_rank make their next call, each at a time of its own."""
        number = self.num_called[pp_rank]
        self.num_called[pp_rank] += 1
        self._called_ps.get(pp_rank, self.queued_ps)[number] = self._members[pp_rank].last_ps(clock_ps)
        num_complete = min(self.num_called.values()) if self._called_ps else number + 1
        while self.num_known < num_complete:
            number = self.num_known
            if self._called_ps:
                self.queued_ps[number] = np.max([called_ps[number] for called_ps in self._called_ps.values()], axis=0)
            kind = self._kind_list[number]
            if self._has_usual[kind] and not self._is_taken[number]:
                self._drains_ps[number] = self._usual_ps[kind]
                self._take(number)
            self._set_times(number)
            self.num_known += 1
        self._most_known = max(self._most_known, self.num_known)

    def _set_times(self, number: int) -> None:
        start = self.start_ps[number]
        if number:
            np.maximum(self.queued_ps[number], self.end_ps[number - 1], out=start)
        else:
            start[:] = self.queued_ps[number]
        np.add(start, self._lasts_ps[number], out=self.end_ps[number])

    def end_by_replica(self, number: int, pp_rank: int) -> Ints:
        """Return when the collective of each replica on a pp_rank ends. [ps]"""
        ends_ps: Ints = self.end_ps[number][self._members[pp_rank].group_of_replica]
        return ends_ps

    def members_of_several(self, pp_rank: int) -> Members | None:
        """Return the members on a pp_rank, or None if each group has but one there."""
        members = self._members[pp_rank]
        return members if len(members.first) < len(members.group_of_replica) else None

    def total_by_replica_ps(self, number: int, pp_rank: int) -> Time:
        """Return how long a collective takes in the group of each replica, if no phase meets others. [ps]"""
        key = self.kinds[number], pp_rank
        if key not in self._total_ps:
            total_ps = self.plans[key[0]].total_ps[self._members[pp_rank].group_of_replica]
            self._total_ps[key] = agreed(total_ps.tolist())
        return self._total_ps[key]

    def done_ps(self, numbers: Ints, pp_rank: int, called_ps: Ints) -> Ints:
        """Note collectives that nothing can delay, given when each replica called for them; return when they end there.

        Parameters
        ----------
        numbers
            Collectives.
        pp_rank
            Where all members are.
        called_ps
            ``[collective, replica]``
        """
        members = self._members[pp_rank]
        queued_ps = members.last_ps(called_ps)
        self.queued_ps[numbers] = self.start_ps[numbers] = queued_ps
        ends_ps = queued_ps + np.stack([plan.total_ps for plan in self.plans.values()])[self.kind_numbers[numbers]]
        self.end_ps[numbers] = ends_ps
        by_replica_ps: Ints = ends_ps[:, members.group_of_replica]
        return by_replica_ps

    def take_back(self, pp_rank: int) -> None:
        """Take back the last call of the members on a pp_rank."""
        self.num_called[pp_rank] -= 1
        if self.num_called[pp_rank] < self.num_known:
            self.num_known = self.num_called[pp_rank]
            # Some groups may have done it before; theirs is to be next time as it was.
            self._is_taken[self.num_known] = True

    def assume(self, found: Mapping[int, Iterable[tuple[int, int, int]]]) -> None:
        """Let phases of collectives drain for so long from now on, and so those of later ones of their kind.

        `found` has phase, group and time of some, by the number of the collective. Ends that follow move.
        """
        first, so_far = min(found), dict[int, dict[tuple[int, int], int]]()
        for number in range(first, self._most_known):
            kind = self._kind_list[number]
            if number in found:
                so_far.setdefault(kind, {}).update({(phase, group): time_ps for phase, group, time_ps in found[number]})
            if kind in so_far:
                _set(self._drains_ps[number], so_far[kind])
                self._take(number)
        for kind, times_ps in so_far.items():
            self._has_usual[kind] = True
            _set(self._usual_ps[kind], times_ps)
        for number in range(first, self.num_known):
            self._set_times(number)

    def _take(self, number: int) -> None:
        """Let a collective last as its phases are now taken to drain."""
        self._is_taken[number] = True
        lasts_ps = self.latency_ps[self._kind_list[number]] + self._drains_ps[number]
        self._lasts_ps[number] = lasts_ps[0] if len(lasts_ps) == 1 else lasts_ps.sum(axis=0)

    def phases_ps(self, numbers: Ints) -> tuple[Ints, Ints]:
        """Return when each phase of collectives begins to drain, and when that ends. [ps]

        Both are ``[collective, phase, group]``.
        """
        kinds = self.kind_numbers[numbers]
        drains_ps = self._drains_ps[numbers]
        if drains_ps.shape[1] == 1:
            begins_ps = self.start_ps[numbers][:, None] + self.latency_ps[kinds]
            return begins_ps, begins_ps + drains_ps
        ends_ps = self.start_ps[numbers][:, None] + np.cumsum(self.latency_ps[kinds] + drains_ps, axis=1)
        return ends_ps - drains_ps, ends_ps


def _set(drains_ps: Ints, times_ps: Mapping[tuple[int, int], int]) -> None:
    """Set how long some phases drain; by phase and group. [ps]"""
    phases, groups = zip(*times_ps, strict=True)
    drains_ps[phases, groups] = list(times_ps.values())


def group_vectors(job: Job, network: Network, rates: AloneRates) -> dict[tuple[str, int], GroupVector] | None:
    """Return the groups by axis and pp_rank; None if they do not hold every replica once wherever they are."""
    alike: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    for number, group in enumerate(job.groups):
        pp_ranks = tuple(dict.fromkeys(place.pp_rank for place in group.places))
        alike.setdefault((group.axis, pp_ranks), []).append(number)
    calls = job.pipelines[0].calls.columns
    vectors: dict[tuple[str, int], GroupVector] = {}
    for (axis, pp_ranks), numbers in alike.items():
        members = {pp_rank: _members(job, numbers, pp_rank) for pp_rank in pp_ranks}
        kinds = [calls.kinds(axis, pp_rank) for pp_rank in pp_ranks]
        known = {pp_rank: one for pp_rank, one in members.items() if one is not None}
        if len(known) < len(members) or not kinds[0] or any(own != kinds[0] for own in kinds):
            return None
        vector = GroupVector(numbers, pp_ranks, known)
        vector.prepare(kinds[0], job.groups, network, rates)
        for pp_rank in pp_ranks:
            if vectors.setdefault((axis, pp_rank), vector) is not vector:
                return None
    return vectors if vectors.keys() == calls.by_rank.keys() else None


def _members(job: Job, numbers: Sequence[int], pp_rank: int) -> Members | None:
    """Return the members of groups on a pp_rank; None if they are not all replicas, each once."""
    own = [[place.replica for place in job.groups[number].places if place.pp_rank == pp_rank] for number in numbers]
    replicas = [replica for replicas in own for replica in replicas]
    if sorted(replicas) != list(range(len(job.pipelines))) or not all(own):
        return None
    in_order = np.array(replicas, dtype=np.int64)
    sizes = np.array(list(map(len, own)), dtype=np.int64)
    group_of_replica = np.empty(len(in_order), dtype=np.int64)
    group_of_replica[in_order] = np.repeat(np.arange(len(own)), sizes)
    is_in_order = replicas == list(range(len(replicas)))
    return Members(None if is_in_order else in_order, np.cumsum(sizes) - sizes, group_of_replica)


def _plan_vector(plans: Sequence[CollectivePlan], most_phases: int, rates: AloneRates) -> PlanVector:
    shape = (most_phases, len(plans))
    has_phase = np.zeros(shape, dtype=np.bool_)
    latency_ps, drain_ps = (np.zeros(shape, dtype=np.int64) for _ in range(2))
    alone = []
    for group, plan in enumerate(plans):
        own = tuple([rates.of(phase.links, phase.streams) for phase in plan.phases])
        for number, (phase, one) in enumerate(zip(plan.phases, own, strict=True)):
            has_phase[number, group] = True
            latency_ps[number, group] = phase.latency_ps
            drain_ps[number, group] = rates.drain_ps(one, phase.volume_bytes)
        alone.append(own)
    total_ps = (latency_ps + drain_ps).sum(axis=0)
    return PlanVector(tuple(plans), has_phase, latency_ps, drain_ps, total_ps, tuple(alone))
