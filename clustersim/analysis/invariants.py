"""Laws that every run keeps, checked on its trace: what ``run --check`` asks, and the tests of every schedule."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from clustersim.analysis.bubble import rank_times
from clustersim.analysis.critical_path import critical_path
from clustersim.analysis.memory import activation_curve, live_microbatch_curve
from clustersim.analysis.utilization import (
    miscounted_links,
    misdrained_flows,
    outrunning_messages,
    overloaded_links,
)
from clustersim.analysis.waits import find_waits
from clustersim.errors import InvariantError
from clustersim.ops import Kind
from clustersim.trace import FlowTrace, Trace


def check_invariants(trace: Trace) -> None:
    """Raise InvariantError, naming each law that the run broke; a broken law is a defect of clustersim."""
    broken = [f"{law.__name__[1:].replace('_', ' ')}: {what}" for law in _LAWS for what in law(trace)]
    if broken:
        raise InvariantError("laws that every run keeps were broken:\n" + "\n".join(f"  {line}" for line in broken))


def check_flows(trace: FlowTrace) -> None:
    """Raise InvariantError, as :func:`check_invariants` does, for the laws that flows alone keep."""
    broken = [f"{law.__name__[1:].replace('_', ' ')}: {what}" for law in _LAWS_OF_FLOWS for what in law(trace)]
    if broken:
        raise InvariantError("laws that all flows keep were broken:\n" + "\n".join(f"  {line}" for line in broken))


def _time_adds_up(trace: Trace) -> Iterator[str]:
    """Compute, exposed communication and bubble of each rank are the makespan, to the picosecond."""
    waits = find_waits(trace)
    times = rank_times(trace, waits)
    total = times.compute_ps + times.exposed_ps + times.bubble_ps
    for index in np.flatnonzero(total != trace.makespan_ps)[:3]:
        yield f"rank {trace.ranks.rank[index]} accounts for {total[index]} of {trace.makespan_ps} ps"
    if (waits.exposed_ps < 0).any() or (waits.bubble_ps < 0).any():
        yield "a wait is negative"


def _the_critical_path_is_the_makespan(trace: Trace) -> Iterator[str]:
    """Its segments follow one another from the start of the run to its end, each of some length."""
    path = critical_path(trace)
    edges_ps = np.concatenate([[0], path.end_ps])
    for index in np.flatnonzero((path.start_ps != edges_ps[:-1]) | (path.duration_ps <= 0))[:3]:
        yield f"segment {index} lasts from {path.start_ps[index]} to {path.end_ps[index]}, after {edges_ps[index]} ps"
    if edges_ps[-1] != trace.makespan_ps:
        yield f"it ends at {edges_ps[-1]} of {trace.makespan_ps} ps"


def _a_rank_does_one_thing_at_a_time(trace: Trace) -> Iterator[str]:
    ops = trace.ops
    same_rank = ops.rank_index[1:] == ops.rank_index[:-1]
    for index in np.flatnonzero(same_rank & (ops.start_ps[1:] < ops.end_ps[:-1]))[:3]:
        yield f"row {index + 1} starts at {ops.start_ps[index + 1]} ps, before row {index} ends"


def _nothing_starts_before_its_inputs(trace: Trace) -> Iterator[str]:
    ops, transfers = trace.ops, trace.transfers
    waiting = np.repeat(np.arange(len(ops)), np.diff(ops.first_need))
    for index in np.flatnonzero(transfers.end_ps[ops.needs] > ops.start_ps[waiting])[:3]:
        yield f"row {waiting[index]} starts before transfer {ops.needs[index]} has arrived"


def _nothing_starts_before_its_collectives(trace: Trace) -> Iterator[str]:
    ops, collectives = trace.ops, trace.collectives
    waiting = np.repeat(np.arange(len(ops)), np.diff(ops.first_await))
    for index in np.flatnonzero(collectives.end_ps[ops.awaits] > ops.start_ps[waiting])[:3]:
        yield f"row {waiting[index]} starts before collective {ops.awaits[index]} is done"


def _a_collective_is_queued_when_all_have_called(trace: Trace) -> Iterator[str]:
    """Each member of its group calls for it once, and it is queued at the time of the last call."""
    ops, collectives = trace.ops, trace.collectives
    calling = np.repeat(np.arange(len(ops)), np.diff(ops.first_join))
    last_ps = np.full(len(collectives), -1, dtype=np.int64)
    np.maximum.at(last_ps, ops.joins, ops.end_ps[calling])
    for index in np.flatnonzero(collectives.queued_ps != last_ps)[:3]:
        yield f"collective {index} is queued at {collectives.queued_ps[index]} ps, the last call is at {last_ps[index]}"
    members = [np.sort(group) for group in trace.groups]
    expected = np.concatenate([np.empty(0, dtype=np.int64), *(members[group] for group in collectives.group.tolist())])
    number = np.repeat(np.arange(len(collectives)), [len(members[group]) for group in collectives.group.tolist()])
    callers = ops.rank_index[calling[np.lexsort((ops.rank_index[calling], ops.joins))]]
    if len(callers) != len(expected):
        yield f"{len(callers)} calls are made for collectives whose groups have {len(expected)} members in all"
        return
    for index in np.flatnonzero((callers != expected) | (np.sort(ops.joins) != number))[:1]:
        yield f"not every member of its group calls once for collective {number[index]}"


def _a_group_does_one_thing_at_a_time(trace: Trace) -> Iterator[str]:
    """Collectives of a group follow one another, each within its own times, and so do the phases of a collective."""
    collectives, phases = trace.collectives, trace.phases
    order = np.lexsort((collectives.end_ps, collectives.start_ps, collectives.group))
    same = collectives.group[order][1:] == collectives.group[order][:-1]
    for index in np.flatnonzero(same & (collectives.start_ps[order][1:] < collectives.end_ps[order][:-1]))[:3]:
        yield f"collectives {order[index]} and {order[index + 1]} of one group overlap"
    is_lost = (collectives.queued_ps > collectives.start_ps) | (collectives.start_ps > collectives.end_ps)
    for index in np.flatnonzero(is_lost)[:3]:
        yield f"collective {index} is queued, starts and ends in another order"
    order = np.lexsort((phases.end_ps, phases.start_ps, phases.collective))
    number, start_ps, end_ps = phases.collective[order], phases.start_ps[order], phases.end_ps[order]
    before_ps = collectives.start_ps[number]
    follows = np.flatnonzero(number[1:] == number[:-1]) + 1
    before_ps[follows] = end_ps[follows - 1]
    is_lost = (before_ps > start_ps) | (start_ps > end_ps) | (end_ps > collectives.end_ps[number])
    for index in np.flatnonzero(is_lost)[:3]:
        yield f"phase {order[index]} of collective {number[index]} is not within it, after those before"


def _transfers_take_their_turn(trace: Trace) -> Iterator[str]:
    """All messages that leave a GPU by one link hold it one after the other."""
    transfers = trace.transfers
    numbers: dict[str, int] = {}
    number_by_route = [numbers.setdefault(route[0], len(numbers)) if route else -1 for route in trace.routes]
    first_link = np.array(number_by_route, dtype=np.int64)[transfers.route]
    held_until = transfers.start_ps + transfers.first_hold_ps
    order = np.lexsort((held_until, transfers.start_ps, first_link))
    same_link = first_link[order][1:] == first_link[order][:-1]
    overlap = same_link & (transfers.start_ps[order][1:] < held_until[order][:-1])
    for index in np.flatnonzero(overlap)[:3]:
        link = trace.routes[transfers.route[order[index]]][0]
        yield f"transfers {order[index]} and {order[index + 1]} hold {link} at once"


def _no_link_is_busy_for_longer_than_the_run(trace: Trace | FlowTrace) -> Iterator[str]:
    for index in np.flatnonzero(trace.links.busy_ps > trace.makespan_ps):
        yield f"{trace.links.name[int(index)]} is busy for {trace.links.busy_ps[index]} of {trace.makespan_ps} ps"


def _what_is_sent_is_received(trace: Trace | FlowTrace) -> Iterator[str]:
    """Every message arrives, and every link carried the bytes of all messages over it, the first to the last."""
    transfers = trace.transfers
    is_lost = (transfers.queued_ps > transfers.start_ps) | (transfers.start_ps > transfers.end_ps)
    for index in np.flatnonzero(is_lost)[:3]:
        row = [int(column[index]) for column in (transfers.queued_ps, transfers.start_ps, transfers.end_ps)]
        yield f"transfer {index} is queued at {row[0]}, starts at {row[1]} and ends at {row[2]} ps"
    for name, carried_bytes, sent_bytes in miscounted_links(trace):
        yield f"{name} carried {carried_bytes} bytes; the messages over it have {sent_bytes}"


def _every_rank_takes_in_what_is_sent_to_it(trace: Trace) -> Iterator[str]:
    """Some row of a message's destination waits for it; with blocking exchanges, further rows may."""
    ops, transfers = trace.ops, trace.transfers
    waiting = ops.rank_index[np.repeat(np.arange(len(ops)), np.diff(ops.first_need))]
    is_taken = np.zeros(len(transfers), dtype=bool)
    is_taken[ops.needs[waiting == transfers.destination[ops.needs]]] = True
    for index in np.flatnonzero(~is_taken)[:3]:
        size_bytes, rank = transfers.size_bytes[index], trace.ranks.rank[transfers.destination[index]]
        yield f"no row of rank {rank} waits for the {size_bytes} bytes of transfer {index} to it"


def _flows_drain_what_they_carry(trace: Trace | FlowTrace) -> Iterator[str]:
    """The rates of a flow add up to its size, within a byte for each rate and what flows in its last picosecond."""
    for index, drained_bytes, most_bytes in misdrained_flows(trace):
        yield f"transfer {index} drained {drained_bytes:.3f} bytes; allowed: its size to {most_bytes:.3f}"


def _no_message_outruns_its_links(trace: Trace | FlowTrace) -> Iterator[str]:
    for index, took_ps, least_ps in outrunning_messages(trace):
        yield f"transfer {index} took {took_ps} ps, its links take {least_ps:.0f} ps at least"


def _no_link_is_above_its_capacity(trace: Trace | FlowTrace) -> Iterator[str]:
    for name, bytes_per_s, time_ps in overloaded_links(trace):
        yield f"{name} carries {bytes_per_s:.9g} bytes/s at {time_ps} ps"


def _memory_returns_to_its_start(trace: Trace) -> Iterator[str]:
    for name, curve in (("activations", activation_curve(trace)), ("live micro-batches", live_microbatch_curve(trace))):
        last = np.append(curve.rank_index[1:] != curve.rank_index[:-1], True)[: len(curve.value)]
        for index in np.flatnonzero(last & (curve.value != 0))[:3]:
            yield f"{name} of rank {trace.ranks.rank[curve.rank_index[index]]} end at {curve.value[index]}"


def _every_forward_has_its_backward(trace: Trace) -> Iterator[str]:
    kind, rank = trace.ops.kind, trace.ops.rank_index

    def count(*kinds: Kind) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.bincount(rank[np.isin(kind, kinds)], minlength=len(trace.ranks))

    for index in np.flatnonzero(count(Kind.F, Kind.FB) != count(Kind.B, Kind.W, Kind.FB))[:3]:
        yield f"rank {trace.ranks.rank[index]} has forwards and backwards in different numbers"


_LAWS_OF_FLOWS = (
    _what_is_sent_is_received,
    _no_message_outruns_its_links,
    _no_link_is_busy_for_longer_than_the_run,
    _flows_drain_what_they_carry,
    _no_link_is_above_its_capacity,
)
_LAWS = (
    _time_adds_up,
    _the_critical_path_is_the_makespan,
    _a_rank_does_one_thing_at_a_time,
    _nothing_starts_before_its_inputs,
    _nothing_starts_before_its_collectives,
    _a_collective_is_queued_when_all_have_called,
    _a_group_does_one_thing_at_a_time,
    _transfers_take_their_turn,
    _every_rank_takes_in_what_is_sent_to_it,
    *_LAWS_OF_FLOWS,
    _memory_returns_to_its_start,
    _every_forward_has_its_backward,
)
