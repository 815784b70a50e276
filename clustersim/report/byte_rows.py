"""Rows of bytes, many at once: what a file format repeats for each event, as columns of equal width side by side.

Numbers are written by numpy, a million rows in a fraction of a second. What is shorter than its column is filled up
with what the format takes for nothing: blanks in JSON, further bytes of a varint in protobuf.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from clustersim.trace import Ints

Bytes = NDArray[np.uint8]
ROWS_AT_ONCE = 1 << 15  # what a processor's cache holds
_GROUP = 4  # digits looked up at once
_BLANK, _ZERO = b" 0"


def chunks(num_rows: int) -> Iterator[slice]:
    """Yield the rows of a table in slices of limited length, so that a long one never stands in memory twice."""
    for first in range(0, num_rows, ROWS_AT_ONCE):
        yield slice(first, min(first + ROWS_AT_ONCE, num_rows))


def side_by_side(parts: Sequence[bytes | Bytes], num_rows: int) -> Bytes:
    """Return rows of columns: bytes that are the same in each row, and arrays of one row each.

    Examples
    --------
    >>> side_by_side([b"<", decimals(np.array([7, 42])), b">"], 2).tobytes()
    b'< 7><42>'
    """
    widths = [len(part) if isinstance(part, bytes) else part.shape[1] for part in parts]
    rows = np.empty((num_rows, sum(widths)), dtype=np.uint8)
    begin = 0
    for part, width in zip(parts, widths, strict=True):
        rows[:, begin : begin + width] = np.frombuffer(part, dtype=np.uint8) if isinstance(part, bytes) else part
        begin += width
    return rows


def texts(values: Sequence[bytes], fill: int = _BLANK) -> Bytes:
    """Return texts as rows of equal width, filled up on the right; take rows of it for the names of many events.

    Examples
    --------
    >>> texts([b"ab", b"c"])[[1, 0]].tobytes()
    b'c ab'
    """
    width = max(map(len, values), default=0)
    return np.frombuffer(b"".join(value.ljust(width, bytes([fill])) for value in values), dtype=np.uint8).reshape(
        len(values), width
    )


def decimals(values: Ints) -> Bytes:
    """Return integers of at least 0 as decimal digits, blanks before them.

    Examples
    --------
    >>> decimals(np.array([0, 12345])).tobytes()
    b'    012345'
    """
    width = len(str(int(values.max(initial=0))))
    digits = _digits(values, width)
    num_digits = np.searchsorted(10 ** np.arange(1, 19), values, side="right") + 1
    digits[np.arange(width) < (width - num_digits)[:, np.newaxis]] = _BLANK
    return digits


def microseconds(times_ps: Ints, less_fs: Ints | None = None) -> list[bytes | Bytes]:
    """Return times as decimal microseconds, to the picosecond, or to the femtosecond with some taken off.

    Examples
    --------
    >>> side_by_side(microseconds(np.array([1, 2_500_000])), 2).tobytes()
    b'0.0000012.500000'
    >>> side_by_side(microseconds(np.array([1, 2_500_000]), np.array([0, 2])), 2).tobytes()
    b'0.0000010002.499999998'
    """
    whole, rest = np.divmod(times_ps, 1_000_000)
    if less_fs is None:
        return [decimals(whole), b".", _digits(rest, 6)]
    rest = 1000 * rest - less_fs
    return [decimals(whole - (rest < 0)), b".", _digits(rest % 10**9, 9)]


def _digits(values: Ints, width: int) -> Bytes:
    """Return the last `width` decimal digits of each value."""
    num_groups = -(-width // _GROUP)
    rows = np.empty((len(values), num_groups * _GROUP), dtype=np.uint8)
    for group in reversed(range(num_groups)):
        values, rest = np.divmod(values, 10**_GROUP)
        rows[:, group * _GROUP : (group + 1) * _GROUP] = _groups_of_digits()[rest]
    return rows[:, num_groups * _GROUP - width :]


@cache
def _groups_of_digits() -> Bytes:
    numbers = np.arange(10**_GROUP)
    places = 10 ** np.arange(_GROUP - 1, -1, -1)
    return (numbers[:, np.newaxis] // places % 10 + _ZERO).astype(np.uint8)


def varints(values: Ints) -> Bytes:
    """Return integers of at least 0 as protobuf varints, each as long as the longest; readers take any length to 10.

    Examples
    --------
    >>> varints(np.array([1, 300])).tobytes().hex(" ")
    '81 00 ac 02'

    References
    ----------
    Protocol Buffers, "Encoding", base 128 varints.
    """
    width = max(1, -(-int(values.max(initial=0)).bit_length() // 7))
    rows = np.empty((len(values), width), dtype=np.uint8)
    for place in range(width):
        rows[:, place] = (values >> (7 * place)) & 0x7F | 0x80
    rows[:, -1] &= 0x7F
    return rows
