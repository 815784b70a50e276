"""What ops exchange within tensor-, context- and expert-parallel groups: calls, and the rows that wait for them.

An op computes, then does its exchanges one after the other, then sends its message. Beside an overlapped forward and
backward, and beside any op if tensor-parallel communication is overlapped, exchanges run while the op computes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from clustersim.ops import Exchange, Kind
from clustersim.workload.calls import Call, RankCalls
from clustersim.workload.opcost import OpCosts
from clustersim.workload.rows import Row


@dataclass(frozen=True, slots=True)
class GroupOptions:
    """Which axes have groups of more than one rank, and how their exchanges go."""

    axes: frozenset[str] = frozenset()
    overlap_tp: bool = False
    message_parts: int = 1  # into which the ranks of a tp group split a message, to be gathered where it arrives


# What the ops of a row exchange: by the kinds under which stages list it.
_EXCHANGES_OF = {
    Kind.F: (Kind.F,),
    Kind.RECOMPUTE: (Kind.F,),
    Kind.B: (Kind.I, Kind.W),
    Kind.I: (Kind.I,),
    Kind.W: (Kind.W,),
    Kind.FB: (Kind.F,),
}


def with_group_exchanges(rows: Sequence[Row], op_costs: OpCosts, options: GroupOptions, calls: RankCalls) -> list[Row]:
    """Return `rows` with what their ops exchange within groups, each call added to `calls`."""
    if not options.axes:
        return list(rows)
    result: list[Row] = []
    for row in rows:
        beside: list[int] = []
        after: list[int] = []
        for kind, exchange in _exchanges(row, op_costs, options):
            number = calls.add(_call(row, kind, exchange))
            is_hidden = row.kind is Kind.FB or (options.overlap_tp and exchange.axis == "tp")
            (beside if is_hidden else after).append(number)
        result += _surrounded(row, tuple(beside), after) if beside or after else [row]
    return result


def _exchanges(row: Row, op_costs: OpCosts, options: GroupOptions) -> Iterator[tuple[Kind, Exchange]]:
    """Yield what a row exchanges, each with the kind of op that it belongs to."""
    found = [(kind, row.stage, row.microbatch) for kind in _EXCHANGES_OF.get(row.kind, ())]
    if row.backward is not None:
        found += [(kind, row.backward.stage, row.backward.microbatch) for kind in (Kind.I, Kind.W)]
    for kind, stage, microbatch in found:
        for exchange in op_costs.exchanges(kind, stage, microbatch):
            if exchange.axis in options.axes:
                yield kind, exchange


def _call(row: Row, kind: Kind, exchange: Exchange) -> Call:
    owner = kind if row.kind in (Kind.FB, Kind.RECOMPUTE) else row.kind
    return Call(
        exchange.axis, exchange.operation, exchange.size_bytes, exchange.num_calls, owner, row.stage, row.microbatch
    )


def _surrounded(row: Row, beside: tuple[int, ...], after: list[int]) -> list[Row]:
    """Return a row with the calls that run beside it and those that follow it; the last row takes over its sends."""
    place = Row(Kind.COLLECTIVE, row.stage, row.microbatch)
    before = [place._replace(joins=beside, waits_for=row.waits_for)] if beside else []
    op = row._replace(waits_for=() if beside else row.waits_for, sends=(), joins=(*row.joins, *after[:1]))
    chain = [place._replace(awaits=(here,), joins=(there,)) for here, there in pairwise(after)]
    last = place._replace(awaits=(*beside, *after[-1:]), sends=row.sends)
    return [*before, op, *chain, last]


def with_gathered_messages(rows: Sequence[Row], full_bytes: Mapping[int, int], calls: RankCalls) -> list[Row]:
    """Return `rows` with an all-gather of every message that a rank receives a part of.

    Each rank of a tensor-parallel group sends one part of the activation over its own NIC, and the receivers put it
    together over their scale-up links.

    Parameters
    ----------
    rows
        Rows of a rank.
    full_bytes
        Size of each message that the rank receives, before it was parted. [bytes]
    calls
        To which the calls are added.

    References
    ----------
    Narayanan et al., SC 2021, section 4.1 (scatter/gather optimization).
    """
    result: list[Row] = []
    for row in rows:
        received = [number for number in row.waits_for if number in full_bytes]
        if not received:
            result.append(row)
            continue
        gathers = tuple(
            calls.add(Call("tp", "all-gather", full_bytes[number], 1, row.kind, row.stage, row.microbatch))
            for number in received
        )
        place = Row(Kind.COLLECTIVE, row.stage, row.microbatch)
        if row.kind is Kind.EXCHANGE:
            result += [row._replace(joins=(*row.joins, *gathers)), place._replace(awaits=gathers)]
        else:
            arrival = place._replace(waits_for=row.waits_for, joins=gathers)
            result += [arrival, place._replace(awaits=gathers), row._replace(waits_for=())]
    return result
