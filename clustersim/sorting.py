"""The order of rows by columns of whole numbers, sixteen bits after sixteen bits.

For numbers of sixteen bits numpy's stable sort is a radix sort, which compares nothing; for longer ones it is one that
compares rows, and takes some five times as long for all of their bits.

References
----------
Knuth, "The Art of Computer Programming", vol. 3, 5.2.5 (sorting by distribution, the least digit first).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

_Ints = NDArray[np.int64]

_BITS, _BITS_OF_DIGIT = 63, 16


def order_by(*columns: _Ints) -> _Ints:
    """Return the order of rows by columns of numbers, the first of which counts most; equal rows stay in place.

    Examples
    --------
    >>> order_by(np.array([1, 0, 1, 0]), np.array([5, 7, 4, 7])).tolist()
    [1, 3, 2, 0]
    """
    order: _Ints | None = None
    for digit in _digits(columns):
        if order is None:
            order = np.argsort(digit, kind="stable")
        else:
            order = order.take(np.argsort(digit.take(order), kind="stable"))
    return np.arange(len(columns[0])) if order is None else order


def kinds_of(column: _Ints) -> tuple[_Ints, _Ints]:
    """Return the values of a column, each once and in order, and which of them each row has.

    Examples
    --------
    >>> values, number = kinds_of(np.array([7, 3, 7]))
    >>> values.tolist(), number.tolist()
    ([3, 7], [1, 0, 1])
    """
    order = order_by(column)
    in_order = column.take(order)
    is_first = np.ones(len(column), dtype=np.bool_)
    np.not_equal(in_order[1:], in_order[:-1], out=is_first[1:])
    number = np.empty(len(column), dtype=np.int64)
    number[order] = np.cumsum(is_first) - 1
    return np.compress(is_first, in_order), number


def _digits(columns: Sequence[_Ints]) -> Iterator[NDArray[np.uint16]]:
    """Yield what orders rows by columns, sixteen bits at a time, those that count least first."""
    for key, width in _joined(columns):
        for shift in range(0, width, _BITS_OF_DIGIT):
            yield (key >> shift).astype(np.uint16)  # which keeps the lowest bits


def _joined(columns: Sequence[_Ints]) -> Iterator[tuple[_Ints, int]]:
    """Yield columns as parts of as few as they fit into, and how many bits those have; the last ones come first."""
    joined, joined_width = np.zeros(len(columns[0]), dtype=np.int64), 0
    for column in reversed(columns):
        least, most = int(column.min(initial=0)), int(column.max(initial=0))
        width = (most - least).bit_length()
        if joined_width + width > _BITS:
            yield joined, joined_width
            joined, joined_width = np.zeros_like(joined), 0
        joined |= (column - least) << joined_width  # wraps around where it takes all bits, which stay as they are
        joined_width += width
    yield joined, joined_width
