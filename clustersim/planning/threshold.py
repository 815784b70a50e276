"""The largest number that something holds for, where some numbers can't be asked about."""

from __future__ import annotations

from collections.abc import Callable, Iterator

_MOST_DOUBLINGS = 20
_NEIGHBOURS = 16  # tried about a number that is refused, as shapes must often be even, or a multiple of an axis

Fits = Callable[[int], bool | None]
"""Returns whether a number fits; None for one that can't be asked about."""


def largest_that_fits(fits: Fits, start: int) -> int | None:
    """Return the largest number found that `fits`, which holds up to some number and for none beyond; None for none.

    Parameters
    ----------
    fits
        What is asked of numbers from 1.
    start
        Where the search begins: a number that is likely not refused.

    Notes
    -----
    A refusal is no answer. Of a number that is refused, the nearest that is not answers for it. Where all about it are,
    the number is too small for the rest if nothing has fitted yet, and too large for it otherwise. Doubling ends after
    20 times, and at a number that is refused with all about it.

    Examples
    --------
    >>> [largest_that_fits(lambda n: n <= most, 3) for most in (0, 1, 3, 6, 8)]
    [None, 1, 3, 6, 8]
    >>> largest_that_fits(lambda n: None if n < 27 else n <= 36, 27)  # too few are refused
    36
    >>> largest_that_fits(lambda n: None if n % 4 else n <= 50, 8)
    48
    >>> largest_that_fits(lambda n: None, 8)
    """
    least, most, has_fitted = 0, start, False
    for _ in range(_MOST_DOUBLINGS):
        found = _nearest_asked(fits, most, least, None)
        if found is None and not has_fitted:
            least, most = most, 2 * most
            continue
        if found is None or not fits(found):
            most = most if found is None else found
            break
        least, most, has_fitted = found, 2 * found, True
    else:
        return least if has_fitted else None  # what is beyond was not tried
    return _bisected(fits, least if has_fitted else 0, most, has_fitted)


def _bisected(fits: Fits, least: int, most: int, has_fitted: bool) -> int | None:
    """Return the largest number found below `most` that fits, `least` fitting if anything has."""
    while most - least > 1:
        middle = (least + most) // 2
        found = _nearest_asked(fits, middle, least, most)
        if found is None:
            least, most = (least, middle) if has_fitted else (middle, most)
        elif fits(found):
            least, has_fitted = found, True
        else:
            most = found
    return least if has_fitted else None


def _nearest_asked(fits: Fits, number: int, least: int, most: int | None) -> int | None:
    """Return the number between two others that is nearest to one and not refused; None if none near it is."""
    return next((near for near in _about(number, least, most) if fits(near) is not None), None)


def _about(number: int, least: int, most: int | None) -> Iterator[int]:
    yield number
    for distance in range(1, _NEIGHBOURS):
        for near in (number + distance, number - distance):
            if least < near and (most is None or near < most):
                yield near
