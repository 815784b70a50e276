"""From what a run noted (starts of rows, starts and arrivals of messages) to the columns of a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import chain

import numpy as np

from clustersim.columns import joined, taken
from clustersim.engine.network import Network
from clustersim.engine.noted import Noted
from clustersim.engine.noted_groups import NotedRates
from clustersim.engine.record_groups import GroupRecord
from clustersim.engine.record_links import (
    Loads,
    lasting,
    link_columns,
    phase_ways,
    rate_columns,
    slowed_by_link_ps,
)
from clustersim.engine.record_parts import Parts, can_be_parted, ops_table, transfers_table
from clustersim.engine.record_programs import Stack, columns_by_replica, ints
from clustersim.later import later
from clustersim.ops import Job
from clustersim.topology.discipline import Links as LinkNumbers
from clustersim.topology.discipline import Pair
from clustersim.trace import Ints, Links, Phases, Ranks, Rates, Split, Trace, Transfers


def record(network: Network, noted: Noted) -> Trace:
    """Return the trace of a finished run."""
    job = noted.job
    stack = Stack(columns_by_replica(job.pipelines))
    groups = GroupRecord(job, stack.columns, noted.collectives, noted.phases)
    ops = ops_table(stack, noted.starts_ps, groups if job.groups else None)
    routes = Routes(network, job, network.link_ids)
    loads = Loads(routes.links, routes.loads(stack), *groups.kinds_of_phases)
    queued_ps = noted.queued_ps
    if queued_ps is None and all(routes.links) and not (network.fair_links or any(noted.link_queued_ps.values())):
        queued_ps = noted.started_ps  # nothing ever waited for a link
    transfers = transfers_table(
        stack,
        ops,
        queued_ps,
        noted.started_ps,
        noted.arrived_ps,
        later(lambda: routes.numbers(stack)),
        later(lambda: routes.first_holds_ps(stack)),
    )
    phases = groups.phases(loads)
    links, rates = _links(network, loads, transfers, phases, noted.rates, noted.link_queued_ps)
    trace = Trace(
        ranks_table(job, stack.first_op),
        ops,
        transfers,
        groups.collectives(),
        phases,
        links,
        rates,
        routes.names,
        phase_ways(loads),
        groups.groups(stack.first_rank),
        job.num_steps,
        int(stack.last_ends_ps(noted.starts_ps).max(initial=0)),
        noted.num_events,
        job.fragmentation,
        job.logits_shares,
        noted.engine,
    )
    if len(job.pipelines) == 1 or not can_be_parted(trace.collectives, phases, rates):
        return trace
    apart = Parts(stack, trace, queued_ps)
    return replace(trace, split=Split(ops, transfers, apart.parts, apart.of_replicas))


def ranks_table(job: Job, first_op: Ints) -> Ranks:
    """Return the GPUs of a job, replica after replica."""
    sizes = [len(ranks) for ranks in job.ranks]
    static = {id(rows): np.array(rows, dtype=np.int64).reshape(-1, 5) for rows in job.static_bytes}
    weights, gradients, optimizer, buffers, framework = np.concatenate(
        [static[id(rows)] for rows in job.static_bytes]
    ).T
    return Ranks(
        rank=ints(chain.from_iterable(job.ranks)),
        replica=np.repeat(np.arange(len(sizes)), sizes),
        pp_rank=ints(chain.from_iterable(map(range, sizes))),
        gpu=ints(chain.from_iterable(job.gpus)),
        first_op=first_op,
        weights_bytes=weights.copy(),
        gradients_bytes=gradients.copy(),
        optimizer_bytes=optimizer.copy(),
        buffers_bytes=buffers.copy(),
        framework_bytes=framework.copy(),
    )


class Routes:
    """Every pair of GPUs that talk, numbered as in `link_ids`, with the links between them."""

    def __init__(self, network: Network, job: Job, link_ids: Mapping[Pair, LinkNumbers]) -> None:
        self.network, self.job = network, job
        self.number = {pair: number for number, pair in enumerate(link_ids)}
        self.links = tuple(link_ids.values())
        self.names = tuple(tuple([network.link(link).name for link in links]) for links in self.links)

    def loads(self, stack: Stack) -> Iterable[tuple[int, int, int]]:
        """Yield (route, size [bytes], how many messages), replica after replica."""
        traffic: dict[int, list[tuple[tuple[int, int, int], int]]] = {}
        for replica, columns in enumerate(stack.columns):
            if id(columns) not in traffic:
                kinds, of_message = columns.kinds_of_messages
                traffic[id(columns)] = list(zip(kinds, np.bincount(of_message).tolist(), strict=True))
            numbers = self._by_ranks(replica)
            for (source, destination, size_bytes), count in traffic[id(columns)]:
                yield numbers[source, destination], size_bytes, count

    def numbers(self, stack: Stack) -> Ints:
        """Return the route of every message, replica after replica."""
        return self._of_messages(stack, lambda route, _size_bytes: route)

    def first_holds_ps(self, stack: Stack) -> Ints:
        """Return how long each message held the first link of its route; 0 for flows, which hold none. [ps]"""
        return self._of_messages(stack, self._first_hold_ps)

    def _of_messages(self, stack: Stack, of_kind: Callable[[int, int], int]) -> Ints:
        """Return what follows from the route and the size [bytes] of every message, replica after replica."""
        of_messages = []
        for replica, columns in enumerate(stack.columns):
            kinds, of_message = columns.kinds_of_messages
            by_ranks = self._by_ranks(replica)
            of_kinds = ints(of_kind(by_ranks[source, destination], size) for source, destination, size in kinds)
            of_messages.append(taken(of_kinds, of_message))
        return joined(of_messages)

    def _first_hold_ps(self, route: int, size_bytes: int) -> int:
        first = self.links[route][:1]
        if not first or first[0] in self.network.drained_links:
            return 0
        return self.network.link(first[0]).hold_ps(size_bytes)

    def _by_ranks(self, replica: int) -> dict[tuple[int, int], int]:
        """Return the route of every pair of pp_ranks that exchange messages."""
        return {ranks: self.number[gpus] for ranks, gpus in self.network.gpu_pairs(replica).items()}


def _links(
    network: Network,
    loads: Loads,
    transfers: Transfers,
    phases: Phases,
    noted: NotedRates,
    queued_ps: dict[int, int],
) -> tuple[Links, Rates]:
    rates = rate_columns(noted, loads)
    slowed_ps = np.zeros(len(loads.used), dtype=np.int64)
    if len(rates):
        end_ps = np.concatenate([transfers.end_ps, phases.end_ps])
        rates = lasting(rates, end_ps)
        slowed_ps = slowed_by_link_ps(network.cluster, loads, rates, transfers.route, end_ps)
    return link_columns(network.cluster, network.drained_links, loads, queued_ps, slowed_ps), rates
