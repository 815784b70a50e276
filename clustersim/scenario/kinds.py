"""What a text is a quantity of, by its unit, where no field says which kind it should be."""

from __future__ import annotations

from fractions import Fraction

from clustersim.scenario import spending_units, units

_KINDS = units.KINDS | spending_units.KINDS


def split_quantity(text: str) -> tuple[Fraction, str] | None:
    """Return the number and the unit in a text that is a quantity, whatever of; None for any other text.

    Examples
    --------
    >>> split_quantity("2.5 GiB"), split_quantity("1f1b"), split_quantity("8")
    ((Fraction(5, 2), 'GiB'), None, None)
    """
    match = units.QUANTITY.fullmatch(text)
    if not match or kind_of_unit(match["unit"]) is None:
        return None
    return Fraction(match["number"]), match["unit"]


def kind_of_unit(unit: str | None) -> tuple[str, Fraction] | None:
    """Return what a unit is of, and its size in the base unit of that kind; None for what is no unit.

    Examples
    --------
    >>> kind_of_unit("ms"), kind_of_unit("parsec")
    (('time', Fraction(1, 1000)), None)
    """
    return next(((kind, factors[unit]) for kind, factors in _KINDS.items() if unit in factors), None)
