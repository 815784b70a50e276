"""The busiest rank: whose compute and exposed communication together take longest, and what of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from clustersim.analysis.bubble import RankTimes
from clustersim.analysis.rank_blocks import of_ranks
from clustersim.analysis.waits import Waits, find_waits, values_at
from clustersim.ops import Kind
from clustersim.trace import AXES, Ints, Trace

OpPlace = tuple[Kind, int, int]
"""Kind and stage of an op, and the backward's stage in an overlapped slot; -1 where there is none."""


@dataclass(frozen=True, slots=True)
class BusyRank:
    """What one rank was busy with over the run; the values of both mappings add up to its busy time. [ps]"""

    rank: int
    compute_ps: Mapping[OpPlace, int]
    exposed_ps: Mapping[tuple[str, tuple[int, ...]], int]  # by axis and the GPUs of the group; no GPUs: messages


def busiest_rank(trace: Trace, times: RankTimes) -> BusyRank:
    """Return the rank with the most compute and exposed communication, the first of several, given all their times."""
    row = int(np.argmax(times.compute_ps + times.exposed_ps))
    alone = of_ranks(trace, row, row + 1)
    return BusyRank(int(trace.ranks.rank[row]), _compute_ps(alone), _exposed_ps(trace, find_waits(alone)))


def _compute_ps(alone: Trace) -> dict[OpPlace, int]:
    ops = alone.ops
    found = _summed(np.stack([ops.kind, ops.stage, ops.backward_stage]), ops.end_ps - ops.start_ps)
    return {(Kind(kind), stage, backward_stage): time_ps for (kind, stage, backward_stage), time_ps in found}


def _exposed_ps(trace: Trace, waits: Waits) -> dict[tuple[str, tuple[int, ...]], int]:
    collective, collectives = waits.collective, trace.collectives
    shared = np.flatnonzero(collective >= 0)
    axis, group = values_at(trace.transfers.axis, waits.transfer, -1), np.full(len(collective), -1)
    axis[shared], group[shared] = collectives.axis[collective[shared]], collectives.group[collective[shared]]
    gpu, copies, found = trace.ranks.gpu, trace.copies, dict[tuple[str, tuple[int, ...]], int]()
    for (on_axis, number), time_ps in _summed(np.stack([axis, group]), waits.exposed_ps):
        members: tuple[int, ...] = ()
        if number >= 0:
            own = tuple(int(gpu[member]) for member in trace.groups[number])
            members = own if copies is None else copies.group_gpus[number]
        found[AXES[on_axis], members] = found.get((AXES[on_axis], members), 0) + time_ps
    return found


def _summed(keys: Ints, times_ps: Ints) -> list[tuple[tuple[int, ...], int]]:
    """Return each column of `keys` with the sum of its times, in the order in which they first come; none of 0. [ps]"""
    rows = np.flatnonzero(times_ps > 0)
    keys, times_ps = keys[:, rows], times_ps[rows]
    code = np.zeros(len(rows), dtype=np.int64)
    for key in keys:
        code = code * (int(key.max(initial=0)) + 2) + key + 1
    codes, first, number = np.unique(code, return_index=True, return_inverse=True)
    sums = np.zeros(len(codes), dtype=np.int64)
    np.add.at(sums, number, times_ps)
    order = np.argsort(first)
    return list(zip(map(tuple, keys[:, first[order]].T.tolist()), sums[order].tolist(), strict=True))
