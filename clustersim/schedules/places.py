"""What each action of a schedule waits for, and what it makes, as places among all outputs."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from clustersim.ops import Kind, Schedule
from clustersim.schedules.columns import ActionColumns, Numbers


class Places:
    """The place of an output is ``(2 * stage + is_forward) * num_microbatches + microbatch``; -1 is none.

    Stages and micro-batches of all actions have to be among those that there are.

    Examples
    --------
    >>> from clustersim.ops import Shape
    >>> from clustersim.schedules.columns import action_columns
    >>> from clustersim.schedules.one_f_one_b import one_f_one_b
    >>> schedule = one_f_one_b(Shape(2, 1))
    >>> places = Places(schedule, action_columns(schedule))
    >>> places.makes.tolist(), places.needs.tolist()
    ([1, 0, 3, 2], [-1, 2, 1, -1])
    """

    def __init__(self, schedule: Schedule, actions: ActionColumns) -> None:
        self.schedule, self.actions = schedule, actions
        self.num_microbatches = schedule.shape.num_microbatches
        self.num_places = 2 * schedule.num_stages * self.num_microbatches

    @cached_property
    def which(self) -> Numbers:
        """Twice the stage of each action, and one more if it is a forward."""
        which: Numbers = 2 * self.actions.stage
        which += self.actions.kind == Kind.F
        return which

    @cached_property
    def weight_grads(self) -> Numbers:
        """The actions that are weight gradients, which wait for their own rank only and make nothing for others."""
        return np.flatnonzero(self.actions.kind == Kind.W)

    @cached_property
    def makes(self) -> Numbers:
        """What each action makes."""
        places = self.which * self.num_microbatches
        places += self.actions.microbatch
        places[self.weight_grads] = -1
        return places

    @cached_property
    def needs(self) -> Numbers:
        """What each action waits for, on its own rank or another; what begins a chain waits for nothing."""
        m, (previous, following) = self.num_microbatches, self.schedule.neighbours()
        source = np.stack([following, previous], axis=1).reshape(-1)  # of the backwards of each stage, and its forwards
        is_forward = np.arange(len(source)) % 2
        places = np.where(source < 0, -m, (2 * source + is_forward) * m).take(self.which)  # below 0 there is nothing
        places += self.actions.microbatch
        np.maximum(places, -1, out=places)
        places[self.weight_grads] = -1
        return places
