"""GPUs: one SimPy process each, which works through its program and yields once an op.

Two forms, by how point-to-point messages travel: asynchronous sends that leave when their op ends, or blocking
exchanges in which both sides take part. In both, a GPU that must wait is woken straight at the *end* of the op that
follows the wait.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from clustersim.engine.clock import Actor, Hold, Timeline
from clustersim.engine.group import Ports
from clustersim.engine.link import DirectRoute, Mailbox
from clustersim.engine.route import Route
from clustersim.ops import Calls, Kind, Messages, Program


class Barrier:
    """Where every rank of the job waits for the last one, once a step."""

    def __init__(self, num_members: int) -> None:
        self.num_members = num_members
        self.waiting: list[Hold] = []

    def arrive(self, hold: Hold, time_ps: int) -> None:
        """Let one more member arrive; the last one wakes them all."""
        hold.missing, hold.ready, hold.duration = 1, time_ps, 0
        self.waiting.append(hold)
        if len(self.waiting) == self.num_members:
            arrived, self.waiting = self.waiting, []
            for member in arrived:
                member.note_arrival(time_ps)


@dataclass(slots=True)
class Gpu:
    """One simulated GPU: its place, its program, its wake-up, and the start of each row so far.

    Where starts are not noted one by one, ``begun`` says of a run that is over how many rows were begun.
    """

    pp_rank: int
    rank_by_pp_rank: tuple[int, ...]  # global ranks of its replica
    program: Program
    hold: Hold
    mailbox: Mailbox
    barrier: Barrier
    ports: Ports
    actor: Actor | None = None  # its SimPy process
    starts: list[int] = field(default_factory=list)
    begun: int | None = None

    @property
    def rank(self) -> int:
        """Global rank."""
        return self.rank_by_pp_rank[self.pp_rank]

    @property
    def num_begun(self) -> int:
        """How many rows it has begun, which is the row at which it stands."""
        return len(self.starts) if self.begun is None else self.begun

    @property
    def is_done(self) -> bool:
        """Whether it has come to the end of its program."""
        return self.num_begun == len(self.program)

    def arrivals_of(self, row: int, num_messages: int) -> tuple[int, ...]:
        """Return where in the mailbox all that a row waits for arrives: messages first, then calls."""
        awaits = self.program.awaits[row]
        return self.program.waits_for[row] + tuple([num_messages + call for call in awaits] if awaits else ())

    def wait_for(self, arrives_as: int) -> None:
        """Let the hold wait for one more arrival, or take note of when it was."""
        arrival = self.mailbox.arrived[arrives_as]
        if arrival < 0:
            self.mailbox.waiter[arrives_as] = self.hold
            self.hold.missing += 1
        else:
            self.hold.ready = max(self.hold.ready, arrival)

    def end(self) -> None:
        """End the SimPy process; its generator yields once more and is not resumed."""
        if self.actor is not None:
            self.actor.succeed()


Carry = Callable[[Any], Any]


class _Extra(NamedTuple):
    """What few rows have: more than one thing to wait for or to send, or a barrier to meet."""

    needs: tuple[int, ...] = ()
    sends: tuple[tuple[Carry, Any], ...] = ()
    is_barrier: bool = False


PlanRow = tuple[int, int, Carry | None, Any, _Extra | None]  # duration, awaited arrival or -1, how and what to send


def asynchronous_plan(
    gpu: Gpu, messages: Messages, calls: Calls, routes: dict[tuple[int, int], Route]
) -> list[PlanRow]:
    """Return the rows of a program with routes and link times filled in, and calls as further things to send."""
    program, pp_rank, rank = gpu.program, gpu.pp_rank, gpu.rank
    destinations, sizes = messages.destinations, messages.sizes_bytes
    ways: dict[tuple[int, int], tuple[Route, Any]] = {}

    def outgoing(number: int) -> tuple[Carry, Any]:
        key = (destinations[number], sizes[number])
        if key not in ways:
            route = routes[pp_rank, destinations[number]]
            ways[key] = (route, route.hold_ps(sizes[number]))
        route, hold = ways[key]
        return route.carry, route.parcel(number, hold, rank)

    rows: list[PlanRow] = []
    num_messages, axes = len(messages), calls.axes
    join_by_axis = {axis: port.join for axis, port in gpu.ports.items()}
    columns = (program.durations_ps, program.kinds, program.waits_for, program.sends, program.joins, program.awaits)
    for duration, kind, needs, sends, joins, awaits in zip(*columns, strict=True):
        extra = None
        if awaits:
            needs += tuple([num_messages + call for call in awaits])
        if kind is not Kind.BARRIER and len(needs) < 2 and len(sends) + len(joins) < 2:
            carry, parcel = outgoing(sends[0]) if sends else (None, None)
            if joins:
                carry, parcel = join_by_axis[axes[joins[0]]], joins[0]
            rows.append((duration, needs[0] if needs else -1, carry, parcel, None))
            continue
        outgoings = [*map(outgoing, sends), *[(join_by_axis[axes[call]], call) for call in joins]]
        if kind is Kind.BARRIER or len(needs) > 1 or len(outgoings) > 1:
            extra = _Extra(needs[1:], tuple(outgoings[1:]), kind is Kind.BARRIER)
        carry, parcel = outgoings[0] if outgoings else (None, None)
        rows.append((duration, needs[0] if needs else -1, carry, parcel, extra))
    return rows


def asynchronous_gpu(env: Timeline, gpu: Gpu, plan: list[PlanRow]) -> Generator[Hold, Any, None]:
    """Run a program whose sends start when their op ends and whose receives are posted early; the hottest path."""
    hold, note_start, wake = gpu.hold, gpu.starts.append, env.wake
    arrived, waiters = gpu.mailbox.arrived, gpu.mailbox.waiter
    for duration, need, carry, parcel, extra in plan:
        start = env._now
        missing = 0
        if need >= 0:
            arrival = arrived[need]
            if arrival < 0:
                waiters[need] = hold
                missing = 1
            elif arrival > start:
                start = arrival
        if extra is not None:
            for other in extra.needs:
                arrival = arrived[other]
                if arrival < 0:
                    waiters[other] = hold
                    missing += 1
                elif arrival > start:
                    start = arrival
            if extra.is_barrier:
                gpu.barrier.arrive(hold, start)
                yield hold
                note_start(hold.ready)
                continue
        if missing:
            hold.missing = missing
            hold.ready = start
            hold.duration = duration
            yield hold
            note_start(hold.ready)
        else:
            wake(hold, start + duration)
            yield hold
            note_start(start)
        if carry is not None:
            carry(parcel)
            if extra is not None:
                for carry_other, other_parcel in extra.sends:
                    carry_other(other_parcel)
    gpu.end()
    yield hold


class _Stop(NamedTuple):
    """An exchange, a barrier, a collective, or neither, and the op right after it, or none: what one wake-up covers."""

    batch: tuple[int, ...]
    kind: Kind | None
    duration: int | None
    joins: tuple[int, ...] = ()
    awaits: tuple[int, ...] = ()


def _stops(program: Program) -> list[_Stop]:
    stops: list[_Stop] = []
    for row, (kind, duration, batch) in enumerate(
        zip(program.kinds, program.durations_ps, program.waits_for, strict=True)
    ):
        joins, awaits = program.joins[row], program.awaits[row]
        if kind is Kind.EXCHANGE or kind is Kind.BARRIER or kind is Kind.COLLECTIVE:
            stops.append(_Stop(batch, kind, None, joins, awaits))
        elif stops and stops[-1].batch and stops[-1].duration is None and not awaits:
            stops[-1] = stops[-1]._replace(duration=duration, joins=joins)
        else:
            stops.append(_Stop((), None, duration, joins, awaits))
    return stops


def blocking_gpu(
    env: Timeline, gpu: Gpu, messages: Messages, calls: Calls, routes: dict[tuple[int, int], Route]
) -> Generator[Hold, Any, None]:
    """Run a program with rendezvous exchanges.

    When an exchange is known to end later than now, the process does not sleep until then: its clock runs ahead, and it
    posts the next exchange, or makes the next call, for that time.
    """
    hold, starts = gpu.hold, gpu.starts
    clock = 0
    for batch, kind, duration, joins, awaits in _stops(gpu.program):
        if kind is Kind.BARRIER:
            if clock > env.now:  # the barrier is a matter of the whole job: catch up with it first
                env.wake(hold, clock)
                yield hold
            gpu.barrier.arrive(hold, clock)
            yield hold
            clock = hold.ready
            starts.append(clock)
            continue
        hold.ready, hold.duration = clock, duration or 0
        hold.missing = 1  # so that nothing wakes it before its whole batch is posted
        for number in batch:
            _post(gpu, number, messages, routes, clock)
        for call in awaits:
            gpu.wait_for(len(messages) + call)
        hold.missing -= 1
        if hold.missing:
            yield hold
        elif duration is not None:
            env.wake(hold, hold.ready + duration)
            yield hold
        clock = hold.ready
        if batch or kind is Kind.COLLECTIVE:
            starts.append(clock)
        if duration is not None:
            starts.append(clock)
            clock += duration
        for call in joins:
            gpu.ports[calls.axes[call]].join_at(call, clock)
    gpu.end()
    yield hold


def _post(gpu: Gpu, number: int, messages: Messages, routes: dict[tuple[int, int], Route], clock: int) -> None:
    """Post one side of a message; the second side starts it, at the later of the two times."""
    mailbox, hold = gpu.mailbox, gpu.hold
    if mailbox.waiter[number] is None:
        mailbox.waiter[number] = hold
        mailbox.queued[number] = clock
        hold.missing += 1
        return
    mailbox.queued[number] = queued = max(clock, mailbox.queued[number])
    source = messages.sources[number]
    route = routes[source, messages.destinations[number]]
    assert not isinstance(route, DirectRoute)  # the network makes none in this mode
    mailbox.other_waiter[number] = hold
    hold.missing += 1
    parcel = route.parcel(number, route.hold_ps(messages.sizes_bytes[number]), gpu.rank_by_pp_rank[source])
    route.carry_at(parcel, queued)
