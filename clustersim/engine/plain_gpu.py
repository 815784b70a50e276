"""A GPU in time order whose program exchanges nothing but messages over private links: an event an op, and little else.

It does what :func:`clustersim.engine.gpu.asynchronous_gpu` does, from rows of numbers, and notes arrivals alone.
"""

from __future__ import annotations

from collections.abc import Generator
from heapq import heappush
from itertools import chain, repeat
from typing import Any

import numpy as np

from clustersim.engine.clock import Hold, Timeline
from clustersim.engine.gpu import Gpu
from clustersim.engine.link import Mailbox
from clustersim.engine.plain_rows import PlainRows, Unusual
from clustersim.engine.route import Route
from clustersim.trace import Ints


class PlainReplica:
    """What the GPUs of one replica share: their rows, the routes between them, and where their messages arrive."""

    def __init__(self, env: Timeline, rows: PlainRows, routes: dict[tuple[int, int], Route], mailbox: Mailbox) -> None:
        self.env, self.rows, self.mailbox = env, rows, mailbox
        timing = rows.timing
        self.way_of_message = timing.way_of_message
        kinds, _ = timing.columns.kinds_of_messages
        self.route_of_way = [routes[source, destination] for source, destination, _ in kinds]
        self.hold_of_way = [
            route.hold_ps(size_bytes) for route, (_, _, size_bytes) in zip(self.route_of_way, kinds, strict=True)
        ]
        self._releases_ps: list[list[int]] = [[] for _ in range(timing.columns.num_ranks)]  # of the barrier
        self._gpus: list[Gpu] = []
        self._num_done = 0

    def gpu(self, gpu: Gpu) -> Generator[Hold, Any, None]:
        """Return the process of the next GPU: its sends start when their op ends and its receives are posted early."""
        self._gpus.append(gpu)
        return self._run(gpu)

    def _run(self, gpu: Gpu) -> Generator[Hold, Any, None]:
        """Run the program of a GPU; a hot path."""
        env, hold, events_at, times = self.env, gpu.hold, self.env.events_at, self.env.times
        arrived, waiters = self.mailbox.arrived, self.mailbox.waiter
        only_delay = self.rows.only_delay_ps(gpu.pp_rank)
        for rows, unusual in self.rows.pieces(gpu.pp_rank):
            delays = self.rows.delays(rows) if only_delay is None else repeat(only_delay)
            for (duration, need, message), delay in zip(self.rows.usual(rows), delays, strict=False):
                now, arrival = env._now, arrived[need]
                if arrival >= 0:
                    end = (arrival if arrival > now else now) + duration
                    if end in events_at:  # what Timeline.wake does, without a call
                        events_at[end].append(hold)
                    else:
                        events_at[end] = [hold]
                        heappush(times, end)
                else:
                    waiters[need] = hold
                    hold.missing = 1
                    hold.ready = now
                    hold.duration = duration
                yield hold
                if message >= 0:
                    if delay < 0:
                        self._send(message, gpu.rank)
                        continue
                    # Nothing is on the link: what its process would do, without resuming it.
                    arrived[message] = arrival = env._now + delay
                    waiter = waiters[message]
                    if waiter is not None:
                        if arrival > waiter.ready:
                            waiter.ready = arrival
                        waiter.missing -= 1
                        if not waiter.missing:
                            end = waiter.ready + waiter.duration
                            if end in events_at:
                                events_at[end].append(waiter)
                            else:
                                events_at[end] = [waiter]
                                heappush(times, end)
            if unusual is not None:
                yield from self._unusual(gpu, unusual)
        self._num_done += 1
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
        if row.is_barrier:
            self._releases_ps[gpu.pp_rank].append(hold.ready)
        for message in row.sends:
            self._send(message, gpu.rank)

    def _send(self, message: int, rank: int) -> None:
        """Let the link take a message, or have it wait there."""
        way = self.way_of_message.item(message)
        route = self.route_of_way[way]
        route.carry(route.parcel(message, self.hold_of_way[way], rank))

    def is_done(self) -> bool:
        """Return whether every GPU has come to its end."""
        return self._num_done == len(self._gpus)

    def tell_where_stuck(self) -> None:
        """Tell each GPU how many of its rows it began."""
        arrived = self._arrived_ps()
        for gpu, releases_ps in zip(self._gpus, self._releases_ps, strict=True):
            gpu.begun = self.rows.num_begun(gpu.pp_rank, arrived, len(releases_ps))

    def times_ps(self) -> tuple[Ints, Ints, Ints]:
        """Return the starts of all rows, rank after rank, and when each message started and arrived. [ps]"""
        arrived = self._arrived_ps()
        starts = self.rows.starts_ps(arrived, chain.from_iterable(self._releases_ps))
        started = self.rows.started_ps(arrived, self.mailbox.started.__getitem__)
        return starts, started, arrived[:-1]

    def _arrived_ps(self) -> Ints:
        """Return when each message arrived, and the 0 of rows that wait for none at the end."""
        return np.fromiter(self.mailbox.arrived, np.int64, len(self.mailbox.arrived))
