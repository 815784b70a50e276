"""What ops exchange within tensor-, context- and expert-parallel groups: calls, and the rows that wait for them.

An op computes, then does its exchanges one after the other, then sends its message. Beside an overlapped forward and
backward, and on axes whose communication is overlapped, exchanges run while the op computes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeVar

from clustersim.columns import Numbers
from clustersim.ops import Action, Exchange, Kind
from clustersim.workload.calls import Call, RankCalls
from clustersim.workload.opcost import OpCosts
from clustersim.workload.rows import Row

N = TypeVar("N", int, Numbers)


@dataclass(frozen=True, slots=True)
class GroupOptions:
    """Which axes have groups of more than one rank, and how their exchanges go."""

    axes: frozenset[str] = frozenset()
    beside: frozenset[str] = frozenset()  # axes whose exchanges run beside the op's compute
    message_parts: int = 1  # into which the ranks of a tp group split a message, to be gathered where it arrives

    def part_bytes(self, message_bytes: N) -> N:
        """Return the size of a part of a message, or of each part of several. [bytes]"""
        return message_bytes if self.message_parts == 1 else -(-message_bytes // self.message_parts)


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
    known: dict[tuple[object, ...], list[_Exchanged]] = {}  # ops of full micro-batches of a stage exchange the same
    for row in rows:
        key: tuple[object, ...] = row.kind, row.stage, op_costs.is_short(row.stage, row.microbatch)
        if row.backward is not None:
            key += row.backward.kind, row.backward.stage, op_costs.is_short(*row.backward[1:])
        if key not in known:
            known[key] = list(_exchanges(row, op_costs, options))
        if not known[key]:
            result.append(row)
            continue
        beside: list[int] = []
        after: list[int] = []
        for exchange, kind, stage, is_of_backward, is_hidden in known[key]:
            microbatch = row.backward.microbatch if is_of_backward and row.backward else row.microbatch
            call = Call(
                exchange.axis, exchange.operation, exchange.size_bytes, exchange.num_calls, kind, stage, microbatch
            )
            (beside if is_hidden else after).append(calls.add(call))
        parts = _parts_at_end(result)
        del result[len(result) - len(parts) :]
        result += _surrounded([*parts, row], tuple(beside), after)
    return result


class _Exchanged(NamedTuple):
    exchange: Exchange
    kind: Kind  # of the op that it belongs to
    stage: int
    is_of_backward: bool  # of the two of an overlapped slot
    is_hidden: bool  # beside compute


def _exchanges(row: Row, op_costs: OpCosts, options: GroupOptions) -> Iterator[_Exchanged]:
    """Yield what a row exchanges, each under the op that it belongs to."""
    owners = [(kind, Action(row.kind, row.stage, row.microbatch)) for kind in _EXCHANGES_OF.get(row.kind, ())]
    if row.kind in (Kind.FB, Kind.RECOMPUTE):
        owners = [(kind, owner._replace(kind=kind)) for kind, owner in owners]
    if row.backward is not None:
        owners += [(kind, row.backward) for kind in (Kind.I, Kind.W)]
    if row.kind is Kind.RECOMPUTE and not op_costs.recomputes_exchanges(row.stage):
        owners = [(Kind.RECOMPUTE, owner) for _, owner in owners]
    for kind, owner in owners:
        for exchange in op_costs.exchanges(kind, owner.stage, owner.microbatch):
            if exchange.axis in options.axes:
                is_hidden = exchange.axis in options.beside if exchange.is_beside is None else exchange.is_beside
                is_of_backward = owner is row.backward
                yield _Exchanged(exchange, owner.kind, owner.stage, is_of_backward, is_hidden or row.kind is Kind.FB)


def _parts_at_end(rows: Sequence[Row]) -> list[Row]:
    """Return the last of `rows` that are the first parts of the op that comes next, one a bucket of gradients."""
    first = len(rows)
    while first and rows[first - 1].kind is Kind.PART:
        first -= 1
    return list(rows[first:])


def _surrounded(op: Sequence[Row], beside: tuple[int, ...], after: list[int]) -> list[Row]:
    """Return an op with the calls that run beside it and those that follow it; the last row takes over its sends."""
    place = Row(Kind.COLLECTIVE, op[0].stage, op[0].microbatch)
    rows = list(op)
    if beside:
        before = place._replace(joins=beside, waits_for=op[0].waits_for, awaits=op[0].awaits)
        rows = [before, op[0]._replace(waits_for=(), awaits=()), *op[1:]]
    sends = rows[-1].sends
    rows[-1] = rows[-1]._replace(sends=(), joins=(*rows[-1].joins, *after[:1]))
    chain = [_waiting(place, (here,), (there,)) for here, there in pairwise(after)]
    return [*rows, *chain, _waiting(place, (*beside, *after[-1:]), sends=sends)]


def _waiting(place: Row, awaits: tuple[int, ...], joins: tuple[int, ...] = (), sends: tuple[int, ...] = ()) -> Row:
    """Return a row that waits for some calls, then makes others."""
    return Row(place.kind, place.stage, place.microbatch, sends=sends, joins=joins, awaits=awaits)


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
    if not full_bytes:
        return list(rows)
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
