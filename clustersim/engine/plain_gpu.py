"""A GPU in time order whose program exchanges nothing but messages over private links: an event an op, and little else.

It does what :func:`clustersim.engine.gpu.asynchronous_gpu` does, from rows of numbers.
"""

from __future__ import annotations

from collections.abc import Generator
from heapq import heappush
from itertools import repeat
from typing import Any

import numpy as np

from clustersim.engine.clock import Hold, Timeline
from clustersim.engine.gpu import Gpu
from clustersim.engine.link import Mailbox
from clustersim.engine.plain_rows import PlainRows, Unusual
from clustersim.engine.plain_times import PlainTimes
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
        self._times = PlainTimes(rows)
        self._gpus: list[Gpu] = []
        self._num_done = 0

    def gpu(self, gpu: Gpu) -> Generator[Hold, Any, None]:
        """Return the process of the next GPU: its sends start when their op ends and its receives are posted early."""
        self._gpus.append(gpu)
        return self._run(gpu)

    def _run(self, gpu: Gpu) -> Generator[Hold, Any, None]:
        """Run the program of a GPU; a hot path, which does twice what ``Timeline.call_at`` does, without two calls."""
        env, hold, calls_at, times = self.env, gpu.hold, self.env.calls_at, self.env.times
        resume = hold.resume
        arrived, waiters = self.mailbox.arrived, self.mailbox.waiter
        ends = self._times.none_yet()
        only_delay = self.rows.only_delay_ps(gpu.pp_rank)
        for rows, unusual in self.rows.pieces(gpu.pp_rank):
            delays = self.rows.delays(rows) if only_delay is None else repeat(only_delay)
            now = env._now
            for duration, need, message, delay in self.rows.usual(rows, delays):
                arrival = arrived[need]
                if arrival >= 0:
                    end = (arrival if arrival > now else now) + duration
                    if end in calls_at:
                        calls_at[end].append(resume)
                    else:
                        calls_at[end] = [resume]
                        heappush(times, end)
                else:
                    waiters[need] = hold
                    hold.missing = 1
                    hold.ready = now
                    hold.duration = duration
                now = yield hold
                ends.append(now)
                arrived[need] = 0  # nobody else looks at it: the memory of its number is used again
                if message >= 0:
                    if delay < 0:
                        self._send(message, gpu.rank)
                        continue
                    # Nothing is on the link: what its process would do, without resuming it.
                    arrived[message] = arrival = now + delay
                    waiter = waiters[message]
                    if waiter is not None:
                        if waiter.missing > 1:
                            waiter.note_arrival(arrival)
                            continue
                        ready = waiter.ready
                        end = (arrival if arrival > ready else ready) + waiter.duration
                        if end in calls_at:
                            calls_at[end].append(waiter.resume)
                        else:
                            calls_at[end] = [waiter.resume]
                            heappush(times, end)
            if ends:
                self._times.note_ends(rows, ends)
            if unusual is not None:
                yield from self._unusual(rows.stop, unusual, gpu)
        self._num_done += 1
        gpu.end()
        yield hold

    def _unusual(self, number: int, row: Unusual, gpu: Gpu) -> Generator[Hold, Any, None]:
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
        self._times.starts_ps[number] = self.env.now - row.duration_ps
        for message in row.sends:
            self._send(message, gpu.rank)

    def _send(self, message: int, rank: int) -> None:
        """Let the link take a message, or have it wait there."""
        way = self.way_of_message.item(message)
        route = self.route_of_way[way]
        route.carry(route.parcel(message, self.hold_of_way[way], rank))
        self._times.arrived_ps[message] = self.mailbox.arrived[message]
        if len(route.links) > 1:
            self._times.started_ps[message] = self.mailbox.started[message]

    def is_done(self) -> bool:
        """Return whether every GPU has come to its end."""
        return self._num_done == len(self._gpus)

    def tell_where_stuck(self) -> None:
        """Tell each GPU how many of its rows it began."""
        arrived = np.fromiter(self.mailbox.arrived, np.int64, len(self.mailbox.arrived))
        for gpu in self._gpus:
            gpu.begun = self._times.num_begun(gpu.pp_rank, arrived)

    def times_ps(self) -> tuple[Ints, Ints, Ints]:
        """Return the starts of all rows, rank after rank, and when each message started and arrived. [ps]"""
        return self._times.starts_ps, *self._times.of_messages()
