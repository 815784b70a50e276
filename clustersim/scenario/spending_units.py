"""Quantities of money, energy and long times as text: ``2.50 USD/h``, ``3.5 GWh``, ``30 days``."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

from clustersim.scenario.units import DAY_S, PREFIXES, SECONDS, decimal_text, quantity, schema_of

_USD_PER_H = {"USD/h": Fraction(1)}
_USD_PER_KWH = {"USD/kWh": Fraction(1), "USD/MWh": Fraction(1, 1000)}
_JOULE = {prefix + "J": Fraction(factor) for prefix, factor in PREFIXES.items() if "i" not in prefix and prefix != "K"}
_JOULE |= {f"{prefix}Wh": Fraction(3600 * factor) for prefix, factor in (("k", 10**3), ("M", 10**6), ("G", 10**9))}
_USD = {"USD": Fraction(1), "k USD": Fraction(1000), "M USD": Fraction(10**6)}
_LONG_TIME_S = SECONDS | {"days": Fraction(DAY_S), "weeks": Fraction(7 * DAY_S)}
KINDS = {
    "time": _LONG_TIME_S,
    "price": _USD_PER_H,
    "price of electricity": _USD_PER_KWH,
    "amount of energy": _JOULE,
    "sum of money": _USD,
}


def parse_usd_per_h(value: object) -> Fraction:
    """Return a price by the hour, exactly. [USD/h]

    Examples
    --------
    >>> parse_usd_per_h("2.50 USD/h")
    Fraction(5, 2)
    """
    return quantity(value, _USD_PER_H, "price", "2.50 USD/h")


def parse_usd_per_kwh(value: object) -> Fraction:
    """Return a price of electricity, exactly. [USD/kWh]

    Examples
    --------
    >>> parse_usd_per_kwh("80 USD/MWh")
    Fraction(2, 25)
    """
    return quantity(value, _USD_PER_KWH, "price of electricity", "0.08 USD/kWh")


def parse_energy_j(value: object) -> Fraction:
    """Return an energy, exactly. [J]

    Examples
    --------
    >>> parse_energy_j("1.5 MWh")
    Fraction(5400000000, 1)
    """
    return quantity(value, _JOULE, "amount of energy", "3.5 GWh")


def parse_money_usd(value: object) -> Fraction:
    """Return a sum of money, exactly. [US dollars]

    Examples
    --------
    >>> parse_money_usd("2.5 M USD")
    Fraction(2500000, 1)
    """
    return quantity(value, _USD, "sum of money", "2.5 M USD")


def parse_duration_s(value: object) -> Fraction:
    """Return how long something lasts that may last for years, exactly. [s]

    Examples
    --------
    >>> parse_duration_s("30 days")
    Fraction(2592000, 1)
    """
    return quantity(value, _LONG_TIME_S, "time", "30 days")


def _shown_in(unit: str) -> PlainSerializer:
    return PlainSerializer(lambda value: f"{decimal_text(value)} {unit}", when_used="json")


UsdPerH = Annotated[
    Fraction,
    BeforeValidator(parse_usd_per_h),
    _shown_in("USD/h"),
    schema_of("a price by the hour with its unit", "2.50 USD/h"),
]
UsdPerKwh = Annotated[
    Fraction,
    BeforeValidator(parse_usd_per_kwh),
    _shown_in("USD/kWh"),
    schema_of("a price of electricity with its unit", "0.08 USD/kWh"),
]


EnergyJ = Annotated[
    Fraction, BeforeValidator(parse_energy_j), _shown_in("J"), schema_of("an energy with its unit", "3.5 GWh", "10 MJ")
]
MoneyUsd = Annotated[
    Fraction, BeforeValidator(parse_money_usd), _shown_in("USD"), schema_of("a sum of money with its unit", "2.5 M USD")
]
DurationS = Annotated[
    Fraction, BeforeValidator(parse_duration_s), _shown_in("s"), schema_of("a time with its unit", "30 days", "12 h")
]
