"""The evaluation of static programs as one loop over arrays: plain Python that numba compiles where it is installed.

It does what the processes of the run-ahead form do, row by row and in 64-bit integers, without SimPy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


class Plan(NamedTuple):
    """What all members of a batch have in common: rows, messages, and the links on their ways."""

    first_op: Numbers  # first row of each rank; one more entry than ranks
    is_barrier: NDArray[np.bool_]  # of each row
    first_need: Numbers  # index into needs; one more entry than rows
    needs: Numbers
    first_send: Numbers
    sends: Numbers
    way: Numbers  # of each message
    first_hop: Numbers  # of each way; one more entry than ways
    hop_link: Numbers


class Times(NamedTuple):
    """How long things take: a row a member, or one row for all. [ps]"""

    duration: Numbers  # of each row
    hold: Numbers  # of each hop
    latency: Numbers


class State(NamedTuple):
    """How far each member is: a row a member. [ps]"""

    position: Numbers  # rows done, of each rank
    clock: Numbers
    free_at: Numbers  # of each link
    queued: Numbers
    start: Numbers  # of each row
    started: Numbers  # of each message; -1: not yet
    arrived: Numbers


def new_state(plan: Plan, num_members: int, num_links: int) -> State:
    """Return the state of members that have yet to begin."""
    num_ranks, num_rows, num_messages = len(plan.first_op) - 1, int(plan.first_op[-1]), len(plan.way)

    def zeros(width: int) -> Numbers:
        return np.zeros((num_members, width), dtype=np.int64)

    unknown = [np.full((num_members, num_messages), -1, dtype=np.int64) for _ in range(2)]
    return State(*map(zeros, (num_ranks, num_ranks, num_links, num_links, num_rows)), *unknown)


def advance(plan: Plan, times: Times, state: State) -> None:
    """Run every rank of every member on until it is done, waits at a barrier, or is stuck."""
    first_op, is_barrier, first_need, needs, first_send, sends, way, first_hop, hop_link = plan
    durations, holds, latencies = times
    positions, clocks, free_at, queued, starts, started, arrived = state
    num_ranks = len(first_op) - 1
    ready = np.empty(num_ranks, dtype=np.int64)
    waiter = np.empty(len(way), dtype=np.int64)
    for member in range(len(positions)):
        own_duration = durations[member % len(durations)]
        own_hold, own_latency = holds[member % len(holds)], latencies[member % len(latencies)]
        waiter[:] = -1
        for rank in range(num_ranks):
            ready[rank] = num_ranks - 1 - rank
        num_ready = num_ranks
        while num_ready:
            num_ready -= 1
            rank = ready[num_ready]
            row, clock = first_op[rank] + positions[member, rank], clocks[member, rank]
            while row < first_op[rank + 1]:
                start, missing = clock, -1
                for index in range(first_need[row], first_need[row + 1]):
                    arrival = arrived[member, needs[index]]
                    if arrival < 0:
                        missing = needs[index]
                        break
                    start = max(start, arrival)
                if missing >= 0:
                    waiter[missing] = rank
                    break
                clock = start
                if is_barrier[row]:
                    break
                starts[member, row] = start
                clock += own_duration[row]
                for index in range(first_send[row], first_send[row + 1]):
                    message, time, first_start = sends[index], clock, -1
                    for hop in range(first_hop[way[message]], first_hop[way[message] + 1]):
                        link = hop_link[hop]
                        begin = max(time, free_at[member, link])
                        queued[member, link] += begin - time
                        free_at[member, link] = begin + own_hold[hop]
                        time = begin + own_hold[hop] + own_latency[hop]
                        if first_start < 0:
                            first_start = begin
                    started[member, message], arrived[member, message] = first_start, time
                    if waiter[message] >= 0:
                        ready[num_ready] = waiter[message]
                        num_ready += 1
                        waiter[message] = -1
                row += 1
            positions[member, rank], clocks[member, rank] = row - first_op[rank], clock


@cache
def compiled() -> Callable[[Plan, Times, State], None]:
    """Return `advance`, compiled and kept on disk if numba is installed (extra ``fast``)."""
    try:
        import numba  # takes a quarter of a second
    except ImportError:
        return advance
    function: Any = numba.njit(cache=True)(advance)
    return function  # type: ignore[no-any-return]


def is_compiled() -> bool:
    """Return whether numba is installed."""
    return compiled() is not advance


def run_all(plans: list[Plan], times: list[Times], states: list[State], together: bool) -> bool:
    """Run every batch to its end, barriers included; return whether no rank is stuck.

    Parameters
    ----------
    plans, times, states
        Of each batch.
    together
        Whether all members of all batches meet at a barrier, or only the ranks of each.
    """
    while True:
        for plan, own_times, state in zip(plans, times, states, strict=True):
            compiled()(plan, own_times, state)
        at_barrier = list(map(_is_at_barrier, plans, states))
        if not any(ranks.any() for ranks in at_barrier):
            return all(bool((_left(plan, state) == 0).all()) for plan, state in zip(plans, states, strict=True))
        if not all(bool(ranks.all()) for ranks in at_barrier):
            return False
        latest = max(int(state.clock.max()) for state in states)
        for plan, state in zip(plans, states, strict=True):
            state.clock[:] = latest if together else state.clock.max(axis=1, keepdims=True)
            rows = plan.first_op[:-1] + state.position
            np.put_along_axis(state.start, rows, state.clock, axis=1)
            state.position[:] += 1


def _left(plan: Plan, state: State) -> Numbers:
    """Return how many rows each rank of each member has still to run."""
    return np.asarray(np.diff(plan.first_op) - state.position)


def _is_at_barrier(plan: Plan, state: State) -> NDArray[np.bool_]:
    rows = np.minimum(plan.first_op[:-1] + state.position, len(plan.is_barrier) - 1)
    waits = plan.is_barrier[rows] & (_left(plan, state) > 0)
    # What a barrier waits for besides the others has to be there: advance() stops before it only then or when stuck.
    return np.asarray(waits)
