"""The simulator that one writes first with SimPy: a process per transfer, a Resource and a Store per link.

The benchmark compares the engine with it; its makespan must be the same.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

from clustersim.ops import Kind, Schedule


def naive_makespan(
    schedule: Schedule, forward: int, backward: int, hold: int, latency: int, num_replicas: int = 1
) -> tuple[int, int]:
    """Return (makespan, number of SimPy events) of replicas of a schedule of F and B with equal stages and links."""
    env = simpy.Environment()
    ranks = [
        rank
        for _ in range(num_replicas)
        for rank in _pipeline(env, schedule, (forward, backward), (hold, latency))
    ]  # fmt: skip
    env.run(simpy.AllOf(env, ranks))
    return int(env.now), next(env._eid)


def _pipeline(
    env: simpy.Environment, schedule: Schedule, durations: tuple[int, int], times: tuple[int, int]
) -> list[simpy.Process]:
    """Start the processes of one replica and return those of its ranks."""
    p = schedule.num_stages
    forward, backward = durations
    hold, latency = times
    stores: dict[tuple[int, int], simpy.Store] = {}
    wires: dict[tuple[int, int], simpy.Resource] = {}
    for stage in range(p):
        for neighbour in (stage - 1, stage + 1):
            stores[stage, neighbour] = simpy.Store(env)
            wires[stage, neighbour] = simpy.Resource(env, capacity=1)

    def transfer(source: int, destination: int, item: int) -> Generator[Any, Any, None]:
        with wires[source, destination].request() as turn:
            yield turn
            yield env.timeout(hold)
        yield env.timeout(latency)
        yield stores[source, destination].put(item)

    def gpu(rank: int) -> Generator[Any, Any, None]:
        for action in schedule.orders[rank]:
            upstream = rank - 1 if action.kind is Kind.F else rank + 1
            if 0 <= upstream < p:
                yield stores[upstream, rank].get()
            yield env.timeout(forward if action.kind is Kind.F else backward)
            downstream = rank + 1 if action.kind is Kind.F else rank - 1
            if 0 <= downstream < p:
                env.process(transfer(rank, downstream, action.microbatch))

    return [env.process(gpu(rank)) for rank in range(p)]
