"""Exact rates that compare fast, fractions with the float next to them in front; and units that suit them."""

from __future__ import annotations

from math import gcd, inf


class Rate:
    """A rational number, or infinity (1 / 0), in lowest terms.

    Python divides integers to the nearest float, whatever their size: equal rates have equal floats, and of two whose
    floats differ the one with the lower float is the lower. So only rates with equal floats are multiplied out.

    Parameters
    ----------
    numerator, denominator
        Integers; the denominator is at least 0, and not both are 0. [bytes/s]

    Examples
    --------
    >>> third = Rate(2, 6)
    >>> third.numerator, third.denominator, third < Rate(1, 2), third == Rate(1, 3), third < Rate(1, 0)
    (1, 3, True, True, True)
    """

    __slots__ = ("approx", "denominator", "numerator")

    def __init__(self, numerator: int, denominator: int) -> None:
        common = gcd(numerator, denominator)
        self.numerator, self.denominator = numerator // common, denominator // common
        self.approx: float = numerator / denominator if denominator else inf

    def __lt__(self, other: Rate) -> bool:
        if self.approx != other.approx:
            return self.approx < other.approx
        return self.numerator * other.denominator < other.numerator * self.denominator

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rate):
            return NotImplemented
        return self.numerator == other.numerator and self.denominator == other.denominator

    def __sub__(self, other: Rate) -> Rate:
        numerator = self.numerator * other.denominator - other.numerator * self.denominator
        return Rate(numerator, self.denominator * other.denominator)


INFINITE = Rate(1, 0)


def refined(amount: int, unit: int, denominator: int) -> tuple[int, int]:
    """Return amount / unit in a unit that `denominator` divides, finer than its lowest terms only by what that needs.

    A sum that is kept so takes in any rate, and does not carry along for ever what earlier rates were divided by.

    >>> refined(6, 12, 5)
    (5, 10)
    """
    common = gcd(amount, unit)
    amount, unit = amount // common, unit // common
    finer = denominator // gcd(unit, denominator)
    return amount * finer, unit * finer
