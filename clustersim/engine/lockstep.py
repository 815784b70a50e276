"""All replicas of a job row by row: a process a pp_rank, with a clock for each replica, that runs ahead and goes back.

Until somebody has looked, every flow is taken to drain as long as is assumed of it, so that messages and collectives
have an end as soon as they begin. Where that proves wrong, processes go back to the time until which it was right.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np

from clustersim.engine.clock import Actor, Hold
from clustersim.engine.group_vectors import GroupVector
from clustersim.engine.stretches import Rows
from clustersim.engine.waking import Meeting, Waking
from clustersim.engine.way_vectors import WayVector, by_replica, longest
from clustersim.ops import Job
from clustersim.trace import Ints

FAR_PS = 2**62  # later than anything that happens


class Lockstep:
    """The replicas of a job and how far they have come.

    Parameters
    ----------
    job
        Pipelines that have all in common but how long ops last.
    groups
        Its groups, by axis and pp_rank.
    ways, way_of_message
        The ways that messages take, and which one each takes.
    """

    def __init__(
        self,
        job: Job,
        groups: dict[tuple[str, int], GroupVector],
        ways: Sequence[WayVector],
        way_of_message: Sequence[int],
    ) -> None:
        self.env = Waking()
        self.ways, self.way_of_message, self.groups = ways, way_of_message, groups
        num_replicas, num_messages = len(job.pipelines), len(way_of_message)
        self.num_rows = sum(map(len, job.pipelines[0].programs))  # of a replica
        self._rows = Rows(job.pipelines, groups)
        self.stretches = self._rows.stretches()
        self._starts_ps = [np.empty((len(own), num_replicas), dtype=np.int64) for own in self.stretches]
        self.clocks_ps = [np.zeros(num_replicas, dtype=np.int64) for _ in self.stretches]
        self.reached = [0] * len(self.stretches)  # the stretch that is next
        self.started_ps, self.arrived_ps = (np.empty((num_messages, num_replicas), dtype=np.int64) for _ in range(2))
        self._starts, self._arrivals = list(self.started_ps), list(self.arrived_ps)  # of each message
        self.is_sent = bytearray(num_messages)
        self.drains_ps: dict[int, Ints] = {}  # that were found of flows, by message
        self._latencies_ps = [by_replica(way.latency_ps, num_replicas) for way in ways]
        # What the next flow of each way is taken to be like.
        self.usual_drains_ps = [by_replica(way.drain_ps, num_replicas) for way in ways]
        self.served: dict[tuple[int, ...], list[tuple[Ints, Ints]]] = {}  # by FIFO link: free from, waits so far
        self.flows: list[int] = []  # messages that are flows and may yet be found to meet others, as they were sent
        self.calls: dict[GroupVector, list[int]] = {}  # collectives of which the same is true
        self.stopped: list[int] = []  # pp_ranks that have come to the horizon
        self.num_stretches_run = 0
        self._waiters: dict[int, Hold] = {}
        self._callers: dict[tuple[int, int], list[Hold]] = {}

    def run_until(self, horizon_ps: int, run: Callable[[Waking], int]) -> int:
        """Let every process run until its clock has come to the horizon, or it waits; return the number of events."""
        self._waiters, self._callers, self.stopped = {}, {}, []
        meeting, first = Meeting(self.env, len(self.stretches)), sum(self.reached)
        for pp_rank in range(len(self.stretches)):
            hold = Hold(self.env)
            Actor(self.env, self._gpu(pp_rank, hold, meeting, horizon_ps), hold)
        num_events = run(self.env)
        self.num_stretches_run += sum(self.reached) - first
        return num_events

    def go_back(self, time_ps: int) -> None:
        """Take back every stretch that began at `time_ps` or later in some replica, and what it sent and called for."""
        for pp_rank, (stretches, starts_ps) in enumerate(zip(self.stretches, self._starts_ps, strict=True)):
            reached = self.reached[pp_rank]
            while reached and starts_ps[reached - 1].max() >= time_ps:
                reached -= 1
                for leap in stretches[reached].leaps:
                    for message in leap.sends:
                        self._take_back(message)
                    for group in leap.joins:
                        group.take_back(pp_rank)
            self.reached[pp_rank] = reached
            # Whoever waits has taken over what arrived so far, which may move now.
            self.clocks_ps[pp_rank][:] = stretches[reached - 1].end_ps(starts_ps[reached - 1]) if reached else 0
        self.flows = [message for message in self.flows if self.is_sent[message]]
        self.calls = {group: [one for one in own if one < group.num_known] for group, own in self.calls.items()}

    def _take_back(self, message: int) -> None:
        self.is_sent[message] = 0
        way = self.ways[self.way_of_message[message]]
        if way.links:  # in some replicas it may have arrived before; there its next time is to be as its first
            self.drains_ps.setdefault(message, self.arrived_ps[message] - self.started_ps[message])
        for links, _, _ in way.hops:
            self.served[links].pop()

    def assume(self, message: int, drains_ps: Ints) -> None:
        """Let a flow drain for so long from now on."""
        self.drains_ps[message] = self.usual_drains_ps[self.way_of_message[message]] = drains_ps
        if self.is_sent[message]:
            np.add(self.started_ps[message], drains_ps, out=self.arrived_ps[message])

    def _gpu(self, pp_rank: int, hold: Hold, meeting: Meeting, horizon_ps: int) -> Generator[Hold, Any, None]:
        """Run the program of a pp_rank in all replicas, stretch by stretch; the hottest path."""
        stretches, starts_ps, clock = self.stretches[pp_rank], self._starts_ps[pp_rank], self.clocks_ps[pp_rank]
        is_sent, arrivals_ps, maximum, add = self.is_sent, self._arrivals, np.maximum, np.add
        first = self.reached[pp_rank]
        last = len(stretches) if first == len(stretches) or clock.min() < horizon_ps else first
        for number in range(first, last):
            needs, awaits, is_barrier, leaps = stretches[number]
            for need in needs:
                if not is_sent[need]:
                    self._waiters[need] = hold
                    yield hold
                maximum(clock, arrivals_ps[need], out=clock)
            for group, call in awaits:
                if group.num_known <= call:
                    self._callers.setdefault((id(group), call), []).append(hold)
                    yield hold
                maximum(clock, group.end_by_replica(call, pp_rank), out=clock)
            if is_barrier:
                meeting.arrive(hold, clock)
                yield hold
                clock[:] = meeting.released_ps
            starts_ps[number] = clock
            for duration_ps, members, then_ps, sends, joins in leaps:
                add(clock, duration_ps, out=clock)
                if members is not None:
                    add(members.latest_ps(clock), then_ps, out=clock)
                for message in sends:
                    self._send(message, clock)
                for group in joins:
                    self._call(group, pp_rank, clock)
            self.reached[pp_rank] = number + 1
            if clock[0] >= horizon_ps and clock.min() >= horizon_ps:
                break
        if self.reached[pp_rank] < len(stretches):
            self.stopped.append(pp_rank)
        yield hold  # nobody resumes it again

    def _send(self, message: int, clock: Ints) -> None:
        number = self.way_of_message[message]
        way = self.ways[number]
        if way.links:
            started_ps = self._starts[message]
            np.add(clock, self._latencies_ps[number], out=started_ps)
            np.add(started_ps, self._drain_of(message), out=self._arrivals[message])
            self.flows.append(message)
        else:
            self._pass_links(message, way, clock)
        self.is_sent[message] = 1
        waiter = self._waiters.pop(message, None)
        if waiter is not None:
            self.env.woken.append(waiter.resume)

    def _drain_of(self, message: int) -> Ints:
        """Return how long a flow is assumed to drain: as was found, or else like the last one on its way of which any
        was; micro-batches follow one another in much the same company. [ps]
        """
        return self.drains_ps.get(message, self.usual_drains_ps[self.way_of_message[message]])

    def _pass_links(self, message: int, way: WayVector, clock: Ints) -> None:
        arrived_ps = self.arrived_ps[message]
        arrived_ps[:], self.started_ps[message] = clock, -1
        for hop, (links, hold_ps, latency_ps) in enumerate(way.hops):
            served = self.served.setdefault(links, [(np.zeros_like(clock), np.zeros_like(clock))])
            free_ps, waited_ps = served[-1]
            start_ps = np.maximum(arrived_ps, free_ps)
            served.append((start_ps + hold_ps, waited_ps + (start_ps - arrived_ps)))
            if hop == 0:
                self.started_ps[message] = start_ps
            np.add(served[-1][0], latency_ps, out=arrived_ps)

    def _call(self, group: GroupVector, pp_rank: int, clock: Ints) -> None:
        first = group.num_known
        group.call(pp_rank, clock)
        for number in range(first, group.num_known):
            if not group.are_links_own:
                self.calls.setdefault(group, []).append(number)
            for hold in self._callers.pop((id(group), number), ()):
                self.env.woken.append(hold.resume)

    def is_done(self) -> bool:
        """Return whether every process has come to its end."""
        return all(reached == len(own) for reached, own in zip(self.reached, self.stretches, strict=True))

    def starts_ps(self) -> Ints:
        """Return when every row starts, rank after rank, ``[row, replica]``, once all is done. [ps]

        What inline calls became is noted in their groups.
        """
        return self._rows.starts_ps(self._starts_ps)

    def longest_ps(self) -> int:
        """Return how long the longest row lasts, a picosecond at least. [ps]"""
        return max(1, self._rows.longest_ps)

    def sum_ps(self) -> int:
        """Return how long everything takes in a row, the slowest replica each time, if no flow meets others. [ps]

        No clock gets past it: what waits for what is the same in all replicas, and goes round in no circle.
        """
        way_ps = [
            longest(way.latency_ps)
            + longest(way.drain_ps)
            + sum(longest(hold_ps) + longest(latency_ps) for _, hold_ps, latency_ps in way.hops)
            for way in self.ways
        ]
        vectors = {id(vector): vector for vector in self.groups.values()}.values()
        totals_ps = [vector.longest_sum_ps() for vector in vectors]
        return self._rows.sum_ps + sum(way_ps[way] for way in self.way_of_message) + sum(totals_ps)

    def until_ps(self) -> int:
        """Return the time before which nothing more will begin: whoever waits, waits for who stopped at the horizon."""
        return min((int(self.clocks_ps[pp_rank].min()) for pp_rank in self.stopped), default=FAR_PS)
