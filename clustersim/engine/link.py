"""FIFO links: servers, one SimPy process each, made when first used.

A message holds each link of its route in turn for bytes / bandwidth; the latency follows and occupies nothing. A link
is *private* if messages can reach it in one order only, the order in which they are sent; its process is then resumed
by the sender itself and costs no event. On a *shared* link the order is known only when the time comes, so each
message's arrival there is an event of its own, ties resolved by sender rank and then by op.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from simpy.events import Event, Process

from clustersim.engine.clock import Hold, Timeline
from clustersim.topology.cluster import Link

# Of events at one time, ends of ops come first (they have SimPy's normal priority, 1), then arrivals at shared links.
_ARRIVAL_PRIORITY = 2
_MESSAGES_PER_RANK = 2**40


def arrival_priority(rank: int, message: int) -> int:
    """Return the priority of an arrival at a shared link: among equal times, by sender rank and then by op."""
    return _ARRIVAL_PRIORITY + rank * _MESSAGES_PER_RANK + message


class Mailbox:
    """The messages of one replica: when each started and arrived (-1: not known yet), and who waits for it."""

    __slots__ = ("arrived", "other_waiter", "queued", "started", "waiter")

    def __init__(self, num_messages: int) -> None:
        self.queued = [-1] * num_messages  # blocking: when the first side posted, then when both had
        self.started = [-1] * num_messages
        self.arrived = [*[-1] * num_messages, 0]  # rows that wait for no message, -1, find the last
        self.waiter: list[Any] = [None] * num_messages  # a Hold, or what notes an arrival as it does
        self.other_waiter: dict[int, Hold] = {}  # both sides of a rendezvous may wait for its end

    def deliver(self, message: int, time_ps: int) -> None:
        """Note the arrival of `message` at `time_ps` and tell whoever waits for it."""
        self.arrived[message] = time_ps
        waiter = self.waiter[message]
        if waiter is not None:
            waiter.note_arrival(time_ps)
        if message in self.other_waiter:
            self.other_waiter[message].note_arrival(time_ps)


class LinkProcess(Process):
    """The SimPy process of one link; whoever brings a message resumes it."""

    def __init__(self, env: Timeline, link: Link, is_private: bool) -> None:
        Event.__init__(self, env)
        self.link, self.is_private = link, is_private
        self.queued_ps = 0  # time that messages waited here, summed
        self._target = self

    def start(self, generator: Generator[Any, Any, None]) -> Callable[[Any], Any]:
        """Run `generator` to its first yield and return what resumes it; SimPy's own start would cost an event."""
        self._generator = generator
        next(generator)
        return generator.send


class DirectRoute:
    """A route of one private link, the common case: the sender resumes the link, which knows the arrival at once."""

    def __init__(self, env: Timeline, process: LinkProcess, mailbox: Mailbox) -> None:
        self.links = (process,)
        self.carry = process.start(_carry(env, process, mailbox))

    def hold_ps(self, size_bytes: int) -> int:
        """Return how long a message holds the link. [ps]"""
        return self.links[0].link.hold_ps(size_bytes)

    def parcel(self, message: int, hold_ps: Any, _sender: int) -> tuple[int, int]:
        """Return what ``carry`` takes when the message is sent."""
        return message, hold_ps


def _carry(env: Timeline, process: LinkProcess, mailbox: Mailbox) -> Generator[None, tuple[int, int], None]:
    """Serve the messages of one sender in turn: take one, note its times, tell who waits; a hot path."""
    started, arrived, waiters = mailbox.started, mailbox.arrived, mailbox.waiter
    wake, latency_ps = env.wake, process.link.latency_ps
    free_at = 0
    while True:
        message, hold_ps = yield
        start = env._now
        if free_at > start:
            process.queued_ps += free_at - start
            start = free_at
        started[message] = start
        free_at = start + hold_ps
        arrived[message] = end = free_at + latency_ps
        waiter = waiters[message]
        if waiter is not None:  # what Hold.note_arrival does, without two calls
            if end > waiter.ready:
                waiter.ready = end
            waiter.missing -= 1
            if not waiter.missing:
                wake(waiter, waiter.ready + waiter.duration)


class LinkServer(LinkProcess):
    """A link of any other route; ``serve((arrival_ps, hold_ps))`` resumes it and returns when the message starts."""

    def __init__(self, env: Timeline, link: Link, is_private: bool) -> None:
        super().__init__(env, link, is_private)
        self.serve: Callable[[tuple[int, int]], int] = self.start(self._serve_forever())

    def _serve_forever(self) -> Generator[int, tuple[int, int], None]:
        free_at = start = 0
        while True:
            arrival, hold_ps = yield start
            start = max(arrival, free_at)
            self.queued_ps += start - arrival
            free_at = start + hold_ps


Holds = tuple[int, ...]


class LongRoute:
    """Any other route: several links, or shared ones, or messages whose time is not now."""

    def __init__(self, env: Timeline, links: tuple[LinkServer, ...], mailbox: Mailbox) -> None:
        self.env, self.links, self.mailbox = env, links, mailbox

    def hold_ps(self, size_bytes: int) -> Holds:
        """Return how long a message holds each link. [ps]"""
        return tuple(process.link.hold_ps(size_bytes) for process in self.links)

    def parcel(self, message: int, hold_ps: Any, sender: int) -> tuple[int, Holds, int]:
        """Return what ``carry`` takes when the message is sent; `sender` is a global rank."""
        return message, hold_ps, arrival_priority(sender, message)

    def carry(self, parcel: Any) -> None:
        """Send a message now."""
        message, holds_ps, priority = parcel
        self.advance(message, 0, self.env.now, holds_ps, priority)

    def carry_at(self, parcel: Any, time_ps: int) -> None:
        """Send a message at `time_ps`, not before now."""
        message, holds_ps, priority = parcel
        self.advance(message, 0, time_ps, holds_ps, priority)

    def advance(self, message: int, hop: int, time_ps: int, holds_ps: Holds, priority: int) -> None:
        """Take the message from `hop` on as far as its times are known."""
        while hop < len(self.links):
            if not self.links[hop].is_private:
                self.env.wake(_Arrival(self, message, hop, holds_ps, priority), time_ps, priority)
                return
            time_ps = self.pass_link(message, hop, time_ps, holds_ps)
            hop += 1
        self.mailbox.deliver(message, time_ps)

    def pass_link(self, message: int, hop: int, time_ps: int, holds_ps: Holds) -> int:
        """Let the message hold one link; return when it reaches the next. [ps]"""
        server = self.links[hop]
        start = server.serve((time_ps, holds_ps[hop]))
        if hop == 0:
            self.mailbox.started[message] = start
        return start + holds_ps[hop] + server.link.latency_ps


class _Arrival(Event):
    """A message reaches a shared link: only now is it known who came first."""

    def __init__(self, route: LongRoute, message: int, hop: int, holds_ps: Holds, priority: int) -> None:
        super().__init__(route.env)
        self._ok = True
        self._value = None
        self.route, self.message, self.hop, self.holds_ps, self.priority = route, message, hop, holds_ps, priority
        self.callbacks = [self._arrive]

    def _arrive(self, _event: Event) -> None:
        time_ps = self.route.pass_link(self.message, self.hop, self.route.env.now, self.holds_ps)
        self.route.advance(self.message, self.hop + 1, time_ps, self.holds_ps, self.priority)
