"""Runs of actions, made all at once: arrays with a row (kind, stage, micro-batch) for each."""

from __future__ import annotations

import numpy as np

from clustersim.ops import Kind
from clustersim.schedules.columns import Numbers


def actions(kind: Kind, stage: int, num_microbatches: int) -> Numbers:
    """Return the same action for micro-batches 0, 1, and so on.

    Examples
    --------
    >>> from clustersim.ops import Kind
    >>> actions(Kind.F, 2, 3).tolist()
    [[0, 2, 0], [0, 2, 1], [0, 2, 2]]
    """
    run = _empty(num_microbatches)
    run[:, 0], run[:, 1], run[:, 2] = kind, stage, np.arange(num_microbatches)
    return run


def in_turn(first: Numbers, second: Numbers) -> Numbers:
    """Return one of the first run and one of the second, again and again; both are as long.

    Examples
    --------
    >>> from clustersim.ops import Kind
    >>> in_turn(actions(Kind.F, 2, 2), actions(Kind.B, 2, 2)).tolist()
    [[0, 2, 0], [1, 2, 0], [0, 2, 1], [1, 2, 1]]
    """
    run = _empty(2 * len(first))
    run[::2], run[1::2] = first, second
    return run


def _empty(num_actions: int) -> Numbers:
    """Return room for a run, whose columns lie one after the other, as they will be taken apart."""
    return np.empty((3, num_actions), dtype=np.int64).T
