"""A quick proof that a schedule is right, for the many that are; what is wrong with another, the checker finds out."""

from __future__ import annotations

import numpy as np

from clustersim.ops import Kind, Schedule
from clustersim.schedules.columns import ActionColumns, Numbers


def can_be_run(schedule: Schedule, columns: ActionColumns) -> bool:
    """Return whether a schedule of one chain without overlapped slots is certainly right; False: it may be, too."""
    if len(schedule.chains) != 1 or columns.has_overlaps or not len(columns.kind):
        return False
    if not _is_complete(schedule, columns):
        return False
    needs, makes = _needs_and_makes(schedule, columns)
    return _is_in_lockstep(columns, needs, makes) or _runs_to_its_end(schedule, columns, needs, makes)


def _is_complete(schedule: Schedule, columns: ActionColumns) -> bool:
    """Return whether each micro-batch of a stage has F, then B, or I and W, once each, where the stage lives."""
    kind, stage, microbatch, rank = columns[:4]
    num_microbatches, num_stages = schedule.shape.num_microbatches, schedule.num_stages
    for column, smallest, largest in (
        (kind, Kind.F, Kind.W),
        (stage, 0, num_stages - 1),
        (microbatch, 0, num_microbatches - 1),
    ):
        if column.min() < smallest or column.max() > largest:
            return False
    if (np.array(schedule.rank_by_stage)[stage] != rank).any():
        return False
    if sorted(schedule.chains[0]) != list(range(num_stages)):
        return False
    position = np.full(4 * num_stages * num_microbatches, -1)
    position[(kind * num_stages + stage) * num_microbatches + microbatch] = np.arange(len(kind))
    forward, backward, input_grad, weight_grad = position.reshape(4, num_stages, num_microbatches)
    is_fused = (backward > forward) & (input_grad < 0) & (weight_grad < 0)
    is_parted = (backward < 0) & (input_grad > forward) & (weight_grad > input_grad)
    # As many actions as there are places filled: none comes twice.
    return bool(((forward >= 0) & (is_fused | is_parted)).all()) and np.count_nonzero(position >= 0) == len(kind)


def _is_in_lockstep(columns: ActionColumns, needs: Numbers, makes: Numbers) -> bool:
    """Return whether no action waits for one that its own rank has at a later position.

    Then no ranks wait in a circle. Along one, positions would never fall, and rise with each step from an action to
    the next of its rank. So it would have to go over messages alone; but those of a micro-batch go down its chain, or
    up, and never back. Most schedules are so; the others may be right as well.
    """
    position = np.arange(len(needs)) - np.repeat(columns.first[:-1], np.diff(columns.first))
    made_at = np.zeros(int(makes.max(initial=0)) + 2, dtype=np.int64)  # the last one is for what waits for nothing
    made_at[makes] = position
    made_at[-1] = 0
    return bool((made_at[needs] <= position).all())


def _runs_to_its_end(schedule: Schedule, columns: ActionColumns, needs: Numbers, makes: Numbers) -> bool:
    """Return whether no ranks wait for one another in a circle."""
    is_done = bytearray(2 * schedule.num_stages * schedule.shape.num_microbatches + 1)
    is_done[-1] = 1  # what waits for nothing
    waiting: dict[int, int] = {}  # ranks, by what they wait for
    bounds = zip(columns.first[:-1].tolist(), columns.first[1:].tolist(), strict=True)
    rows = [zip(needs[first:last].tolist(), makes[first:last].tolist(), strict=True) for first, last in bounds]
    blocked_at = [-1] * len(rows)  # what the action makes at which each rank waits
    ready = list(range(len(rows) - 1, -1, -1))
    num_at_end = 0
    while ready:
        rank = ready.pop()
        made = blocked_at[rank]
        is_done[made] = 1
        if made in waiting:
            ready.append(waiting.pop(made))
        for need, made in rows[rank]:
            if not is_done[need]:
                waiting[need], blocked_at[rank] = rank, made
                break
            is_done[made] = 1
            if made in waiting:
                ready.append(waiting.pop(made))
        else:
            num_at_end += 1
    return num_at_end == len(rows)


def _needs_and_makes(schedule: Schedule, columns: ActionColumns) -> tuple[Numbers, Numbers]:
    """Return what each action waits for, and what it makes: a place among all (stage, is forward, micro-batch), or -1.

    A weight gradient waits for its own rank only, and so does what begins a chain.
    """
    kind, stage, microbatch = columns[:3]
    m, (previous, following) = schedule.shape.num_microbatches, schedule.neighbours()
    source = np.stack([following, previous], axis=1).reshape(-1)  # of the backwards of each stage, and its forwards
    is_forward = np.arange(len(source)) % 2
    first_place = np.where(source < 0, -m, (2 * source + is_forward) * m)  # of what they need; below 0 there is nothing
    which = 2 * stage + (kind == Kind.F)
    needs, makes = np.maximum(first_place[which] + microbatch, -1), which * m + microbatch
    if columns.has(Kind.W):
        is_weight_grad = kind == Kind.W
        needs[is_weight_grad] = makes[is_weight_grad] = -1
    return needs, makes
