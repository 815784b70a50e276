"""The busiest rank: whose compute and exposed communication together take longest, and what of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from clustersim.analysis.bubble import RankTimes
from clustersim.analysis.waits import Waits
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


def busiest_rank(trace: Trace, waits: Waits, times: RankTimes) -> BusyRank:
    """Return the rank with the most compute and exposed communication, the first of several."""
    row = int(np.argmax(times.compute_ps + times.exposed_ps))
    return BusyRank(int(trace.ranks.rank[row]), _compute_ps(trace, row), _exposed_ps(trace, waits, row))


def _compute_ps(trace: Trace, row: int) -> dict[OpPlace, int]:
    ops = trace.ops
    mine = slice(int(trace.ranks.first_op[row]), int(trace.ranks.first_op[row + 1]))
    places = np.stack([ops.kind[mine], ops.stage[mine], ops.backward_stage[mine]])
    found = _summed(places, ops.end_ps[mine] - ops.start_ps[mine])
    return {(Kind(kind), stage, backward_stage): time_ps for (kind, stage, backward_stage), time_ps in found}


def _exposed_ps(trace: Trace, waits: Waits, row: int) -> dict[tuple[str, tuple[int, ...]], int]:
    mine = slice(*trace.ranks.first_op[row : row + 2].tolist())  # after its last row nothing is exposed
    collective, collectives = waits.collective[mine], trace.collectives
    shared = np.flatnonzero(collective >= 0)
    axis, group = np.append(trace.transfers.axis, -1)[waits.transfer[mine]], np.full(len(collective), -1)
    axis[shared], group[shared] = collectives.axis[collective[shared]], collectives.group[collective[shared]]
    gpu, copies, found = trace.ranks.gpu, trace.copies, dict[tuple[str, tuple[int, ...]], int]()
    for (on_axis, number), time_ps in _summed(np.stack([axis, group]), waits.exposed_ps[mine]):
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
