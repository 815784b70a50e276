"""The tables of ops and messages of a trace, and the trace in parts: so many replicas at a time as fit into a cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter

import numpy as np

from clustersim.columns import PipelineColumns, starts
from clustersim.engine.record_groups import GroupRecord
from clustersim.engine.record_programs import Stack
from clustersim.later import later
from clustersim.trace import (
    AXES,
    Collectives,
    Ints,
    Links,
    Ops,
    Phases,
    Ranks,
    Rates,
    Trace,
    Transfers,
)

_ROWS_OF_A_PART = 2**15


def ops_table(stack: Stack, starts_ps: Ints, groups: GroupRecord | None) -> Ops:
    """Return the ops of replicas: their starts, and the rest when it is asked for.

    Parameters
    ----------
    stack
        What follows from programs.
    starts_ps
        Start of every row. [ps]
    groups
        What groups did; None where there are none.
    """

    def plain(name: str) -> Ints:
        return later(lambda: stack.kept(name, lambda: stack.joined(attrgetter(name))))

    def shifted(name: str, first: Ints) -> Ints:
        return later(lambda: stack.kept(name, lambda: stack.shifted(attrgetter(name), first)))

    def first_needs() -> Ints:
        return starts(stack.joined(attrgetter("needs.count")))

    nothing = np.empty(0, dtype=np.int64)
    none_of = np.broadcast_to(np.int64(0), stack.num_rows + 1)
    (first_await, awaits), (first_join, joins) = (
        (groups.awaits(), groups.joins()) if groups else ((none_of, nothing), (none_of, nothing))
    )
    return Ops(
        rank_index=shifted("rank_index", stack.first_rank),
        kind=plain("kind"),
        stage=plain("stage"),
        microbatch=plain("microbatch"),
        backward_stage=plain("backward_stage"),
        backward_microbatch=plain("backward_microbatch"),
        step=plain("step"),
        start_ps=starts_ps,
        end_ps=later(lambda: starts_ps + stack.kept("duration_ps", lambda: stack.joined(attrgetter("duration_ps")))),
        start_bytes=plain("start_bytes"),
        end_bytes=plain("end_bytes"),
        first_need=later(lambda: stack.kept("first_need", first_needs)),
        needs=shifted("needs.joined", stack.first_message),
        first_await=first_await,
        awaits=awaits,
        first_join=first_join,
        joins=joins,
    )


def transfers_table(
    stack: Stack, ops: Ops, queued_ps: Ints | None, started_ps: Ints, arrived_ps: Ints, route: Ints, first_hold_ps: Ints
) -> Transfers:
    """Return the messages of replicas; their times as noted, the rest when it is asked for."""

    def plain(name: str) -> Ints:
        return later(lambda: stack.kept(name, lambda: stack.joined(attrgetter(name))))

    def shifted(name: str, first: Ints) -> Ints:
        return later(lambda: stack.kept(name, lambda: stack.shifted(attrgetter(name), first)))

    def producers() -> Ints:
        return stack.kept("producer", lambda: stack.shifted(attrgetter("producer"), stack.first_row))

    num_messages = int(stack.first_message[-1])
    return Transfers(
        axis=np.broadcast_to(np.int64(AXES.index("pp")), num_messages),
        kind=plain("sent_kind"),
        microbatch=plain("sent_microbatch"),
        step=plain("sent_step"),
        source=shifted("source", stack.first_rank),
        destination=shifted("destination", stack.first_rank),
        size_bytes=plain("size_bytes"),
        producer=later(producers),
        consumer=shifted("consumer", stack.first_row),
        route=route,
        queued_ps=later(lambda: ops.end_ps[producers()]) if queued_ps is None else queued_ps,
        start_ps=started_ps,
        first_hold_ps=first_hold_ps,
        end_ps=arrived_ps,
    )


class Parts:
    """A trace whose replicas have nothing to do with one another, to be taken apart."""

    def __init__(self, stack: Stack, whole: Trace, queued_ps: Ints | None) -> None:
        self._stack, self._whole, self._queued_ps = stack, whole, queued_ps

    def parts(self) -> Iterator[Trace]:
        """Yield so many replicas at a time as keep within a cache; parts with the same programs share their columns."""
        stacks: dict[tuple[int, int], tuple[Stack, dict[str, Ints]]] = {}
        first = 0
        for _, alike in groupby(self._stack.columns, key=id):
            columns = list(alike)
            size = max(1, _ROWS_OF_A_PART // max(1, columns[0].num_rows))
            for begin in range(0, len(columns), size):
                own = columns[begin : begin + size]
                key = (id(own[0]), len(own))
                if key not in stacks:
                    stacks[key] = (Stack(own), {})
                yield self._part(*stacks[key], first + begin, own)
            first += len(columns)

    def of_replicas(self, replicas: Sequence[int]) -> Trace:
        """Return the trace of some replicas, in rising order, as one, with the links of all."""
        whole, of_whole = self._whole, self._stack
        stack = Stack([of_whole.columns[replica] for replica in replicas])
        rows, sent, ranks = (
            np.concatenate([np.arange(first[replica], first[replica + 1]) for replica in replicas])
            for first in (of_whole.first_row, of_whole.first_message, of_whole.first_rank)
        )
        ops = ops_table(stack, whole.ops.start_ps[rows], None)
        transfers = self._transfers(stack, ops, sent)
        return replace(
            whole, ranks=_ranks_of(whole.ranks, ranks, stack.first_op), ops=ops, transfers=transfers, split=None
        )

    def _transfers(self, stack: Stack, ops: Ops, sent: slice | Ints) -> Transfers:
        """Return the messages of a part of the trace, of which `sent` are the rows."""
        whole = self._whole.transfers
        return transfers_table(
            stack,
            ops,
            None if self._queued_ps is None else self._queued_ps[sent],
            whole.start_ps[sent],
            whole.end_ps[sent],
            later(lambda: whole.route[sent]),
            later(lambda: whole.first_hold_ps[sent]),
        )

    def _part(self, stack: Stack, shared: dict[str, Ints], first: int, own: list[PipelineColumns]) -> Trace:
        whole, of_whole, last = self._whole, self._stack, first + len(own)
        rows = slice(of_whole.first_row[first], of_whole.first_row[last])
        sent = slice(of_whole.first_message[first], of_whole.first_message[last])
        ops = ops_table(stack, whole.ops.start_ps[rows], None)
        transfers = self._transfers(stack, ops, sent)
        ranks = _ranks_of(whole.ranks, slice(of_whole.first_rank[first], of_whole.first_rank[last]), stack.first_op)
        return replace(whole, ranks=ranks, ops=ops, transfers=transfers, links=_NO_LINKS, split=None, shared=shared)


def _ranks_of(ranks: Ranks, rows: slice | Ints, first_op: Ints) -> Ranks:
    return Ranks(
        rank=ranks.rank[rows],
        replica=ranks.replica[rows],
        pp_rank=ranks.pp_rank[rows],
        gpu=ranks.gpu[rows],
        first_op=first_op,
        weights_bytes=ranks.weights_bytes[rows],
        gradients_bytes=ranks.gradients_bytes[rows],
        optimizer_bytes=ranks.optimizer_bytes[rows],
        buffers_bytes=ranks.buffers_bytes[rows],
        framework_bytes=ranks.framework_bytes[rows],
    )


def can_be_parted(collectives: Collectives, phases: Phases, rates: Rates) -> bool:
    """Return whether nothing joins the replicas of a trace."""
    return not (len(collectives) or len(phases) or len(rates))


_NONE = np.empty(0, dtype=np.int64)
_NO_LINKS = Links(
    name=(),
    role=(),
    number=_NONE,
    is_fair=np.empty(0, dtype=np.bool_),
    bytes_per_s=np.empty(0, dtype=np.float64),
    latency_ps=_NONE,
    overhead_ps=_NONE,
    size_bytes=_NONE,
    busy_ps=_NONE,
    queued_ps=_NONE,
    slowed_ps=_NONE,
    num_messages=_NONE,
)
