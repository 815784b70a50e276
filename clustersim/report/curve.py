"""Curves over time, as a row of levels."""

from __future__ import annotations

import numpy as np

from clustersim.analysis.memory import MemoryCurve
from clustersim.trace import Ints


def largest_by_column(curve: MemoryCurve, rank_index: int, end_ps: int, num_columns: int) -> Ints:
    """Return the largest value of one rank's curve in each of `num_columns` equal parts of the time to `end_ps`."""
    first, last = np.searchsorted(curve.rank_index, [rank_index, rank_index + 1])
    time_ps, value = curve.time_ps[first:last], curve.value[first:last]
    edges = np.array([end_ps * column // num_columns for column in range(num_columns + 1)], dtype=np.int64)
    carried = np.searchsorted(time_ps, edges[:-1], side="right")  # what was reached when the column begins
    largest = np.concatenate([[0], value])[carried]
    column_of = np.clip(np.searchsorted(edges, time_ps, side="right") - 1, 0, num_columns - 1)
    np.maximum.at(largest, column_of, value)
    return largest


def as_levels(values: Ints, largest: int, levels: str) -> str:
    """Return one character a value, the last of `levels` for `largest`; only nothing looks like nothing.

    Examples
    --------
    >>> as_levels(np.array([0, 1, 50, 100]), 100, " .:#")
    ' .:#'
    """
    steps = len(levels) - 1
    return "".join(levels[-(-int(value) * steps // largest) if largest else 0] for value in values)
