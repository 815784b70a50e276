"""A GPU in time order whose program exchanges nothing but messages over private links: an event an op, and little else.

It does what :func:`clustersim.engine.gpu.asynchronous_gpu` does, from rows of numbers.
"""

from __future__ import annotations

from collections.abc import Generator
from heapq import heappush
from typing import Any

from simpy.events import NORMAL

from clustersim.engine.clock import Hold, Timeline
from clustersim.engine.gpu import Gpu
from clustersim.engine.plain_rows import PlainRows, Unusual
from clustersim.engine.route import Route


class PlainReplica:
    """What the GPUs of one replica share: their rows, and the routes between them."""

    def __init__(self, env: Timeline, rows: PlainRows, routes: dict[tuple[int, int], Route]) -> None:
        self.env, self.rows = env, rows
        timing = rows.timing
        self.way_of_message = timing.way_of_message
        kinds, _ = timing.columns.kinds_of_messages
        self.route_of_way = [routes[source, destination] for source, destination, _ in kinds]
        self.hold_of_way = [
            route.hold_ps(size_bytes) for route, (_, _, size_bytes) in zip(self.route_of_way, kinds, strict=True)
        ]

    def gpu(self, gpu: Gpu) -> Generator[Hold, Any, None]:
        """Run a program whose sends start when their op ends and whose receives are posted early; a hot path."""
        env, hold, note_start, mailbox = self.env, gpu.hold, gpu.starts.append, gpu.mailbox
        queue, numbers = env._queue, env._eid
        started, arrived, waiters = mailbox.started, mailbox.arrived, mailbox.waiter
        for rows, unusual in self.rows.pieces(gpu.pp_rank):
            for duration, need, message, delay in rows:
                start, arrival = env._now, arrived[need]
                if arrival >= 0:
                    if arrival > start:
                        start = arrival
                    heappush(queue, (start + duration, NORMAL, next(numbers), hold))
                    yield hold
                    note_start(start)
                else:
                    waiters[need] = hold
                    hold.missing = 1
                    hold.ready = start
                    hold.duration = duration
                    yield hold
                    note_start(hold.ready)
                if message >= 0:
                    if delay < 0:
                        self.send(message, gpu.rank)
                        continue
                    # Nothing is on the link: what its process would do, without resuming it.
                    started[message] = end = env._now
                    arrived[message] = end = end + delay
                    waiter = waiters[message]
                    if waiter is not None:
                        if end > waiter.ready:
                            waiter.ready = end
                        waiter.missing -= 1
                        if not waiter.missing:
                            heappush(queue, (waiter.ready + waiter.duration, NORMAL, next(numbers), waiter))
            if unusual is not None:
                yield from self._unusual(gpu, unusual)
        gpu.end()
        yield hold

    def _unusual(self, gpu: Gpu, row: Unusual) -> Generator[Hold, Any, None]:
        """Run a row that waits for or sends several messages, sends over several links, or is a barrier."""
        hold = gpu.hold
        hold.missing, hold.ready, hold.duration = 1, self.env.now, row.duration_ps
        for need in row.needs:
            gpu.wait_for(need)
        if row.is_barrier:
            gpu.barrier.arrive(hold, hold.ready)
        else:
            hold.note_arrival(hold.ready)  # all that it waits for is known
        yield hold
        gpu.starts.append(hold.ready)
        for message in row.sends:
            self.send(message, gpu.rank)

    def send(self, message: int, rank: int) -> None:
        """Let the link take a message, or have it wait there."""
        way = self.way_of_message.item(message)
        route = self.route_of_way[way]
        route.carry(route.parcel(message, self.hold_of_way[way], rank))
