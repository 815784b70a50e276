"""Sums over many GPUs, exactly: in picoseconds, 64 bits hold no more than 106 days of one GPU, or 92 s of 100,000."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from clustersim.errors import Fault, InputError

_Ints = NDArray[np.int64]

_BITS = 63  # that a sum has room in
_BITS_OF_PART = 21  # of each number: a third, so that 2**42 of them can be added up


def total(numbers: _Ints, times: _Ints | None = None) -> int:
    """Return the sum of whole numbers, each taken so many times; it may be beyond 64 bits.

    Examples
    --------
    >>> total(np.array([2**62, 2**62, -1])) == 2**63 - 1
    True
    >>> total(np.array([2**62, -5]), np.array([8, 1])) == 2**65 - 5
    True
    """
    return sum(int((part if times is None else part * times).sum()) << bits for bits, part in _parts(numbers, times))


def totals(place: NDArray[np.signedinteger], numbers: _Ints, num_places: int, times: _Ints | None = None) -> list[int]:
    """Return the sum at each place, given where each number belongs; otherwise as :func:`total`.

    Examples
    --------
    >>> totals(np.array([1, 0, 1]), np.array([2**62, 7, 2**62]), 3) == [7, 2**63, 0]
    True
    """
    found = [0] * num_places
    for bits, part in _parts(numbers, times):
        sums = np.zeros(num_places, dtype=np.int64)
        np.add.at(sums, place, part if times is None else part * times)
        found = [known + (more << bits) for known, more in zip(found, sums.tolist(), strict=True)]
    return found


def lost_at_links(link: _Ints, lost_ps: _Ints, num_links: int) -> _Ints:
    """Return what flows lost at each link in all, given what was lost where. [ps]

    Raises
    ------
    InputError
        At one of them it is beyond 64 bits.
    """
    sums_ps = totals(link, lost_ps, num_links)
    most_ps = max(sums_ps, default=0)
    if most_ps >= 2**_BITS:
        raise too_long(f"flows lose {most_ps:.2g} ps at one link in all; allowed: below 2**{_BITS} ps (106 days)")
    return np.array(sums_ps, dtype=np.int64)


def too_long(what: str) -> InputError:
    """Return the error of a time that is too long to be counted."""
    hint = "a time or a bandwidth may be in the wrong unit; else take fewer steps or micro-batches"
    return InputError(Fault("", what, hint=hint))


def _parts(numbers: _Ints, times: _Ints | None) -> Iterator[tuple[int, _Ints]]:
    """Yield numbers whole, if their sums have room, or else in parts; with each, by how many bits it is further up."""
    num_summands = len(numbers) if times is None else int(times.sum())
    largest = max(int(numbers.max(initial=0)), -int(numbers.min(initial=0)))
    if largest * num_summands < 2**_BITS:
        yield 0, numbers
        return
    for bits in range(0, _BITS, _BITS_OF_PART):
        is_last = bits + _BITS_OF_PART >= _BITS  # which has the sign
        rest = numbers >> bits
        yield bits, rest if is_last else rest & (2**_BITS_OF_PART - 1)
