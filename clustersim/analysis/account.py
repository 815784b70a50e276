"""The account of a whole run, part by part: what each GPU's time and memory went to, and what that adds up to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from clustersim.analysis.bubble import Bubble, RankTimes, measure_bubble, rank_times, ratio
from clustersim.analysis.collisions import Losses, losses_of
from clustersim.analysis.communication import AxisTraffic, traffic_by_axis
from clustersim.analysis.memory import Memory, measure_memory
from clustersim.analysis.waits import Waits, barriers, find_waits, is_one_of
from clustersim.ops import COMPUTE
from clustersim.trace import Ints, Trace


@dataclass(frozen=True, slots=True)
class Account:
    """Where time and memory went."""

    times: RankTimes
    bubble: Bubble
    memory: Memory
    traffic: dict[str, AxisTraffic]
    compute_end_ps: Ints  # of each rank: end of its last op that computes
    step_end_ps: Ints  # of each step: its last end
    end_ps: Ints  # of each rank: end of its last row
    barrier_ps: Ints  # ``barrier_ps[rank, step]``: when the rank came to the barrier; -1 where there is none
    losses: Losses  # of flows that shared links, in a run that does not come apart
    waits: Waits | None  # of such a run

    def replicas_to_follow(self, trace: Trace) -> list[int]:
        """Return the replicas that the critical path can pass, and that of the busiest rank.

        It begins at the last end, stays within a replica, and leads from a barrier to whoever came there last.
        """
        busy_ps = self.times.compute_ps + self.times.exposed_ps
        ranks = [int(np.argmax(self.end_ps)), int(np.argmax(busy_ps)), *np.argmax(self.barrier_ps, axis=0).tolist()]
        return sorted(set(trace.ranks.replica[ranks].tolist()))


def account_of(trace: Trace) -> Account:
    """Return the account of a run; replicas that have nothing to do with one another are looked at in turn.

    So nothing of the size of the whole trace is made, and what is looked at stays in the processor's cache.
    """
    if trace.folded is not None:
        return _of_all_ranks(_account_of_part(trace.folded.sample), trace.folded.rank)
    if trace.split is None:
        return _account_of_part(trace)
    # The waits of parts are not kept: together they are larger than the trace.
    parts = [replace(_account_of_part(part), waits=None) for part in trace.parts()]
    if len(parts) == 1:
        return parts[0]
    times = RankTimes(*_joined([part.times for part in parts], ("compute_ps", "exposed_ps", "bubble_ps")))
    memory = Memory(*_joined([part.memory for part in parts], [column.name for column in fields(Memory)]))
    compute_end_ps, end_ps, barrier_ps = _joined(parts, ("compute_end_ps", "end_ps", "barrier_ps"))
    return Account(
        times,
        _sum_of_bubbles(trace, times, [part.bubble for part in parts]),
        memory,
        {axis: _sum_of_traffic([part.traffic[axis] for part in parts]) for axis in parts[0].traffic},
        compute_end_ps,
        np.maximum.reduce([part.step_end_ps for part in parts]),
        end_ps,
        barrier_ps,
        losses_of(trace),
        None,
    )


def _account_of_part(trace: Trace) -> Account:
    waits = find_waits(trace)
    times, losses = rank_times(trace, waits), losses_of(trace)
    ops = trace.ops
    step_end_ps = np.zeros(trace.num_steps, dtype=np.int64)
    last_of_steps = trace.once("last of steps", _last_of_steps)
    np.maximum.at(step_end_ps, ops.step[last_of_steps], ops.end_ps[last_of_steps])
    compute_end_ps = np.zeros(len(trace.ranks), dtype=np.int64)
    last = trace.once("last compute", _last_compute)
    compute_end_ps[ops.rank_index[last]] = ops.end_ps[last]
    return Account(
        times,
        measure_bubble(trace, waits, times),
        measure_memory(trace),
        traffic_by_axis(trace, waits, losses),
        compute_end_ps,
        step_end_ps,
        ops.end_ps[trace.ranks.first_op[1:] - 1],
        _barriers_ps(trace, waits),
        losses,
        waits,
    )


def _barriers_ps(trace: Trace, waits: Waits) -> Ints:
    """Return when each rank came to the barrier of each step: its row before had ended, and its messages were there."""
    ops, transfers = trace.ops, trace.transfers
    came_ps = np.full((len(trace.ranks), trace.num_steps), -1, dtype=np.int64)
    rows = trace.once("barriers", barriers)
    transfer = waits.transfer[rows]
    arrived_ps = np.append(transfers.end_ps, 0)[transfer]  # -1: none
    came_ps[ops.rank_index[rows], ops.step[rows]] = np.maximum(waits.start_ps[rows], arrived_ps)
    return came_ps


def _last_of_steps(trace: Trace) -> Ints:
    """Return the last row of each step on each rank, and more where steps overlap: what ends last is among them."""
    rank, step = trace.ops.rank_index, trace.ops.step
    return np.flatnonzero(np.append((rank[1:] != rank[:-1]) | (step[1:] != step[:-1]), True)[: len(rank)])


def _last_compute(trace: Trace) -> Ints:
    """Return the last row of each rank that computes, of those ranks that have one."""
    rows = np.flatnonzero(is_one_of(trace.ops.kind, COMPUTE))
    rank = trace.ops.rank_index[rows]
    is_last = np.append(rank[1:] != rank[:-1], True)[: len(rows)]
    return np.compress(is_last, rows)


def _of_all_ranks(account: Account, rank: Ints) -> Account:
    """Return the account of a folded run with a row for each rank; `rank` says whose row of the sample is its own."""
    memory = [getattr(account.memory, column.name)[rank] for column in fields(Memory)]
    times = account.times
    return replace(
        account,
        times=RankTimes(times.compute_ps[rank], times.exposed_ps[rank], times.bubble_ps[rank]),
        memory=Memory(*memory),
        compute_end_ps=account.compute_end_ps[rank],
        end_ps=account.end_ps[rank],
        barrier_ps=account.barrier_ps[rank],
    )


def _joined(parts: Sequence[object], names: Sequence[str]) -> list[Ints]:
    return [np.concatenate([getattr(part, name) for part in parts]) for name in names]


def _sum_of_bubbles(trace: Trace, times: RankTimes, parts: Sequence[Bubble]) -> Bubble:
    compute, bubble = int(times.compute_ps.sum()), int(times.bubble_ps.sum())
    total = trace.makespan_ps * len(trace.ranks)
    largest = max(parts, key=lambda part: part.span_ps)  # the first of several, as within a part

    def added(of: Callable[[Bubble], dict[str, int]]) -> dict[str, int]:
        return {name: sum(of(part)[name] for part in parts) for name in of(parts[0])}

    return Bubble(
        fraction=ratio(bubble, bubble + compute),
        overhead=ratio(bubble, compute),
        span_fraction=largest.span_fraction,
        idle_fraction=ratio(total - compute, total),
        span_ps=largest.span_ps,
        by_phase_ps=added(lambda part: part.by_phase_ps),
        by_cause_ps=added(lambda part: part.by_cause_ps),
    )


def _sum_of_traffic(parts: Sequence[AxisTraffic]) -> AxisTraffic:
    return AxisTraffic(
        sum(part.size_bytes for part in parts),
        sum(part.busy_ps for part in parts),
        sum(part.exposed_ps for part in parts),
        sum(part.slowed_ps for part in parts),
    )
