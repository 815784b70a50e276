"""A quick proof that a schedule is right, for the many that are; what is wrong with another, the checker finds out."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from clustersim.ops import Kind, Schedule
from clustersim.schedules.columns import ActionColumns, Numbers
from clustersim.schedules.places import Places


def can_be_run(places: Places) -> bool:
    """Return whether a schedule of one chain without overlapped slots is certainly right; False: it may be, too."""
    schedule, actions = places.schedule, places.actions
    if len(schedule.chains) != 1 or actions.has_overlaps or not len(actions.kind):
        return False
    if not _is_where_it_lives(schedule, actions):
        return False
    position = np.arange(len(actions.kind)) - np.repeat(actions.first[:-1], np.diff(actions.first))
    made_at = np.full(places.num_places + 1, -1)
    made_at[places.makes] = position
    made_at[-1] = 0  # of what waits for nothing
    if not _is_complete(places, position, made_at[:-1]):
        return False
    return _is_in_lockstep(places, position, made_at) or _runs_to_its_end(places)


def _is_where_it_lives(schedule: Schedule, actions: ActionColumns) -> bool:
    """Return whether actions are such as there are, each on the rank of its stage."""
    num_stages = schedule.num_stages
    for column, smallest, largest in (
        (actions.kind, Kind.F, Kind.W),
        (actions.stage, 0, num_stages - 1),
        (actions.microbatch, 0, schedule.shape.num_microbatches - 1),
    ):
        if column.min() < smallest or column.max() > largest:
            return False
    if sorted(schedule.chains[0]) != list(range(num_stages)):
        return False
    return np.array_equal(np.array(schedule.rank_by_stage).take(actions.stage), actions.rank)


def _is_complete(places: Places, position: Numbers, made_at: Numbers) -> bool:
    """Return whether each micro-batch of a stage has F, then B, or I and W, once each.

    Parameters
    ----------
    places
        What actions make.
    position
        Of each action on its rank.
    made_at
        The position of the action that makes what has each place, one of them if there are several; -1: none.
    """
    weight_grads = places.weight_grads
    # As many actions as there are places filled: none comes twice.
    if made_at.min() < 0 or len(position) - len(weight_grads) != len(made_at):
        return False
    backward_at, forward_at = np.moveaxis(made_at.reshape(-1, 2, places.num_microbatches), 1, 0)
    if not (backward_at > forward_at).all():
        return False
    (input_grads,) = np.nonzero(places.actions.kind == Kind.I)
    if not len(input_grads) and not len(weight_grads):
        return True
    of_input_grads, of_weight_grads = (
        places.actions.stage[rows] * places.num_microbatches + places.actions.microbatch[rows]
        for rows in (input_grads, weight_grads)
    )
    ends_at = np.full(backward_at.size, -1)
    ends_at[of_weight_grads] = position[weight_grads]
    are_after = (ends_at[of_input_grads] > position[input_grads]).all()
    return bool(are_after) and len(weight_grads) == len(input_grads)


def _is_in_lockstep(places: Places, position: Numbers, made_at: Numbers) -> bool:
    """Return whether no action waits for one that its own rank has at a later position.

    Then no ranks wait in a circle. Along one, positions would never fall, and rise with each step from an action to
    the next of its rank. So it would have to go over messages alone; but those of a micro-batch go down its chain, or
    up, and never back. Most schedules are so; the others may be right as well.
    """
    return bool((made_at.take(places.needs) <= position).all())


def _runs_to_its_end(places: Places) -> bool:
    """Return whether no ranks wait for one another in a circle."""
    needs, makes, first = places.needs, places.makes, places.actions.first
    is_done = bytearray(places.num_places + 1)
    is_done[-1] = 1  # what waits for nothing
    waiting: dict[int, int] = {}  # ranks, by what they wait for
    bounds = pairwise(first.tolist())
    rows = [zip(needs[begin:end].tolist(), makes[begin:end].tolist(), strict=True) for begin, end in bounds]
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
