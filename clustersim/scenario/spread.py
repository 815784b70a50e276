"""Spreads: the values of a sweep's axis that are not listed one by one, but lie between two ends.

Both ends count. They are numbers, or quantities with units; values between have the unit of the first end. Between two
whole numbers only whole numbers lie: write ``1.0`` for fractions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from clustersim.errors import nearest
from clustersim.scenario.kinds import kind_of_unit, split_quantity

MAX_VALUES = 100_000

_FORMS = {
    "range": "{start: 8, stop: 64, step: 8} or, by multiples, {start: 1, stop: 64, factor: 2}",
    "linspace": "{start: 10 ms, stop: 20 ms, num: 5}",
    "geomspace": "{start: 1 MiB, stop: 1 GiB, num: 11}",
    "uniform": "[10 ms, 20 ms]",
    "loguniform": "[1 MiB, 1 GiB]",
}
DRAWN = ("uniform", "loguniform")
"""Spreads from which values are drawn; the others are lists in short."""
_MOST_DIGITS = 30  # as of a quantity: what is made of two ends is then a number of the machine's too
_NUM_DIGITS = 12  # of a value on an even grid
_NUM_DRAWN_DIGITS = 6  # few enough that no two machines round a logarithm apart


@dataclass(frozen=True, slots=True)
class Amount:
    """A number in a unit; a whole one stays among whole numbers."""

    number: Fraction
    unit: str | None
    is_whole: bool

    def with_number(self, number: Fraction, num_digits: int) -> int | float | str:
        """Return another number of this unit as a file would hold it, rounded to so many digits."""
        if self.is_whole:
            return int(number)
        rounded = float(f"{float(number):.{num_digits}g}")
        if self.unit is None:
            return rounded
        text = str(int(rounded)) if rounded == int(rounded) and abs(rounded) < 10**num_digits else repr(rounded)
        return f"{text} {self.unit}"


@dataclass(frozen=True, slots=True)
class Spread:
    """What lies between two ends: `values` of one that is a list in short, else `drawn` for a share in [0, 1)."""

    kind: str
    start: Amount
    stop: Amount
    step: Fraction | None = None
    factor: Fraction | None = None
    num: int = 0

    def values(self) -> tuple[Any, ...]:
        """Return the values in their order, each once.

        Examples
        --------
        >>> spread_of({"range": {"start": 1, "stop": 20, "factor": 2}}).values()
        (1, 2, 4, 8, 16)
        >>> spread_of({"linspace": {"start": "1 ms", "stop": "2 ms", "num": 3}}).values()
        ('1 ms', '1.5 ms', '2 ms')
        """
        if self.step is not None:
            num = int((self.stop.number - self.start.number) / self.step) + 1
            numbers = [self.start.number + index * self.step for index in range(num)]
        elif self.factor is not None:
            numbers = [self.start.number]
            while numbers[-1] * self.factor <= self.stop.number:
                numbers.append(numbers[-1] * self.factor)
        else:
            numbers = [self._between(Fraction(index, max(1, self.num - 1))) for index in range(self.num)]
        return tuple(dict.fromkeys(self.start.with_number(number, _NUM_DIGITS) for number in numbers))

    def drawn(self, share: float) -> int | float | str:
        """Return the value at a share of the way, all as likely; by their logarithms if the spread is so.

        Examples
        --------
        >>> uniform = spread_of({"uniform": [1, 4]})
        >>> [uniform.drawn(share) for share in (0.0, 0.24, 0.25, 0.99)]
        [1, 1, 2, 4]
        >>> spread_of({"loguniform": ["1 MiB", "1 GiB"]}).drawn(0.5)
        '32 MiB'
        """
        start, stop = self.start.number, self.stop.number + int(self.start.is_whole)
        if self.kind == "uniform":
            number = start + (stop - start) * Fraction(share)
        else:
            low, high = math.log(start), math.log(stop)
            number = Fraction(math.exp(low + (high - low) * share)) + Fraction(1, 10**9) * int(self.start.is_whole)
        return self.start.with_number(min(number, self.stop.number), _NUM_DRAWN_DIGITS)

    def _between(self, share: Fraction) -> Fraction:
        start, stop = self.start.number, self.stop.number
        if share in (0, 1):
            return start if share == 0 else stop
        if self.kind == "linspace":
            number = start + (stop - start) * share
        else:
            number = start * Fraction(float(stop / start) ** float(share))
        return Fraction(round(number)) if self.start.is_whole else number


def spread_of(written: Mapping[str, Any]) -> Spread:
    """Return the spread that a mapping of one key describes.

    Raises
    ------
    ValueError
        What is wrong with it.
    """
    if len(written) != 1 or (kind := next(iter(written))) not in _FORMS:
        named = nearest(str(next(iter(written), "")), list(_FORMS))
        raise ValueError(
            f"got a mapping of {', '.join(map(str, written)) or 'nothing'}; an axis is a list of values, or one of "
            f"{', '.join(_FORMS)} {named}".strip()
        )
    given = written[kind]
    spread = _drawn(kind, given) if kind in DRAWN else _listed(kind, given)
    if spread.start.number > spread.stop.number:
        raise ValueError(f"{kind} starts above its end; write {kind}: {_FORMS[kind]}")
    if kind in ("geomspace", "loguniform") and spread.start.number <= 0:
        raise ValueError(f"{kind} must start above zero, as it goes by multiples")
    return spread


def is_spread(value: object) -> bool:
    """Return whether a value is meant as a spread, rather than as one value that is a mapping."""
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in _FORMS


def _drawn(kind: str, given: Any) -> Spread:
    if not isinstance(given, list | tuple) or len(given) != 2:
        raise ValueError(f"{kind} takes its two ends; write {kind}: {_FORMS[kind]}")
    return Spread(kind, *_ends(given[0], given[1]))


def _listed(kind: str, given: Any) -> Spread:
    needs: tuple[set[str], ...] = ({"start", "stop", "num"},)
    if kind == "range":
        needs = ({"start", "stop", "step"}, {"start", "stop", "factor"})
    if not isinstance(given, Mapping) or set(given) not in needs:
        raise ValueError(f"{kind} is written {kind}: {_FORMS[kind]}")
    start, stop = _ends(given["start"], given["stop"])
    if "num" in given:
        num = given["num"]
        if type(num) is not int or not 1 <= num <= MAX_VALUES:
            raise ValueError(f"num is a whole number from 1 to {MAX_VALUES}; got {num!r}")
        return Spread(kind, start, stop, num=num)
    return _stepped(start, stop, given)


def _stepped(start: Amount, stop: Amount, given: Mapping[str, Any]) -> Spread:
    if "step" in given:
        step = _in_unit_of(start, _amount(given["step"]))
        if step.number <= 0 or (start.is_whole and not step.is_whole):
            raise ValueError(f"step is above zero, and whole between whole numbers; got {given['step']!r}")
        if (stop.number - start.number) / step.number >= MAX_VALUES:
            raise ValueError(f"a range has at most {MAX_VALUES} values")
        return Spread("range", start, stop, step=step.number)
    factor = _amount(given["factor"])
    if factor.unit or factor.number <= 1 or (start.is_whole and not factor.is_whole) or start.number <= 0:
        raise ValueError(
            f"factor is a number above one, whole between whole numbers, and start above zero; got {given['factor']!r}"
        )
    if math.log(max(stop.number / start.number, Fraction(1))) / math.log(factor.number) >= MAX_VALUES:
        raise ValueError(f"a range has at most {MAX_VALUES} values")
    return Spread("range", start, stop, factor=factor.number)


def _ends(start: Any, stop: Any) -> tuple[Amount, Amount]:
    """Return two ends in the unit of the first; they are whole only both."""
    first = _amount(start)
    last = _in_unit_of(first, _amount(stop))
    is_whole = first.is_whole and last.is_whole
    return Amount(first.number, first.unit, is_whole), Amount(last.number, first.unit, is_whole)


def _amount(value: Any) -> Amount:
    if type(value) is int and abs(value) < 10**_MOST_DIGITS:
        return Amount(Fraction(value), None, True)
    if type(value) is float and (value == 0 or 10**-_MOST_DIGITS < abs(value) < 10**_MOST_DIGITS):
        return Amount(Fraction(str(value)), None, False)
    quantity = split_quantity(value) if isinstance(value, str) else None
    if quantity is None:
        raise ValueError(f"got {value!r}; an end is a number, or a number with a unit such as 10 ms")
    return Amount(*quantity, False)


def _in_unit_of(first: Amount, other: Amount) -> Amount:
    """Return an amount in the unit of another one."""
    if first.unit == other.unit:
        return other
    own, theirs = (_kind(amount) for amount in (first, other))
    if own[0] != theirs[0]:
        raise ValueError(f"one end is a {own[0]} and the other a {theirs[0]}; give both in units of one kind")
    return Amount(other.number * theirs[1] / own[1], first.unit, other.is_whole)


def _kind(amount: Amount) -> tuple[str, Fraction]:
    return kind_of_unit(amount.unit) or ("plain number", Fraction(1))


Draw = Callable[[float], Any]
"""Gives the value of an axis for a share in [0, 1)."""


def draw_of(values: tuple[Any, ...] | Spread) -> Draw:
    """Return how a value of an axis is drawn: any of a list as likely as the others.

    Examples
    --------
    >>> draw_of(("gpipe", "1f1b"))(0.5)
    '1f1b'
    """
    if isinstance(values, Spread):
        return values.drawn
    return lambda share: values[int(share * len(values))]
