"""The collectives of groups in lockstep and their phases, group after group, as traces have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from clustersim.columns import starts
from clustersim.engine.group import Kinds
from clustersim.engine.group_vectors import GroupVector
from clustersim.engine.noted_groups import NotedCollectives, NotedPhases, NotedRates
from clustersim.ops import CollectivePlan, Job, Phase
from clustersim.trace import Ints

T = TypeVar("T", bound=np.generic)


class GroupTable:
    """The columns of all groups, each of which is noted with the vector that it belongs to.

    Parameters
    ----------
    job
        Whose groups they are.
    vectors
        All of them.
    """

    def __init__(self, job: Job, vectors: Sequence[GroupVector]) -> None:
        self._plans, self._kinds = Kinds[CollectivePlan](), Kinds[Phase]()
        self._rate_of_kind: list[tuple[int, float, int]] = []  # how each drains alone: time, rate, bottleneck
        num_collectives = np.zeros(len(job.groups), dtype=np.int64)
        for vector in vectors:
            num_collectives[vector.numbers] = len(vector.kinds)
        self._first = starts(num_collectives)  # row of the first collective of each group
        num_phases = np.empty(self._first[-1], dtype=np.int64)
        for vector in vectors:
            of_kinds = vector.has_phase.sum(axis=1)
            num_phases[_rows(self._first, vector.numbers)] = of_kinds[vector.kind_numbers].T.reshape(-1)
        first_phase = starts(num_phases)
        self._first_phase = first_phase[self._first]  # row of the first phase of each group
        self._group = np.repeat(np.arange(len(job.groups)), num_collectives)
        self._of_collectives = np.empty((4, len(num_phases)), dtype=np.int64)  # plan, and times
        self._collective = np.repeat(np.arange(len(num_phases)), num_phases)
        self._of_phases = np.empty((3, len(self._collective)), dtype=np.int64)  # kind, and times
        self._is_alone = np.ones(len(self._collective), dtype=np.bool_)
        self.num_flows = 0  # phases that could meet other flows

    def note(self, vector: GroupVector, met: Ints) -> Ints:
        """Note what the groups of a vector have done, and return the rows of phases that met other flows.

        Those are given as places in a table ``[collective, phase, group]`` of all that there are.
        """
        plan = np.array([[self._plans.number(one) for one in own.plans] for own in vector.plans.values()])
        rows, kinds = _rows(self._first, vector.numbers), vector.kind_numbers
        for column, values in zip(
            self._of_collectives, (plan[kinds], vector.queued_ps, vector.start_ps, vector.end_ps), strict=True
        ):
            column[rows] = values.T.reshape(-1)
        phases, has_phase = _rows(self._first_phase, vector.numbers), vector.has_phase[kinds]
        is_there = None if vector.has_phase.all() else np.flatnonzero(_group_by_group(has_phase))
        for column, values in zip(
            self._of_phases, (self._kinds_of(vector)[kinds], *vector.phases_ps(np.arange(len(kinds)))), strict=True
        ):
            in_order = _group_by_group(values)
            column[phases] = in_order if is_there is None else in_order[is_there]
        self.num_flows += int(has_phase[..., ~vector.has_own_links].sum())
        collective, phase, group = np.unravel_index(met, has_phase.shape)
        place = (group * has_phase.shape[0] + collective) * has_phase.shape[1] + phase
        if is_there is not None:
            place = np.searchsorted(is_there, place)
        found: Ints = place + phases.start if isinstance(phases, slice) else phases[place]
        self._is_alone[found] = False
        return found

    def _kinds_of(self, vector: GroupVector) -> Ints:
        """Return the number of each phase of each kind of collective; ``[kind, phase, group]``."""
        kinds = np.zeros(vector.drain_ps.shape, dtype=np.int64)
        for number, plan in enumerate(vector.plans.values()):
            for group, (own, rates) in enumerate(zip(plan.plans, plan.alone, strict=True)):
                for phase, (one, alone) in enumerate(zip(own.phases, rates, strict=True)):
                    kinds[number, phase, group] = kind = self._kinds.number(one)
                    if kind == len(self._rate_of_kind):
                        drain_ps = int(plan.drain_ps[phase, group])
                        self._rate_of_kind.append((drain_ps, float(alone.rate), alone.bottleneck))
        return kinds

    def collectives(self) -> NotedCollectives:
        """Return the collectives."""
        order = np.arange(len(self._group)) - self._first[self._group]
        return NotedCollectives(self._plans.known, self._group, order, *self._of_collectives)

    def phases(self) -> NotedPhases:
        """Return their phases."""
        return NotedPhases(self._kinds.known, self._collective, *self._of_phases)

    def rates_alone(self, num_messages: int) -> NotedRates:
        """Return the rates of those phases that met no other flow, which are numbered from `num_messages` on."""
        if not self._rate_of_kind:
            return NotedRates()
        kind, start_ps, _ = self._of_phases
        drains_ps, bytes_per_s, bottleneck = (np.array(column) for column in zip(*self._rate_of_kind, strict=True))
        rows = np.flatnonzero(self._is_alone & (drains_ps > 0)[kind])
        kind = kind[rows]
        return NotedRates(num_messages + rows, start_ps[rows], bytes_per_s[kind], bottleneck[kind])


def _rows(first: Ints, numbers: Sequence[int]) -> slice | Ints:
    """Return the rows of some lists, given where each list begins, and the end of the last."""
    begin, end = first[numbers], first[1:][numbers]
    if (begin[1:] == end[:-1]).all():
        return slice(int(begin[0]), int(end[-1]))
    return np.concatenate([np.arange(*bounds) for bounds in zip(begin.tolist(), end.tolist(), strict=True)])


def _group_by_group(table: NDArray[T]) -> NDArray[T]:
    """Return ``[collective, phase, group]`` as one column, by group, then collective, then phase."""
    return table.transpose(2, 0, 1).reshape(-1)
