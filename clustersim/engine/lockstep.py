"""All replicas of a job in lockstep: a clock for each pp_rank and replica, that runs ahead and goes back.

In one step every pp_rank that has what it waits for runs its next rows, all of them together as arrays. Until somebody
has looked, every flow is taken to drain as long as is assumed of it, so that messages and collectives have an end as
soon as they begin. Where that proves wrong, ranks go back to the time until which it was right.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np

from clustersim.engine.clock import Actor, Hold
from clustersim.engine.group_vectors import GroupVector
from clustersim.engine.stretch_table import Stretch
from clustersim.engine.stretches import Rows
from clustersim.engine.waking import Waking
from clustersim.engine.way_vectors import WayVector, by_replica, longest
from clustersim.ops import Job
from clustersim.trace import Flags, Ints

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
        self._way_of_message = np.array(way_of_message, dtype=np.int64)
        is_flow = np.array([bool(way.links) for way in ways], dtype=np.bool_)
        self._table = self._rows.table(is_flow[self._way_of_message])
        self._first, self._end = self._table.first_of_rank[:-1], self._table.first_of_rank[1:]  # stretches of ranks
        self._reached = self._first.copy()  # the stretch of each rank that is next
        self._starts_ps = np.empty((len(self._table.need), num_replicas), dtype=np.int64)
        self._latest_start_ps = np.empty(len(self._table.need), dtype=np.int64)  # of all replicas
        self._clocks_ps = np.zeros((len(self._first), num_replicas), dtype=np.int64)
        # The last message, -1, is what those wait for who wait for none: it is always there.
        self._arrivals_ps = np.zeros((num_messages + 1, num_replicas), dtype=np.int64)
        self.arrived_ps = self._arrivals_ps[:-1]
        self.started_ps = np.empty((num_messages, num_replicas), dtype=np.int64)
        self._is_sent = np.zeros(num_messages + 1, dtype=np.bool_)
        self._is_sent[-1] = True
        self._is_found = np.zeros(num_messages, dtype=np.bool_)  # whether it was found how long a flow drains
        self._found_ps = np.empty((num_messages, num_replicas), dtype=np.int64)  # what was
        shape = (len(ways), num_replicas)
        self._latencies_ps = np.array([by_replica(way.latency_ps, num_replicas) for way in ways]).reshape(shape)
        # What the next flow of each way is taken to be like.
        self._usual_ps = np.array([by_replica(way.drain_ps, num_replicas) for way in ways]).reshape(shape)
        self.served: dict[tuple[int, ...], list[tuple[Ints, Ints]]] = {}  # by FIFO link: free from, waits so far
        self.flows = np.empty(0, dtype=np.int64)  # messages that are flows and may yet be found to meet others
        self.calls: dict[GroupVector, list[int]] = {}  # collectives of which the same is true
        self.num_stretches_run = 0
        self._stopped = np.empty(0, dtype=np.int64)  # pp_ranks that have come to the horizon
        self._at_barrier: set[int] = set()  # ranks that wait there for the others
        self._newly_sent: list[Ints] = []

    @property
    def num_replicas(self) -> int:
        """Replicas in lockstep."""
        return self._clocks_ps.shape[1]

    def run_until(self, horizon_ps: int, run: Callable[[Waking], int]) -> int:
        """Let every rank run until its clock has come to the horizon, or it waits; return the number of events."""
        first = int(self._reached.sum())
        self._at_barrier.clear()
        hold = Hold(self.env)
        Actor(self.env, self._gpus(hold, horizon_ps), hold)
        num_events = run(self.env)
        hold.callbacks = []  # or else the process would refer to itself, and so keep all of this
        del hold.resume
        self.flows, self._newly_sent = np.concatenate([self.flows, *self._newly_sent]), []
        self.num_stretches_run += int(self._reached.sum()) - first
        self._stopped = np.flatnonzero((self._reached < self._end) & (self._clocks_ps.min(axis=1) >= horizon_ps))
        return num_events

    def _gpus(self, hold: Hold, horizon_ps: int) -> Generator[Hold, Any, None]:
        """Run the programs of all pp_ranks in all replicas, a step at a time; the hottest path."""
        table, is_sent = self._table, self._is_sent
        running = np.arange(len(self._first))
        while True:
            running = running[self._goes_on(running, horizon_ps)]
            numbers = self._reached[running]
            is_ready = is_sent[table.need[numbers]]
            is_unusual = table.is_unusual[numbers] & is_ready
            has_run = False
            if is_unusual.any():
                for pp_rank in running[is_unusual].tolist():
                    has_run |= self._run_unusual(pp_rank, horizon_ps)
                is_ready &= ~is_unusual
            if is_ready.any():
                self._run(running[is_ready], numbers[is_ready])
            elif not has_run:
                break
            self.env.woken.append(hold.resume)
            yield hold
        yield hold  # nobody resumes it again

    def _goes_on(self, pp_ranks: Ints, horizon_ps: int) -> Flags:
        """Return which ranks have more to run before the horizon."""
        before_horizon: Flags = self._clocks_ps[pp_ranks].min(axis=1) < horizon_ps
        return before_horizon & (self._reached[pp_ranks] < self._end[pp_ranks])

    def _run(self, pp_ranks: Ints, numbers: Ints) -> None:
        """Run a stretch of each of some ranks, none of them unusual."""
        table = self._table
        starts_ps = np.maximum(self._clocks_ps[pp_ranks], self._arrivals_ps[table.need[numbers]])
        self._starts_ps[numbers], self._latest_start_ps[numbers] = starts_ps, starts_ps.max(axis=1)
        ends_ps = self._clocks_ps[pp_ranks] = table.ends_ps(numbers, starts_ps)
        messages = table.message[numbers]
        is_sending = messages >= 0
        if is_sending.all():
            self._send(messages, ends_ps)
        elif is_sending.any():
            self._send(messages[is_sending], ends_ps[is_sending])
        self._reached[pp_ranks] += 1

    def _run_unusual(self, pp_rank: int, horizon_ps: int) -> bool:
        """Run the unusual stretches of a rank that come next, as far as it has what they wait for; return if any."""
        if pp_rank in self._at_barrier:  # it goes on when the last one comes there
            return False
        clock_ps, end, has_run = self._clocks_ps[pp_rank], int(self._end[pp_rank]), False
        while (number := int(self._reached[pp_rank])) < end and clock_ps.min() < horizon_ps:
            stretch = self._table.unusual.get(number)
            if stretch is None or not self._is_there(stretch):
                break
            for need in stretch.needs:
                np.maximum(clock_ps, self._arrivals_ps[need], out=clock_ps)
            for group, call in stretch.awaits:
                np.maximum(clock_ps, group.end_by_replica(call, pp_rank), out=clock_ps)
            if not stretch.is_barrier:
                self._leap(pp_rank, stretch)
            elif not self._pass_barrier(pp_rank):
                break
            has_run = True
        return has_run

    def _is_there(self, stretch: Stretch) -> bool:
        """Return whether there is all that a stretch waits for, but for a barrier."""
        is_sent = self._is_sent
        return all(is_sent[need] for need in stretch.needs) and all(
            group.num_known > call for group, call in stretch.awaits
        )

    def _pass_barrier(self, pp_rank: int) -> bool:
        """Let a rank wait for the others at a barrier; the last to come lets all of them go on. Return if it is it."""
        self._at_barrier.add(pp_rank)
        if len(self._at_barrier) < len(self._clocks_ps):
            return False
        self._clocks_ps[:] = self._clocks_ps.max()
        for member in sorted(self._at_barrier):
            self._leap(member, self._table.unusual[int(self._reached[member])])
        self._at_barrier.clear()
        return True

    def _leap(self, pp_rank: int, stretch: Stretch) -> None:
        """Run a stretch of one rank."""
        clock_ps, number = self._clocks_ps[pp_rank], int(self._reached[pp_rank])
        self._starts_ps[number], self._latest_start_ps[number] = clock_ps, clock_ps.max()
        for leap in stretch.leaps:
            clock_ps[:] = leap.end_ps(clock_ps)
            for message in leap.sends:
                way = self.ways[self.way_of_message[message]]
                if way.links:
                    self._send(np.array([message]), clock_ps[None])
                else:
                    self._pass_links(message, way, clock_ps)
            for group in leap.joins:
                self._call(group, pp_rank, clock_ps)
        self._reached[pp_rank] = number + 1

    def _send(self, messages: Ints, times_ps: Ints) -> None:
        """Send messages that are flows; each drains as long as was found, or else like the last one on its way of which
        any was: micro-batches follow one another in much the same company.
        """
        ways = self._way_of_message[messages]
        self.started_ps[messages] = started_ps = times_ps + self._latencies_ps[ways]
        drains_ps, is_found = self._usual_ps[ways], self._is_found[messages]
        if is_found.any():
            drains_ps[is_found] = self._found_ps[messages[is_found]]
        self.arrived_ps[messages] = started_ps + drains_ps
        self._is_sent[messages] = True
        self._newly_sent.append(messages)

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
        self._is_sent[message] = True

    def _call(self, group: GroupVector, pp_rank: int, clock: Ints) -> None:
        first = group.num_known
        group.call(pp_rank, clock)
        if not group.are_links_own and group.num_known > first:
            self.calls.setdefault(group, []).extend(range(first, group.num_known))

    def go_back(self, time_ps: int) -> None:
        """Take back every stretch that began at `time_ps` or later in some replica, and what it sent and called for."""
        reached, latest_ps = self._reached, self._latest_start_ps
        bounds = list(zip(self._first.tolist(), reached.tolist(), strict=True))
        # Starts rise along a rank.
        kept = [first + int(np.searchsorted(latest_ps[first:last], time_ps)) for first, last in bounds]
        self._take_back(np.concatenate([np.arange(first, last) for first, (_, last) in zip(kept, bounds, strict=True)]))
        reached[:] = kept
        # Whoever waits has taken over what arrived so far, which may move now.
        self._clocks_ps[:] = 0
        has_run = np.flatnonzero(reached > self._first)
        self._clocks_ps[has_run] = self._ends_ps(reached[has_run] - 1)
        self.flows = self.flows[self._is_sent[self.flows]]
        self.calls = {group: [one for one in own if one < group.num_known] for group, own in self.calls.items()}

    def _ends_ps(self, numbers: Ints) -> Ints:
        ends_ps = self._table.ends_ps(numbers, self._starts_ps[numbers])
        for place in np.flatnonzero(self._table.is_unusual[numbers]).tolist():
            number = int(numbers[place])
            ends_ps[place] = self._table.unusual[number].end_ps(self._starts_ps[number])
        return ends_ps

    def _take_back(self, numbers: Ints) -> None:
        """Take back stretches."""
        is_unusual, messages = self._table.is_unusual[numbers], self._table.message[numbers]
        self._take_back_flows(messages[~is_unusual & (messages >= 0)])
        unusual = numbers[is_unusual]
        pp_ranks = np.searchsorted(self._end, unusual, side="right").tolist()
        for number, pp_rank in zip(unusual.tolist(), pp_ranks, strict=True):
            for leap in self._table.unusual[number].leaps:
                for message in leap.sends:
                    way = self.ways[self.way_of_message[message]]
                    if way.links:
                        self._take_back_flows(np.array([message]))
                    self._is_sent[message] = False
                    for links, _, _ in way.hops:
                        self.served[links].pop()
                for group in leap.joins:
                    group.take_back(pp_rank)

    def _take_back_flows(self, messages: Ints) -> None:
        """Take back messages that are flows; where one has arrived before, in some replica, it is to do so again."""
        self._is_sent[messages] = False
        new = messages[~self._is_found[messages]]
        self._is_found[new] = True
        self._found_ps[new] = self.arrived_ps[new] - self.started_ps[new]

    def assume(self, message: int, drains_ps: Ints) -> None:
        """Let a flow drain for so long from now on."""
        self._is_found[message] = True
        self._found_ps[message] = self._usual_ps[self.way_of_message[message]] = drains_ps
        if self._is_sent[message]:
            np.add(self.started_ps[message], drains_ps, out=self.arrived_ps[message])

    def is_stuck(self) -> bool:
        """Return whether ranks wait for one another: none has come to the horizon, and not all to their ends."""
        return not len(self._stopped) and not self.is_done()

    def is_done(self) -> bool:
        """Return whether every rank has come to its end."""
        return bool((self._reached == self._end).all())

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
        return int(self._clocks_ps[self._stopped].min(initial=FAR_PS))
