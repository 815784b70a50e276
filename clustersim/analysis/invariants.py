"""Laws that every run keeps, checked on its trace: what ``run --check`` asks, and the tests of every schedule."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from clustersim.analysis.bubble import rank_times
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
        yield f"{trace.links.name[index]} is busy for {trace.links.busy_ps[index]} of {trace.makespan_ps} ps"


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
    _a_rank_does_one_thing_at_a_time,
    _nothing_starts_before_its_inputs,
    _transfers_take_their_turn,
    _every_rank_takes_in_what_is_sent_to_it,
    *_LAWS_OF_FLOWS,
    _memory_returns_to_its_start,
    _every_forward_has_its_backward,
)
