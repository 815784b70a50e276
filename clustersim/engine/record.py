"""From what the processes noted (starts of rows, starts and arrivals of messages) to the columns of a trace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np

from clustersim.engine.gpu import Gpu
from clustersim.engine.link import Mailbox
from clustersim.engine.network import Network
from clustersim.engine.record_groups import GroupRecord
from clustersim.engine.record_links import (
    Loads,
    first_holds_ps,
    link_columns,
    phase_ways,
    rate_columns,
    slowed_by_link_ps,
)
from clustersim.ops import Job, Messages, Program
from clustersim.trace import AXES, Ints, Links, Ops, Phases, Ranks, Rates, Trace, Transfers


def record(job: Job, network: Network, gpus: Sequence[Gpu], mailboxes: Sequence[Mailbox], num_events: int) -> Trace:
    """Return the trace of a finished run; ``gpus`` stand by replica, then by pp_rank."""
    first_op = np.cumsum([0, *(len(gpu.program) for gpu in gpus)], dtype=np.int64)
    first_transfer = np.cumsum([0, *(len(pipeline.messages) for pipeline in job.pipelines)], dtype=np.int64)
    first_rank = np.cumsum([0, *(len(pipeline.programs) for pipeline in job.pipelines)], dtype=np.int64)
    groups = GroupRecord(job, network.collectives)
    ops = _ops(gpus, first_rank, first_transfer, len(job.pipelines), groups)
    routes = _Routes(network, job)
    transfers, loads = _transfers(job, mailboxes, routes, ops, first_op, first_rank)
    phases = groups.phases(loads)
    links, rates = _links(network, loads, transfers, phases)
    return Trace(
        _ranks(job, first_op),
        ops,
        transfers,
        groups.collectives(),
        phases,
        links,
        rates,
        routes.names,
        phase_ways(loads),
        groups.groups(first_rank),
        job.num_steps,
        int(ops.end_ps.max(initial=0)),
        num_events,
        job.fragmentation,
        job.logits_shares,
    )


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, dtype=np.int64)


def _ranks(job: Job, first_op: Ints) -> Ranks:
    places = [(replica, pp_rank) for replica, ranks in enumerate(job.ranks) for pp_rank in range(len(ranks))]
    static = [job.static_bytes[replica][pp_rank] for replica, pp_rank in places]
    return Ranks(
        rank=_ints(chain.from_iterable(job.ranks)),
        replica=_ints(replica for replica, _ in places),
        pp_rank=_ints(pp_rank for _, pp_rank in places),
        gpu=_ints(chain.from_iterable(job.gpus)),
        first_op=first_op,
        weights_bytes=_ints(entry.weights_bytes for entry in static),
        gradients_bytes=_ints(entry.gradients_bytes for entry in static),
        optimizer_bytes=_ints(entry.optimizer_bytes for entry in static),
        buffers_bytes=_ints(entry.buffers_bytes for entry in static),
        framework_bytes=_ints(entry.framework_bytes for entry in static),
    )


class _ProgramColumns:
    """The columns of a program as arrays, made once for all replicas that share it."""

    def __init__(self, program: Program) -> None:
        self.kind = _ints(program.kinds)
        self.stage = _ints(program.stages)
        self.microbatch = _ints(program.microbatches)
        self.step = _ints(program.steps)
        self.duration_ps = _ints(program.durations_ps)
        self.start_bytes = _ints(program.start_bytes)
        self.end_bytes = _ints(program.end_bytes)
        self.num_needs = _ints(map(len, program.waits_for))
        self.needs = _ints(chain.from_iterable(program.waits_for))
        self.backward_stage = np.full(len(program), -1, dtype=np.int64)
        self.backward_microbatch = np.full(len(program), -1, dtype=np.int64)
        for row, action in program.backward_of.items():
            self.backward_stage[row], self.backward_microbatch[row] = action.stage, action.microbatch


def _ops(gpus: Sequence[Gpu], first_rank: Ints, first_transfer: Ints, num_replicas: int, groups: GroupRecord) -> Ops:
    known: dict[int, _ProgramColumns] = {}
    columns = []
    for gpu in gpus:
        if id(gpu.program) not in known:
            known[id(gpu.program)] = _ProgramColumns(gpu.program)
        columns.append(known[id(gpu.program)])
    start_ps = _ints(chain.from_iterable(gpu.starts for gpu in gpus))
    replica_of = np.repeat(np.arange(num_replicas), np.diff(first_rank))

    def joined(name: str) -> Ints:
        return np.concatenate([getattr(column, name) for column in columns])

    (num_awaits, awaits), (num_joins, joins) = groups.awaits(), groups.joins()
    return Ops(
        rank_index=np.repeat(np.arange(len(gpus)), [len(gpu.program) for gpu in gpus]),
        kind=joined("kind"),
        stage=joined("stage"),
        microbatch=joined("microbatch"),
        backward_stage=joined("backward_stage"),
        backward_microbatch=joined("backward_microbatch"),
        step=joined("step"),
        start_ps=start_ps,
        end_ps=start_ps + joined("duration_ps"),
        start_bytes=joined("start_bytes"),
        end_bytes=joined("end_bytes"),
        first_need=np.concatenate([[0], np.cumsum(joined("num_needs"))]),
        needs=np.concatenate(
            [column.needs + first_transfer[replica] for column, replica in zip(columns, replica_of, strict=True)]
        ),
        first_await=np.concatenate([[0], np.cumsum(num_awaits)]),
        awaits=awaits,
        first_join=np.concatenate([[0], np.cumsum(num_joins)]),
        joins=joins,
    )


class _Routes:
    """Every pair of GPUs that talk, numbered, with the links between them."""

    def __init__(self, network: Network, job: Job) -> None:
        self.network, self.job = network, job
        self.number = {pair: number for number, pair in enumerate(network.link_ids)}
        self.links = tuple(network.link_ids.values())
        self.names = tuple(tuple(network.cluster.links[link].name for link in links) for links in self.links)

    def by_ranks(self, replica: int) -> dict[tuple[int, int], int]:
        """Return the route of every pair of pp_ranks that exchange messages."""
        gpus = self.job.gpus[replica]
        pairs = self.job.pipelines[replica].messages.pairs()
        return {pair: self.number[gpus[pair[0]], gpus[pair[1]]] for pair in pairs}


class _MessageColumns:
    """The columns of a pipeline's messages as arrays, made once for all replicas that share it."""

    def __init__(self, messages: Messages) -> None:
        self.kind = _ints(messages.kinds)
        self.microbatch = _ints(messages.microbatches)
        self.step = _ints(messages.steps)
        self.source = _ints(messages.sources)
        self.destination = _ints(messages.destinations)
        self.size_bytes = _ints(messages.sizes_bytes)
        self.producer = _ints(messages.producers)
        self.consumer = _ints(messages.consumers)


def _transfers(
    job: Job, mailboxes: Sequence[Mailbox], routes: _Routes, ops: Ops, first_op: Ints, first_rank: Ints
) -> tuple[Transfers, Loads]:
    known: dict[int, _MessageColumns] = {}
    for pipeline in job.pipelines:
        if id(pipeline) not in known:
            known[id(pipeline)] = _MessageColumns(pipeline.messages)
    columns = [known[id(pipeline)] for pipeline in job.pipelines]
    sizes = [len(pipeline.messages) for pipeline in job.pipelines]
    offset = np.repeat(first_rank[:-1], sizes)

    def joined(name: str) -> Ints:
        return np.concatenate([getattr(column, name) for column in columns])

    source, destination = joined("source") + offset, joined("destination") + offset
    producer, consumer = joined("producer") + first_op[source], joined("consumer") + first_op[destination]
    posted_ps = _of_messages(sizes, (mailbox.queued for mailbox in mailboxes))
    queued_ps = posted_ps if job.blocking else ops.end_ps[producer]
    kind, size_bytes, route = joined("kind"), joined("size_bytes"), _route_numbers(job, routes, columns)
    loads = Loads(routes.links, route, size_bytes, routes.network.collectives.phases)
    transfers = Transfers(
        axis=np.full(len(kind), AXES.index("pp"), dtype=np.int64),
        kind=kind,
        microbatch=joined("microbatch"),
        step=joined("step"),
        source=source,
        destination=destination,
        size_bytes=size_bytes,
        producer=producer,
        consumer=consumer,
        route=route,
        queued_ps=queued_ps,
        start_ps=_of_messages(sizes, (mailbox.started for mailbox in mailboxes)),
        first_hold_ps=first_holds_ps(routes.network.cluster, routes.network.drained_links, loads),
        end_ps=_of_messages(sizes, (mailbox.arrived for mailbox in mailboxes)),
    )
    return transfers, loads


def _route_numbers(job: Job, routes: _Routes, columns: Sequence[_MessageColumns]) -> Ints:
    """Return the route of every message, replica after replica."""
    numbers = []
    for replica, column in enumerate(columns):
        num_ranks = len(job.ranks[replica])
        table = np.full((num_ranks, num_ranks), -1, dtype=np.int64)
        for (source, destination), number in routes.by_ranks(replica).items():
            table[source, destination] = number
        numbers.append(table[column.source, column.destination])
    return np.concatenate(numbers)


def _of_messages(sizes: Sequence[int], columns: Iterable[Sequence[int]]) -> Ints:
    """Return what stands in the mailboxes for messages, replica after replica; calls follow them there."""
    return _ints(chain.from_iterable(column[:size] for size, column in zip(sizes, columns, strict=True)))


def _links(network: Network, loads: Loads, transfers: Transfers, phases: Phases) -> tuple[Links, Rates]:
    rates = rate_columns(network.rates, loads)
    end_ps = np.concatenate([transfers.end_ps, phases.end_ps])
    slowed_ps = slowed_by_link_ps(network.cluster, loads, rates, transfers.route, end_ps)
    queued_ps = {link: process.queued_ps for link, process in network.processes.items()}
    return link_columns(network.cluster, network.drained_links, loads, queued_ps, slowed_ps), rates
