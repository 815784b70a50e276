"""The peaks of memory of a schedule's order, for the activations of many layouts: no rank waits for others in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clustersim.ops import Kind, Order, Schedule, StageCosts, actions_in

Numbers = NDArray[np.int64]


class OrderPeaks:
    """One schedule, ready to be evaluated with what many layouts hold."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self._moments: dict[tuple[int, ...], list[Numbers]] = {}

    def activation_peaks(self, costs: Sequence[StageCosts]) -> list[int]:
        """Return the peak of what each rank holds of activations, micro-batches being full. [bytes]

        Stages whose costs are one object are counted together.
        """
        classes = {identity: number for number, identity in enumerate(dict.fromkeys(map(id, costs)))}
        class_of_stage = tuple([classes[id(cost)] for cost in costs])
        if class_of_stage not in self._moments:
            orders = self.schedule.orders
            self._moments[class_of_stage] = [_moments(order, class_of_stage, len(classes)) for order in orders]
        cost_of_class = {classes[id(cost)]: _held_by_state(cost) for cost in costs}
        sizes = np.array([size for number in range(len(classes)) for size in cost_of_class[number]], dtype=np.int64)
        return [int((states @ sizes).max()) for states in self._moments[class_of_stage]]


def _moments(order: Order, class_of_stage: Sequence[int], num_classes: int) -> Numbers:
    """Return every different state of a rank's memory at the start of an op, those that others exceed left out.

    Each row has, by class of stages, the micro-batches between F and backward, those between I and W, the forwards that
    start, and the backwards that start.
    """
    actions = [(number, *action) for number, slot in enumerate(order) for action in actions_in(slot)]
    number, kind, stage, _ = np.array(actions, dtype=np.int64).reshape(-1, 4).T
    column = np.array(class_of_stage, dtype=np.int64)[stage]
    is_forward, is_weight_grad = kind == Kind.F, kind == Kind.W
    is_back = ~is_forward & ~is_weight_grad
    change = np.zeros((len(order) + 1, 4 * num_classes), dtype=np.int64)
    started = np.zeros((len(order), 4 * num_classes), dtype=np.int64)
    np.add.at(change, (number + 1, 4 * column), is_forward.astype(np.int64) - is_back)
    np.add.at(change, (number + 1, 4 * column + 1), (kind == Kind.I).astype(np.int64) - is_weight_grad)
    np.add.at(started, (number, 4 * column + 2), is_forward)
    np.add.at(started, (number, 4 * column + 3), is_back)
    return _largest(np.unique(np.cumsum(change[:-1], axis=0) + started, axis=0))


def _largest(states: Numbers) -> Numbers:
    """Return the rows that no other one has at least as much of everything as."""
    kept = np.empty((0, states.shape[1]), dtype=np.int64)
    for state in states[np.argsort(-states.sum(axis=1), kind="stable")]:
        if not (kept >= state).all(axis=1).any():
            kept = np.append(kept, [state], axis=0)
    return kept


def _held_by_state(cost: StageCosts) -> tuple[int, int, int, int]:
    """Return what each column of a class of stages stands for. [bytes]"""
    kept, whole = cost.kept_bytes, cost.activation_bytes
    return kept, cost.weight_grad_activation_bytes, whole, whole - kept
