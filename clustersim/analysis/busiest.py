"""The busiest rank: whose compute and exposed communication together take longest, and what of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from clustersim.analysis.bubble import RankTimes
from clustersim.analysis.waits import Waits
from clustersim.ops import Kind
from clustersim.trace import AXES, Trace

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
    ops, found = trace.ops, dict[OpPlace, int]()
    mine = slice(int(trace.ranks.first_op[row]), int(trace.ranks.first_op[row + 1]))
    duration_ps = (ops.end_ps[mine] - ops.start_ps[mine]).tolist()
    columns = (ops.kind[mine].tolist(), ops.stage[mine].tolist(), ops.backward_stage[mine].tolist())
    for kind, stage, backward_stage, time_ps in zip(*columns, duration_ps, strict=True):
        if time_ps:
            place = (Kind(kind), stage, backward_stage)
            found[place] = found.get(place, 0) + time_ps
    return found


def _exposed_ps(trace: Trace, waits: Waits, row: int) -> dict[tuple[str, tuple[int, ...]], int]:
    found: dict[tuple[str, tuple[int, ...]], int] = {}
    gpu, copies = trace.ranks.gpu, trace.copies
    first, last = trace.ranks.first_op[row : row + 2].tolist()  # after its last row nothing is exposed
    for number in (first + np.flatnonzero(waits.exposed_ps[first:last] > 0)).tolist():
        collective = int(waits.collective[number])
        if collective >= 0:
            axis = AXES[int(trace.collectives.axis[collective])]
            group = int(trace.collectives.group[collective])
            own = tuple(int(gpu[member]) for member in trace.groups[group])
            members = own if copies is None else copies.group_gpus[group]
        else:
            axis, members = AXES[int(trace.transfers.axis[int(waits.transfer[number])])], ()
        found[axis, members] = found.get((axis, members), 0) + int(waits.exposed_ps[number])
    return found
