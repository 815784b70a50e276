"""The evaluation of static programs as one loop over arrays: plain Python that numba compiles where it is installed.

It comes to the times of the run-ahead form, in 64-bit integers and without SimPy. In which order rows can be evaluated
depends on no time: it is found once, and the rows and messages of a plan are numbered by it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Indices = NDArray[np.uint32]  # half as large, and never negative, which a compiled loop would have to look for


class Programs(NamedTuple):
    """The rows of all ranks, rank after rank, and their messages."""

    first_op: Numbers  # first row of each rank; one more entry than ranks
    is_barrier: NDArray[np.bool_]  # of each row
    first_need: Numbers  # index into needs; one more entry than rows
    needs: Numbers
    first_send: Numbers
    sends: Numbers


class Plan(NamedTuple):
    """What all members of a batch have in common: rows in an order in which they can be evaluated.

    Messages are numbered as they are sent. Rows of barriers come last in each part.
    """

    row: Indices  # of the programs
    rank: Indices
    end_of_needs: Indices  # of each row: where in `needs` those of the next row begin
    needs: Indices
    end_of_sends: Indices  # of each row: the first message that a later one sends
    message: Indices  # of the programs
    way: Indices  # of each message
    first_hop: Indices  # of each way; one more entry than ways
    hop_link: Indices
    bounds: Numbers  # of the parts: rows up to each barrier and with it, and those after the last one
    num_ranks: int

    @property
    def columns(self) -> tuple[Indices, ...]:
        """What `advance` goes through."""
        of_rows = (self.row, self.rank, self.end_of_needs, self.needs, self.end_of_sends)
        return (*of_rows, self.way, self.first_hop, self.hop_link)


class Times(NamedTuple):
    """How long things take: a row a member, or one row for all. [ps]"""

    duration: Numbers  # of each row of the programs
    hold: Numbers  # of each hop
    latency: Numbers


class State(NamedTuple):
    """How far each member is: a row a member, or in the last three one for all, if nobody asks for them. [ps]"""

    clock: Numbers  # of each rank
    free_at: Numbers  # of each link
    queued: Numbers
    start: Numbers  # of each row of the plan
    started: Numbers  # of each message of the plan
    arrived: Numbers


def new_state(plan: Plan, num_members: int, num_links: int, is_kept: bool = True) -> State:
    """Return the state of members that have yet to begin; without `is_kept` clocks and links alone outlast a member."""
    num_kept, num_messages = num_members if is_kept else 1, len(plan.message)
    of_members = [np.zeros((num_members, width), dtype=np.int64) for width in (plan.num_ranks, num_links, num_links)]
    kept = [np.full((num_kept, width), -1, dtype=np.int64) for width in (len(plan.row), num_messages, num_messages)]
    return State(*of_members, *kept)


def plan_of(programs: Programs, way: Numbers, first_hop: Numbers, hop_link: Numbers) -> Plan | None:
    """Return the plan of programs, or None if some rank is stuck; ``way[message]`` has the hops from its first one on.

    Who waits for whom is told by a run in order of time.
    """
    row, ends = np.empty((2, len(programs.is_barrier)), dtype=np.int64)
    num_barriers = int(compiled(find_order)(*programs, row, ends))
    if num_barriers < 0:
        return None
    rank = np.repeat(np.arange(len(programs.first_op) - 1), np.diff(programs.first_op))[row]
    message, end_of_sends = _taken(programs.first_send, programs.sends, row)
    needs, end_of_needs = _taken(programs.first_need, programs.needs, row)
    number = np.zeros(len(way), dtype=np.int64)
    number[message] = np.arange(len(message))
    return Plan(
        row=_indices(row),
        rank=_indices(rank),
        end_of_needs=_indices(end_of_needs),
        needs=_indices(number[needs]),
        end_of_sends=_indices(end_of_sends),
        message=_indices(message),
        way=_indices(way[message]),
        first_hop=_indices(first_hop),
        hop_link=_indices(hop_link),
        bounds=np.concatenate([[0], ends[:num_barriers], [len(row)]]),
        num_ranks=len(programs.first_op) - 1,
    )


def _indices(numbers: Numbers) -> Indices:
    return numbers.astype(np.uint32)


def _taken(first: Numbers, joined: Numbers, rows: Numbers) -> tuple[Numbers, Numbers]:
    """Return the lists of some rows, joined, and where that of each ends."""
    count = np.diff(first)[rows]
    end = np.cumsum(count)
    return joined[np.repeat(first[rows] - (end - count), count) + np.arange(int(count.sum()))], end


def find_order(
    first_op: Any, is_barrier: Any, first_need: Any, needs: Any, first_send: Any, sends: Any, order: Any, ends: Any
) -> int:
    """Put rows in an order in which each comes after what it waits for; return how many barriers there are.

    Parameters
    ----------
    first_op, is_barrier, first_need, needs, first_send, sends
        The programs.
    order
        Where the rows go; the last who was woken goes on first.
    ends
        Where it is noted after how many rows each barrier has been passed.

    Returns
    -------
    int
        -1 if some rank waits for ever.
    """
    num_ranks, num_rows, num_barriers = len(first_op) - 1, 0, 0
    position = first_op[:-1].copy()
    is_sent, waiter = np.zeros(len(sends), dtype=np.bool_), np.full(len(sends), -1)
    ready, at_barrier = np.arange(num_ranks)[::-1].copy(), np.empty(num_ranks, dtype=np.int64)
    num_ready, num_at_barrier = num_ranks, 0
    while num_ready:
        num_ready -= 1
        rank = ready[num_ready]
        while position[rank] < first_op[rank + 1]:
            row, missing = position[rank], -1
            for index in range(first_need[row], first_need[row + 1]):
                if not is_sent[needs[index]]:
                    missing = needs[index]
                    break
            if missing >= 0:
                waiter[missing] = rank
                break
            if is_barrier[row]:
                at_barrier[num_at_barrier] = rank
                num_at_barrier += 1
                break
            order[num_rows] = row
            num_rows += 1
            position[rank] += 1
            for index in range(first_send[row], first_send[row + 1]):
                is_sent[sends[index]] = True
                if waiter[sends[index]] >= 0:
                    ready[num_ready] = waiter[sends[index]]
                    num_ready += 1
        if num_at_barrier == num_ranks:
            for rank in range(num_ranks):
                order[num_rows] = position[rank]
                num_rows += 1
                position[rank] += 1
                ready[rank] = num_ranks - 1 - rank
            ends[num_barriers] = num_rows
            num_barriers += 1
            num_ready, num_at_barrier = num_ranks, 0
    return num_barriers if num_rows == len(is_barrier) else -1


def advance(columns: Any, times: Any, state: Any, bounds: Any) -> None:
    """Evaluate the parts of a plan that lie between `bounds` for every member; between two of them its ranks meet."""
    row, rank, end_of_needs, needs, end_of_sends, way, first_hop, hop_link = columns
    for member in range(len(state[0])):
        clock, free_at, queued = state[0][member], state[1][member], state[2][member]
        kept = member % len(state[3])
        start, started, arrived = state[3][kept], state[4][kept], state[5][kept]
        duration = times[0][member % len(times[0])]
        hold, latency = times[1][member % len(times[1])], times[2][member % len(times[2])]
        need, message = np.uint32(0), np.uint32(0)
        if bounds[0] > 0:
            need, message = end_of_needs[bounds[0] - 1], end_of_sends[bounds[0] - 1]
        for part in range(len(bounds) - 1):
            if part > 0:
                clock[:] = clock.max()
                start[bounds[part] - len(clock) : bounds[part]] = clock
            for here in range(bounds[part], bounds[part + 1]):
                own = rank[here]
                now = clock[own]
                end_need, end_message = end_of_needs[here], end_of_sends[here]
                for index in range(need, end_need):
                    arrival = arrived[needs[index]]
                    if arrival > now:
                        now = arrival
                need = end_need
                start[here] = now
                now += duration[row[here]]
                clock[own] = now
                for sent in range(message, end_message):
                    time = now
                    first, end = first_hop[way[sent]], first_hop[way[sent] + 1]
                    for hop in range(first, end):
                        link = hop_link[hop]
                        begin = free_at[link]
                        if begin > time:  # as a rule the link is free, and its waits stay as they are
                            queued[link] += begin - time
                        else:
                            begin = time
                        if hop == first:
                            started[sent] = begin
                        time = begin + hold[hop]
                        free_at[link] = time
                        time += latency[hop]
                    arrived[sent] = time
                message = end_message


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function, compiled and kept on disk if numba is installed (extra ``fast``)."""
    try:
        import numba  # takes a quarter of a second
    except ImportError:
        return function
    machine_code: Callable[..., Any] = numba.njit(cache=True)(function)
    return machine_code


def is_compiled() -> bool:
    """Return whether numba is installed."""
    return compiled(advance) is not advance


def run_all(plans: list[Plan], times: list[Times], states: list[State], together: bool) -> bool:
    """Run every batch to its end, barriers included; return whether no rank waits for ever at one.

    Parameters
    ----------
    plans, times, states
        Of each batch.
    together
        Whether all members of all batches meet at a barrier, or only the ranks of each.
    """
    evaluate = compiled(advance)
    is_alone = len(states) == 1 and len(states[0].clock) == 1
    if is_alone or not together:
        for plan, own_times, state in zip(plans, times, states, strict=True):
            evaluate(plan.columns, own_times, state, plan.bounds)
        return True
    if len({len(plan.bounds) for plan in plans}) > 1:
        return False
    for part in range(len(plans[0].bounds) - 1):
        latest_ps = max(int(state.clock.max()) for state in states)
        for plan, own_times, state in zip(plans, times, states, strict=True):
            if part:
                state.clock[:] = latest_ps
                state.start[:, plan.bounds[part] - plan.num_ranks : plan.bounds[part]] = latest_ps
            evaluate(plan.columns, own_times, state, plan.bounds[part : part + 2])
    return True
