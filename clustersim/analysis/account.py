"""The account of a whole run, part by part: what each GPU's time and memory went to, and what that adds up to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from clustersim.analysis.bubble import Bubble, RankTimes, measure_bubble, rank_times, sum_of_bubbles
from clustersim.analysis.collisions import Losses, losses_of
from clustersim.analysis.communication import AxisTraffic, exposed_by_axis_ps, traffic_by_axis
from clustersim.analysis.memory import Memory, measure_memory
from clustersim.analysis.rank_blocks import rank_blocks
from clustersim.analysis.waits import Waits, barriers, find_waits, is_one_of, values_at
from clustersim.ops import COMPUTE
from clustersim.trace import Ints, Trace


@dataclass(frozen=True, slots=True)
class RankAccount:
    """Where the time and the memory of ranks went."""

    times: RankTimes
    bubble: Bubble
    memory: Memory
    exposed_ps: list[int]  # by axis: for how long its transfers and collectives were waited for, summed
    compute_end_ps: Ints  # of each rank: end of its last op that computes
    step_end_ps: Ints  # of each step: its last end
    end_ps: Ints  # of each rank: end of its last row
    barrier_ps: Ints  # ``barrier_ps[rank, step]``: when the rank came to the barrier; -1 where there is none


@dataclass(frozen=True, slots=True)
class Account:
    """Where time, memory and traffic of a run went."""

    ranks: RankAccount
    traffic: dict[str, AxisTraffic]
    losses: Losses  # of flows that shared links, in a run that does not come apart
    waits: Waits | None  # of such a run

    def replicas_to_follow(self, trace: Trace) -> list[int]:
        """Return the replicas that the critical path can pass, and that of the busiest rank.

        It begins at the last end, stays within a replica, and leads from a barrier to whoever came there last.
        """
        own = self.ranks
        busy_ps = own.times.compute_ps + own.times.exposed_ps
        ranks = [int(np.argmax(own.end_ps)), int(np.argmax(busy_ps)), *np.argmax(own.barrier_ps, axis=0).tolist()]
        return sorted(set(trace.ranks.replica[ranks].tolist()))


def account_of(trace: Trace) -> Account:
    """Return the account of a run; replicas that have nothing to do with one another are looked at in turn.

    So nothing of the size of the whole trace is made, and what is looked at stays in the processor's cache.
    """
    if trace.folded is not None:
        account = _account_of_part(trace.folded.sample)
        return replace(account, ranks=_of_all_ranks(account.ranks, trace.folded.rank))
    if trace.split is None:
        return _account_of_part(trace)
    # The waits of parts are not kept: together they are larger than the trace.
    parts = [replace(_account_of_part(part), waits=None) for part in trace.parts()]
    if len(parts) == 1:
        return parts[0]
    return Account(
        _together(trace, [part.ranks for part in parts]),
        {axis: _sum_of_traffic([part.traffic[axis] for part in parts]) for axis in parts[0].traffic},
        losses_of(trace),
        None,
    )


def _account_of_part(trace: Trace) -> Account:
    """Return the account of replicas that may meet in groups and on links, a few ranks at a time."""
    accounts, found = [], []
    for block in rank_blocks(trace):
        waits = find_waits(block)
        accounts.append(_account_of_block(block, waits))
        found.append(waits.of_ops(len(block.ops)))
    if len(accounts) > 1:
        waits = find_waits(trace, found)
    losses, ranks = losses_of(trace), _together(trace, accounts)
    return Account(ranks, traffic_by_axis(trace, ranks.exposed_ps, losses), losses, waits)


def _account_of_block(block: Trace, waits: Waits) -> RankAccount:
    ops, times = block.ops, rank_times(block, waits)
    step_end_ps = np.zeros(block.num_steps, dtype=np.int64)
    last_of_steps = block.once("last of steps", _last_of_steps)
    np.maximum.at(step_end_ps, ops.step[last_of_steps], ops.end_ps[last_of_steps])
    compute_end_ps = np.zeros(len(block.ranks), dtype=np.int64)
    last = block.once("last compute", _last_compute)
    compute_end_ps[ops.rank_index[last]] = ops.end_ps[last]
    return RankAccount(
        times,
        measure_bubble(block, waits, times),
        measure_memory(block),
        exposed_by_axis_ps(block, waits),
        compute_end_ps,
        step_end_ps,
        ops.end_ps[block.ranks.first_op[1:] - 1],
        _barriers_ps(block, waits),
    )


def _barriers_ps(trace: Trace, waits: Waits) -> Ints:
    """Return when each rank came to the barrier of each step: its row before had ended, and its messages were there."""
    ops, transfers = trace.ops, trace.transfers
    came_ps = np.full((len(trace.ranks), trace.num_steps), -1, dtype=np.int64)
    rows = trace.once("barriers", barriers)
    arrived_ps = values_at(transfers.end_ps, waits.transfer[rows], 0)
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


def _of_all_ranks(account: RankAccount, rank: Ints) -> RankAccount:
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


def _together(trace: Trace, parts: Sequence[RankAccount]) -> RankAccount:
    """Return the account of all ranks, given those of some after the other."""
    if len(parts) == 1:
        return parts[0]
    times = RankTimes(*_joined([part.times for part in parts], [column.name for column in fields(RankTimes)]))
    memory = Memory(*_joined([part.memory for part in parts], [column.name for column in fields(Memory)]))
    compute_end_ps, end_ps, barrier_ps = _joined(parts, ("compute_end_ps", "end_ps", "barrier_ps"))
    return RankAccount(
        times,
        sum_of_bubbles(trace, times, [part.bubble for part in parts]),
        memory,
        [sum(on_axis_ps) for on_axis_ps in zip(*(part.exposed_ps for part in parts), strict=True)],
        compute_end_ps,
        np.maximum.reduce([part.step_end_ps for part in parts]),
        end_ps,
        barrier_ps,
    )


def _joined(parts: Sequence[object], names: Sequence[str]) -> list[Ints]:
    return [np.concatenate([getattr(part, name) for part in parts]) for name in names]


def _sum_of_traffic(parts: Sequence[AxisTraffic]) -> AxisTraffic:
    return AxisTraffic(
        sum(part.size_bytes for part in parts),
        sum(part.busy_ps for part in parts),
        sum(part.exposed_ps for part in parts),
        sum(part.slowed_ps for part in parts),
    )
