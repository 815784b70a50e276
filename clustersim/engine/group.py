"""Groups of ranks that do collectives: one activity a collective, however many ranks take part.

A collective is queued when the last member of its group has made the call, and starts when the group has done those
before it. It then goes through the phases of its plan: the latency passes, and the streams drain. Where nobody else
uses the links of a group, when that will be over is known at once; elsewhere its streams are a flow among others.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Generic, TypeVar

import numpy as np

from clustersim.engine.clock import Timeline
from clustersim.engine.fair import Draining, FairNetwork, RateLog
from clustersim.engine.link import Mailbox
from clustersim.engine.noted_groups import NotedCollectives, NotedPhases
from clustersim.ops import CollectivePlan, Group, Phase, Pipeline, Place
from clustersim.sorting import order_by
from clustersim.topology.cluster import Cluster
from clustersim.trace import Ints

_Noted = TypeVar("_Noted")


class Kinds(Generic[_Noted]):
    """Objects that are noted again and again, each of which is kept once, under a number."""

    def __init__(self) -> None:
        self.known: list[_Noted] = []
        self._numbers: dict[int, int] = {}

    def number(self, one: _Noted) -> int:
        """Return the number of an object."""
        number = self._numbers.get(id(one))
        if number is None:
            number = self._numbers[id(one)] = len(self.known)
            self.known.append(one)
        return number


class CollectiveLog:
    """What became of every collective and of each of its phases: parallel columns, with plans and phases by number."""

    def __init__(self) -> None:
        self.plans: Kinds[CollectivePlan] = Kinds()
        self.phases: Kinds[Phase] = Kinds()
        self.group, self.order, self.plan = array("q"), array("q"), array("q")
        self.queued_ps, self.start_ps, self.end_ps = array("q"), array("q"), array("q")
        self.phase = array("q")
        self.phase_collective = array("q")  # row of the columns above
        self.phase_start_ps, self.phase_end_ps = array("q"), array("q")  # of its draining

    def note_phase(self, collective: int, phase: Phase, start_ps: int, end_ps: int) -> int:
        """Add a phase and return its row."""
        self.phase.append(self.phases.number(phase))
        self.phase_collective.append(collective)
        self.phase_start_ps.append(start_ps)
        self.phase_end_ps.append(end_ps)
        return len(self.phase) - 1

    def note_collective(self, group: int, order: int, plan: CollectivePlan, queued_ps: int, start_ps: int) -> int:
        """Add a collective, whose end is not known yet, and return its row."""
        self.group.append(group)
        self.order.append(order)
        self.plan.append(self.plans.number(plan))
        self.queued_ps.append(queued_ps)
        self.start_ps.append(start_ps)
        self.end_ps.append(-1)
        return len(self.group) - 1

    def noted(self) -> tuple[NotedCollectives, NotedPhases, Ints]:
        """Return all that was noted, in the order of a trace, and where each phase stands there."""
        order = order_by(_column(self.group), _column(self.order))
        collective = _places(order)[_column(self.phase_collective)]
        phase_order = order_by(collective)  # those of one are noted in order
        of_collectives = (self.group, self.order, self.plan, self.queued_ps, self.start_ps, self.end_ps)
        of_phases = (self.phase, self.phase_start_ps, self.phase_end_ps)
        return (
            NotedCollectives(self.plans.known, *(_column(column)[order] for column in of_collectives)),
            NotedPhases(
                self.phases.known, collective[phase_order], *(_column(column)[phase_order] for column in of_phases)
            ),
            _places(phase_order),
        )


def _places(order: Ints) -> Ints:
    """Return where each row comes to stand in an order."""
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    return places


def _column(values: array[int]) -> Ints:
    return np.asarray(values, dtype=np.int64)


@dataclass(slots=True)
class _Gathering:
    """A collective for which not all members have made the call, or whose turn has not come."""

    plan: CollectivePlan
    queued_ps: int = 0
    calls: list[tuple[Mailbox, int]] = field(default_factory=list)  # where each member's arrives, and as what


class Communicator:
    """One group: who has called for what, what is under way, and what comes next.

    Parameters
    ----------
    env
        Simulated time.
    number
        Number of the group in the job.
    group
        Its members and plans.
    cluster
        Whose links the plans name.
    network
        The fair links; None if the group has its links to itself.
    rates
        Where rates are noted.
    first_rank
        Lowest global rank of the group.
    log
        What became of the collectives of all groups.
    first_logged
        Number under which the first phase of the run is noted in the network's rates.
    in_order
        Whether collectives take place in the order of their numbers; else in the order in which all have called.
    """

    def __init__(
        self,
        env: Timeline,
        number: int,
        group: Group,
        cluster: Cluster,
        network: FairNetwork | None,
        rates: RateLog,
        first_rank: int,
        log: CollectiveLog,
        first_logged: int,
        in_order: bool,
    ) -> None:
        self.env, self.number, self.group, self.cluster = env, number, group, cluster
        self.network, self.rates = network, rates
        self.first_rank, self.log, self.first_logged, self.in_order = first_rank, log, first_logged, in_order
        self.waiting: dict[int, _Gathering] = {}
        self.next_order = 0  # where they are in order
        self.free_ps = 0
        self._complete: deque[int] = deque()  # numbers of collectives that all have called for, and that wait
        self._running: _Gathering | None = None
        self._row = -1
        self._phases_left: list[Phase] = []
        self._alone: dict[int, tuple[int, float, int]] = {}  # by phase; it is worked out once, not for every collective

    def join_at(self, order: int, kind: tuple[str, int, int], mailbox: Mailbox, arrives_as: int, time_ps: int) -> None:
        """Let a member call for the collective number `order` at `time_ps`, not before now.

        Members whose micro-batch is short call for less; the group does what the largest asks for.
        """
        plan = self.group.plans[kind]
        gathering = self.waiting.get(order)
        if gathering is None:
            gathering = self.waiting[order] = _Gathering(plan)
        elif plan.size_bytes > gathering.plan.size_bytes:
            gathering.plan = plan
        gathering.queued_ps = max(gathering.queued_ps, time_ps)
        gathering.calls.append((mailbox, arrives_as))
        if len(gathering.calls) == len(self.group.places):
            self._complete.append(order)
            self._start_what_is_next()

    def _start_what_is_next(self) -> None:
        """Start the next collective, if all have called for it and none is under way."""
        while self._running is None and self._complete and (not self.in_order or self.next_order in self._complete):
            order = self.next_order if self.in_order else self._complete[0]
            self._complete.remove(order)
            gathering = self.waiting.pop(order)
            start_ps = max(gathering.queued_ps, self.free_ps)
            self._row = self.log.note_collective(self.number, order, gathering.plan, gathering.queued_ps, start_ps)
            self.next_order += 1
            self._running, self._phases_left = gathering, list(reversed(gathering.plan.phases))
            if self.network is None:
                self._run_alone(start_ps)
            else:
                self._next_phase(start_ps)

    def _run_alone(self, time_ps: int) -> None:
        """Pass through all phases at once: nobody else uses these links."""
        while self._phases_left:
            phase = self._phases_left.pop()
            drain_ps, bytes_per_s, bottleneck = self._alone.get(id(phase)) or self._drained_alone(phase)
            begin_ps = time_ps + phase.latency_ps
            time_ps = begin_ps + drain_ps
            row = self.log.note_phase(self._row, phase, begin_ps, time_ps)
            if drain_ps:
                self.rates.note(self.first_logged + row, begin_ps, bytes_per_s, bottleneck)
        self._finish(time_ps)

    def _drained_alone(self, phase: Phase) -> tuple[int, float, int]:
        """Return how long a phase drains alone [ps], at which rate [bytes/s], and the link that sets it."""
        bandwidths = [self.cluster.links[link].bandwidth_bytes_per_s for link in phase.links]
        rates = [
            (bandwidth / streams, link)
            for bandwidth, streams, link in zip(bandwidths, phase.streams, phase.links, strict=True)
            if bandwidth is not None
        ]
        rate, link = min(rates, key=lambda entry: entry[0], default=(Fraction(0), -1))  # the first of equal ones
        drain_ps = self.cluster.drain_ps(phase.links, phase.streams, phase.volume_bytes)
        self._alone[id(phase)] = drained = (drain_ps, float(rate), link)
        return drained

    def _next_phase(self, time_ps: int) -> None:
        if not self._phases_left:
            self._finish(time_ps)
            return
        assert self.network is not None
        phase = self._phases_left.pop()
        row = self.log.note_phase(self._row, phase, -1, -1)
        draining = Draining(
            self,
            row,
            phase.links,
            phase.streams,
            phase.volume_bytes,
            self.first_rank,
            # After the messages of that rank, by group and then by collective.
            self.first_logged + (self.number << 40) + self.next_order,
            logged_as=self.first_logged + row,
        )
        self.network.join_at(time_ps + phase.latency_ps, draining)

    def begins(self, phase: int, now_ps: int) -> None:
        """Note when a phase begins to drain."""
        self.log.phase_start_ps[phase] = now_ps

    def ends(self, phase: int, now_ps: int) -> None:
        """Go on to the next phase, or finish."""
        self.log.phase_end_ps[phase] = now_ps
        self._next_phase(now_ps)
        self._start_what_is_next()

    def _finish(self, time_ps: int) -> None:
        """Tell every member that the collective is done at `time_ps`."""
        assert self._running is not None
        self.log.end_ps[self._row] = self.free_ps = time_ps
        calls, self._running = self._running.calls, None
        for mailbox, arrives_as in calls:
            mailbox.deliver(arrives_as, time_ps)


class CallTable:
    """What each call of a pipeline asks for; made once for all ranks of all replicas that share it."""

    def __init__(self, pipeline: Pipeline) -> None:
        calls = pipeline.calls
        self.kinds = list(zip(calls.operations, calls.sizes_bytes, calls.num_repeats, strict=True))
        self.orders, self.num_messages = calls.orders, len(pipeline.messages)


class Port:
    """Where one rank makes its calls on one axis."""

    def __init__(self, communicator: Communicator, mailbox: Mailbox, calls: CallTable) -> None:
        self.communicator, self.mailbox, self.calls = communicator, mailbox, calls

    def join(self, call: int) -> None:
        """Make a call now."""
        self.join_at(call, self.communicator.env._now)

    def join_at(self, call: int, time_ps: int) -> None:
        """Make a call at `time_ps`, not before now."""
        calls = self.calls
        arrives_as = calls.num_messages + call
        self.communicator.join_at(calls.orders[call], calls.kinds[call], self.mailbox, arrives_as, time_ps)


Ports = dict[str, Port]
"""The ports of one rank, by axis."""


def ports_of(
    communicators: Sequence[Communicator], mailboxes: Sequence[Mailbox], pipelines: Sequence[Pipeline]
) -> dict[Place, Ports]:
    """Return the ports of every rank that belongs to a group."""
    ports: dict[Place, Ports] = {}
    tables = {id(pipeline): CallTable(pipeline) for pipeline in {id(one): one for one in pipelines}.values()}
    for communicator in communicators:
        for place in communicator.group.places:
            port = Port(communicator, mailboxes[place.replica], tables[id(pipelines[place.replica])])
            ports.setdefault(place, {})[communicator.group.axis] = port
    return ports
