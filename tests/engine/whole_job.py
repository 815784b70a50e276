"""An oracle of whole jobs that shares nothing with the engine: no SimPy, and all rates solved anew at every event.

It takes what lowering made (programs, messages, calls, groups with their plans) and the routes of the cluster, and goes
by the rules of the contract alone. Time jumps from one thing that happens to the next; what is left of flows and their
rates are fractions, ends are rounded up to the picosecond.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import heappop, heappush
from math import ceil

from clustersim.ops import CollectivePlan, Group, Job, Kind, Place, Program
from clustersim.topology.cluster import Cluster

PS_PER_S = 10**12
Ends = Callable[[], None]


def filled_rates(capacities: Mapping[int, Fraction], flows: Sequence[Mapping[int, int]]) -> list[Fraction]:
    """Return the rate of each flow, which crosses each of its links with so many streams: all rise until one is full.

    Examples
    --------
    >>> [str(rate) for rate in filled_rates({0: Fraction(12), 1: Fraction(3)}, [{0: 1}, {0: 2}, {0: 1, 1: 1}])]
    ['3', '3', '3']
    >>> [str(rate) for rate in filled_rates({0: Fraction(12), 1: Fraction(2)}, [{0: 1}, {0: 1}, {0: 1, 1: 1}])]
    ['5', '5', '2']
    """
    rates = [Fraction(0)] * len(flows)
    left, rising = dict(capacities), set(range(len(flows)))
    while rising:
        streams: dict[int, int] = defaultdict(int)
        for flow in rising:
            for link, count in flows[flow].items():
                streams[link] += count
        level = {link: left[link] / count for link, count in streams.items()}
        lowest = min(level.values())
        for flow in [flow for flow in rising if any(level[link] == lowest for link in flows[flow])]:
            rates[flow] = lowest
            rising.remove(flow)
            for link, count in flows[flow].items():
                left[link] -= lowest * count
    return rates


@dataclass
class Flow:
    """Something that drains: what is left of each stream, the links with their streams, and what follows its end."""

    left: Fraction
    streams: Mapping[int, int]
    then: Ends
    rate: Fraction = Fraction(0)


@dataclass
class Collective:
    """One collective of a group: what it is, who has called, and since when all have."""

    plan: CollectivePlan
    callers: list[tuple[int, int]] = field(default_factory=list)  # (replica, call)
    queued_ps: int = -1
    start_ps: int = -1
    end_ps: int = -1


@dataclass
class Rank:
    """A rank: its program, the row at which it is, and whether that row is under way."""

    place: Place
    program: Program
    row: int = 0
    is_running: bool = False
    has_arrived: bool = False  # at the barrier, or its exchange is posted
    starts_ps: list[int] = field(default_factory=list)


class WholeJob:
    """A job that is run to its end when it is made; its times are what it is asked for.

    ``starts_ps[rank]`` are the starts of the rows of each rank, by replica and then by pp_rank;
    ``collectives[group]`` the collectives of each group, in the order in which they began; ``arrivals_ps`` the arrival
    of each message by (replica, number).
    """

    def __init__(self, job: Job, cluster: Cluster) -> None:
        self.job, self.cluster = job, cluster
        self.now = 0
        self.coming: list[tuple[int, int, Ends]] = []
        self.num_coming = 0
        self.flows: list[Flow] = []
        self.are_rates_old = False
        self.free_ps: dict[int, int] = defaultdict(int)  # of FIFO links
        self.requests: list[tuple[int, int, int, tuple[int, ...], int]] = []
        self.num_posted: dict[tuple[int, int], int] = defaultdict(int)
        self.arrivals_ps: dict[tuple[int, int], int] = {}
        self.done_calls: set[tuple[int, int]] = set()
        self.num_calls: dict[tuple[Place, str], int] = defaultdict(int)
        self.collectives: list[dict[int, Collective]] = [{} for _ in job.groups]
        self.under_way: list[int] = [0] * len(job.groups)  # number of the collective whose turn it is
        self.group_of = {(group.axis, place): n for n, group in enumerate(job.groups) for place in group.places}
        self.fair = _fair(job, cluster)
        self.capacities = {
            number: bandwidth / PS_PER_S
            for number in self.fair
            if (bandwidth := cluster.links[number].bandwidth_bytes_per_s) is not None
        }
        self.ranks = [
            Rank(Place(replica, pp_rank), program)
            for replica, pipeline in enumerate(job.pipelines)
            for pp_rank, program in enumerate(pipeline.programs)
        ]
        self._run()
        self.starts_ps = [rank.starts_ps for rank in self.ranks]

    def _run(self) -> None:
        self._settle()
        while self.coming or self.flows:
            self._solve()
            ends = [self.now + ceil(flow.left / flow.rate) for flow in self.flows]
            later = min([*ends, *(entry[0] for entry in self.coming[:1])])
            for flow in self.flows:
                flow.left -= flow.rate * (later - self.now)
            ended = [flow for flow, end in zip(self.flows, ends, strict=True) if end == later]
            self.flows = [flow for flow, end in zip(self.flows, ends, strict=True) if end > later]
            self.are_rates_old = self.are_rates_old or bool(ended)
            self.now = later
            for flow in ended:
                flow.then()
            self._settle()
        for rank in self.ranks:
            assert rank.row == len(rank.program), f"{rank.place} is stuck at row {rank.row}"

    def _solve(self) -> None:
        if self.are_rates_old:
            rates = filled_rates(self.capacities, [flow.streams for flow in self.flows])
            for flow, rate in zip(self.flows, rates, strict=True):
                flow.rate = rate
            self.are_rates_old = False

    def _settle(self) -> None:
        """Let all happen that happens now: arrivals, then what ranks do, then FIFO links take what has come."""
        is_settled = False
        while not is_settled:
            while self.coming and self.coming[0][0] == self.now:
                heappop(self.coming)[2]()
            is_settled = not self._go_on() and not self._grant() and (not self.coming or self.coming[0][0] > self.now)

    def _at(self, time_ps: int, then: Ends) -> None:
        self.num_coming += 1
        heappush(self.coming, (time_ps, self.num_coming, then))

    def _go_on(self) -> bool:
        """Let every rank begin the row at which it is, if it can; return whether one did."""
        moved = [rank for rank in self.ranks if not rank.is_running and rank.row < len(rank.program)]
        begun = [rank for rank in moved if self._can_begin(rank)]
        if self.num_at_barrier == len(self.ranks):
            begun = list(self.ranks)
        for rank in begun:
            rank.has_arrived, rank.is_running = False, True
            rank.starts_ps.append(self.now)
            self._at(self.now + rank.program.durations_ps[rank.row], lambda rank=rank: self._end_row(rank))  # type: ignore[misc]
        return bool(begun)

    @property
    def num_at_barrier(self) -> int:
        """How many ranks wait at the barrier."""
        return sum(
            rank.has_arrived and rank.row < len(rank.program) and rank.program.kinds[rank.row] is Kind.BARRIER
            for rank in self.ranks
        )

    def _can_begin(self, rank: Rank) -> bool:
        kind, row, replica = rank.program.kinds[rank.row], rank.row, rank.place.replica
        if kind is Kind.BARRIER:
            rank.has_arrived = True
            return False
        if kind is Kind.EXCHANGE and not rank.has_arrived:
            rank.has_arrived = True
            for message in rank.program.waits_for[row]:
                self.num_posted[replica, message] += 1
                if self.num_posted[replica, message] == 2:
                    self._send(replica, message)
        return all((replica, message) in self.arrivals_ps for message in rank.program.waits_for[row]) and all(
            (replica, call) in self.done_calls for call in rank.program.awaits[row]
        )

    def _end_row(self, rank: Rank) -> None:
        row, program = rank.row, rank.program
        rank.row, rank.is_running = row + 1, False
        for message in program.sends[row]:
            self._send(rank.place.replica, message)
        for call in program.joins[row]:
            self._call(rank.place, call)

    def _send(self, replica: int, message: int) -> None:
        messages, gpus = self.job.pipelines[replica].messages, self.job.gpus[replica]
        source = messages.sources[message]
        links = tuple(self.cluster.route(gpus[source], gpus[messages.destinations[message]]))
        size = messages.sizes_bytes[message]
        if not self.fair & set(links):
            self._reach(self.job.ranks[replica][source], replica, message, links, 0)
            return
        delay_ps = sum(self.cluster.links[n].latency_ps + self.cluster.links[n].overhead_ps for n in links)
        streams = {number: 1 for number in links if number in self.capacities}
        self._drain_after(delay_ps, Fraction(size), streams, lambda: self._arrive(replica, message))

    def _drain_after(self, latency_ps: int, volume: Fraction, streams: Mapping[int, int], then: Ends) -> None:
        def begin() -> None:
            if volume and streams:
                self.flows.append(Flow(volume, streams, then))
                self.are_rates_old = True
            else:
                then()

        self._at(self.now + latency_ps, begin)

    def _reach(self, sender: int, replica: int, message: int, links: tuple[int, ...], hop: int) -> None:
        if hop == len(links):
            self._arrive(replica, message)
        else:
            self.requests.append((sender, message, replica, links, hop))

    def _grant(self) -> bool:
        """Let FIFO links take the messages that have reached them now, by sender rank and then by op."""
        requests, self.requests = sorted(self.requests), []
        for sender, message, replica, links, hop in requests:
            link = self.cluster.links[links[hop]]
            size = self.job.pipelines[replica].messages.sizes_bytes[message]
            bandwidth = link.bandwidth_bytes_per_s
            hold_ps = link.overhead_ps + (ceil(size * PS_PER_S / bandwidth) if bandwidth else 0)
            self.free_ps[links[hop]] = max(self.now, self.free_ps[links[hop]]) + hold_ps
            reaches = (sender, replica, message, links, hop + 1)
            self._at(self.free_ps[links[hop]] + link.latency_ps, lambda reaches=reaches: self._reach(*reaches))  # type: ignore[misc]
        return bool(requests)

    def _arrive(self, replica: int, message: int) -> None:
        self.arrivals_ps[replica, message] = self.now

    def _call(self, place: Place, call: int) -> None:
        calls = self.job.pipelines[place.replica].calls
        axis = calls.axes[call]
        number, order = self.group_of[axis, place], self.num_calls[place, axis]
        self.num_calls[place, axis] += 1
        group: Group = self.job.groups[number]
        plan = group.plans[calls.operations[call], calls.sizes_bytes[call], calls.num_repeats[call]]
        collective = self.collectives[number].setdefault(order, Collective(plan))
        assert collective.plan.operation == plan.operation, f"members of {group.axis} do not call for the same"
        # A member whose micro-batch is short has less for the others; all are done when the largest is.
        collective.plan = max(collective.plan, plan, key=lambda one: one.size_bytes)
        collective.callers.append((place.replica, call))
        if len(collective.callers) == len(group.places):
            collective.queued_ps = self.now
            if order == self.under_way[number]:
                self._begin(number, order)

    def _begin(self, number: int, order: int) -> None:
        self.collectives[number][order].start_ps = self.now
        self._next_phase(number, order, 0)

    def _next_phase(self, number: int, order: int, index: int) -> None:
        collective = self.collectives[number][order]
        if index < len(collective.plan.phases):
            phase = collective.plan.phases[index]
            streams = {link: n for link, n in zip(phase.links, phase.streams, strict=True) if link in self.capacities}
            then = lambda: self._next_phase(number, order, index + 1)  # noqa: E731
            self._drain_after(phase.latency_ps, phase.volume_bytes, streams, then)
            return
        collective.end_ps = self.now
        self.done_calls.update(collective.callers)
        self.under_way[number] = order + 1
        following = self.collectives[number].get(order + 1)
        if following is not None and following.queued_ps >= 0:
            self._begin(number, order + 1)


def _fair(job: Job, cluster: Cluster) -> set[int]:
    """Return the links shared by max-min fairness: those of collectives, those with several senders, and their routes'.

    A link of a topology that says how it is shared is shared so.
    """
    routes = {
        (gpus[source], gpus[target]): tuple(cluster.route(gpus[source], gpus[target]))
        for pipeline, gpus in zip(job.pipelines, job.gpus, strict=True)
        for source, target in zip(pipeline.messages.sources, pipeline.messages.destinations, strict=True)
    }
    limited = {n for links in routes.values() for n in links if cluster.links[n].bandwidth_bytes_per_s is not None}
    fair = {n for group in job.groups for plan in group.plans.values() for phase in plan.phases for n in phase.links}
    for number in limited:
        senders = {source for (source, _), links in routes.items() if number in links}
        written = cluster.links[number].sharing
        if written == "fair" or (written is None and len(senders) > 1):
            fair.add(number)
    size = -1
    while len(fair) > size:
        size = len(fair)
        for links in routes.values():
            if fair & set(links):
                fair |= limited & set(links)
    return fair
