"""Quantities as text: ``10 ms``, ``80 GiB``, ``400 Gbps``.

A quantity is a number and a unit. ``b`` is bit and ``B`` is byte; ``k M G T`` are powers of 1000 and ``Ki Mi Gi Ti``
powers of 1024. A bare number is refused wherever a unit is meant. Values are exact: times become integer picoseconds
and sizes integer bytes, both rounded up once; bandwidths stay fractions.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

PS_PER_S = 10**12
DAY_S = 86_400

_NUMBER = r"(?P<number>[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,2})?)"
QUANTITY = re.compile(rf"\s*{_NUMBER}\s*(?P<unit>[^\d\s.+-].*?)?\s*", re.ASCII | re.DOTALL)

SECONDS = {
    "ps": Fraction(1, 10**12),
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "μs": Fraction(1, 10**6),
    "ms": Fraction(1, 10**3),
    "s": Fraction(1),
    "min": Fraction(60),
    "h": Fraction(3600),
}
_FEW_UNITS = 20  # of bandwidth there are so many spellings that an example says more
PREFIXES = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15} | {
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "Pi": 2**50,
}
_SIZE_BYTES = {prefix + "B": Fraction(factor) for prefix, factor in PREFIXES.items()}
_SIZE_BITS = {prefix + bit for prefix in PREFIXES for bit in ("b", "bit")}
_BYTES_PER_S = {
    prefix + name: Fraction(factor) / bits
    for prefix, factor in PREFIXES.items()
    for name, bits in (("bps", 8), ("b/s", 8), ("bit/s", 8), ("B/s", 1))
}
_FLOP_PER_S = {prefix + "FLOP/s": Fraction(factor) for prefix, factor in PREFIXES.items() if "i" not in prefix}
# people write 15T tokens as well as 15 T tokens, and billions with either letter
_TOKENS = {"tokens": Fraction(1)} | {
    f"{prefix}{blank}tokens": Fraction(factor)
    for prefix, factor in {"k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}.items()
    for blank in (" ", "")
}
_WATT = {"mW": Fraction(1, 1000), "W": Fraction(1), "kW": Fraction(1000), "MW": Fraction(10**6)}
KINDS = {
    "time": SECONDS,
    "size": _SIZE_BYTES,
    "bandwidth": _BYTES_PER_S,
    "rate of arithmetic": _FLOP_PER_S,
    "number of tokens": _TOKENS,
    "power": _WATT,
}
# An int64 of picoseconds or bytes must hold sums over a whole run; a single quantity stays far below that.
_LARGEST_TIME_S = Fraction(30 * DAY_S)
_LARGEST_SIZE_BYTES = Fraction(2**55)
_LARGEST_TOKENS = Fraction(10**18)


def quantity(value: object, units: dict[str, Fraction], kind: str, example: str) -> Fraction:
    """Return the exact value of `value` in the base unit of `units`; ValueError says what is wrong with it."""
    if not isinstance(value, str):
        got = (
            f"a bare number ({value})"
            if isinstance(value, int | float) and not isinstance(value, bool)
            else repr(value)
        )
        raise ValueError(f"got {got}; a {kind} is a number with a unit, such as {example}")
    match = QUANTITY.fullmatch(value)
    if not match:
        raise ValueError(f"got {value!r}; a {kind} is a number with a unit, such as {example}")
    unit = match["unit"]
    if unit is None:
        raise ValueError(f"got {value!r} without a unit; a {kind} is written such as {example}")
    if unit not in units:
        if unit in _SIZE_BITS and kind == "size":
            raise ValueError(f"got {value!r}; 'b' is bit, and sizes are in bytes ('B'), such as {example}")
        allowed = f"allowed: {', '.join(units)}" if len(units) <= _FEW_UNITS else f"write such as {example}"
        raise ValueError(f"got {value!r}; '{unit}' is not a unit of {kind}; {allowed}")
    number = Fraction(match["number"])
    if number < 0:
        raise ValueError(f"got {value!r}; a {kind} can't be negative")
    return number * units[unit]


def parse_time_ps(value: object) -> int:
    """Return a time [ps], rounded up.

    Examples
    --------
    >>> parse_time_ps("18.522 ms")
    18522000000
    >>> parse_time_ps(3)
    Traceback (most recent call last):
    ValueError: got a bare number (3); a time is a number with a unit, such as 10 ms
    """
    seconds = quantity(value, SECONDS, "time", "10 ms")
    if seconds > _LARGEST_TIME_S:
        raise ValueError(f"got {value!r}; a time may be at most {int(_LARGEST_TIME_S) // DAY_S} days")
    return -int(-(seconds * PS_PER_S) // 1)


def parse_size_bytes(value: object) -> int:
    """Return a size [bytes], rounded up.

    Examples
    --------
    >>> parse_size_bytes("1.5 GiB")
    1610612736
    >>> parse_size_bytes("80 Gib")
    Traceback (most recent call last):
    ValueError: got '80 Gib'; 'b' is bit, and sizes are in bytes ('B'), such as 80 GiB
    """
    size = quantity(value, _SIZE_BYTES, "size", "80 GiB")
    if size > _LARGEST_SIZE_BYTES:
        raise ValueError(f"got {value!r}; a size may be at most 32 PiB")
    return -int(-size // 1)


def parse_bandwidth_bytes_per_s(value: object) -> Fraction:
    """Return a bandwidth, exactly. [bytes/s]

    Examples
    --------
    >>> parse_bandwidth_bytes_per_s("400 Gbps")
    Fraction(50000000000, 1)
    """
    bandwidth = quantity(value, _BYTES_PER_S, "bandwidth", "400 Gbps or 50 GB/s")
    if not 0 < bandwidth <= 10**18:
        raise ValueError(f"got {value!r}; a bandwidth is above zero and at most 1e18 B/s")
    return bandwidth


def parse_flop_per_s(value: object) -> Fraction:
    """Return a rate of arithmetic, exactly. [FLOP/s]

    Examples
    --------
    >>> parse_flop_per_s("312 TFLOP/s")
    Fraction(312000000000000, 1)
    """
    return quantity(value, _FLOP_PER_S, "rate of arithmetic", "312 TFLOP/s")


def parse_power_w(value: object) -> Fraction:
    """Return a power, exactly. [W]

    Examples
    --------
    >>> parse_power_w("0.7 kW")
    Fraction(700, 1)
    """
    return quantity(value, _WATT, "power", "400 W")


def parse_tokens(value: object) -> int:
    """Return a number of tokens, rounded up.

    Examples
    --------
    >>> parse_tokens("15T tokens"), parse_tokens("300 B tokens")
    (15000000000000, 300000000000)
    >>> parse_tokens("15T")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: got '15T'; 'T' is not a unit of number of tokens; allowed: tokens, k tokens, ...
    """
    tokens = quantity(value, _TOKENS, "number of tokens", "15T tokens")
    if not 0 < tokens <= _LARGEST_TOKENS:
        raise ValueError(f"got {value!r}; a number of tokens is above zero and at most 1e18")
    return -int(-tokens // 1)


_TIME_SHOWN = ("s", "ms", "us", "ns", "ps")
_SIZE_SHOWN = ("PiB", "TiB", "GiB", "MiB", "KiB", "PB", "TB", "GB", "MB", "kB", "B")
_BANDWIDTH_SHOWN = ("PB/s", "TB/s", "GB/s", "MB/s", "kB/s", "B/s")
_TOKENS_SHOWN = ("T tokens", "B tokens", "M tokens", "k tokens", "tokens")
_FLOP_PER_S_SHOWN = ("PFLOP/s", "TFLOP/s", "GFLOP/s", "MFLOP/s", "FLOP/s")


def format_time(time_ps: int) -> str:
    """Return a time as exact text in the largest unit of which it is at least one.

    Examples
    --------
    >>> format_time(18_522_000_000), format_time(0)
    ('18.522 ms', '0 ps')
    """
    return quantity_text(Fraction(time_ps, PS_PER_S), {unit: SECONDS[unit] for unit in _TIME_SHOWN})


def format_size(size_bytes: int) -> str:
    """Return a size as exact text, the shortest of all units; a power of 1024 wins a tie.

    Examples
    --------
    >>> format_size(1_610_612_736), format_size(80_000_000_000), format_size(0)
    ('1.5 GiB', '80 GB', '0 B')
    """
    texts = [quantity_text(Fraction(size_bytes), {unit: _SIZE_BYTES[unit], "B": Fraction(1)}) for unit in _SIZE_SHOWN]
    return min(texts, key=len)


def format_bandwidth(bandwidth_bytes_per_s: Fraction) -> str:
    """Return a bandwidth as exact text in the largest unit of which it is at least one.

    Raises
    ------
    ValueError
        A bandwidth that no decimal number writes exactly, which no file can have given.

    Examples
    --------
    >>> format_bandwidth(Fraction(50_000_000_000)), format_bandwidth(Fraction(1, 8))
    ('50 GB/s', '0.125 B/s')
    """
    return quantity_text(bandwidth_bytes_per_s, {unit: _BYTES_PER_S[unit] for unit in _BANDWIDTH_SHOWN})


def format_flop_per_s(flop_per_s: Fraction) -> str:
    """Return a rate of arithmetic as exact text.

    Examples
    --------
    >>> format_flop_per_s(Fraction(312 * 10**12))
    '312 TFLOP/s'
    """
    return quantity_text(flop_per_s, {unit: _FLOP_PER_S[unit] for unit in _FLOP_PER_S_SHOWN})


def format_power(power_w: Fraction) -> str:
    """Return a power as exact text.

    Examples
    --------
    >>> format_power(Fraction(700))
    '700 W'
    """
    return quantity_text(power_w, {"W": _WATT["W"]})


def format_tokens(tokens: int) -> str:
    """Return a number of tokens as exact text.

    Examples
    --------
    >>> format_tokens(15 * 10**12), format_tokens(1_500)
    ('15 T tokens', '1.5 k tokens')
    """
    return quantity_text(Fraction(tokens), {unit: _TOKENS[unit] for unit in _TOKENS_SHOWN})


def quantity_text(value: Fraction, units: dict[str, Fraction]) -> str:
    """Return `value` in the first of `units` (largest first) of which it is at least one, or else in the last."""
    smallest = list(units)[-1]
    unit = next((unit for unit, factor in units.items() if value >= factor), smallest)
    return f"{decimal_text(value / units[unit])} {unit}"


def decimal_text(value: Fraction) -> str:
    """Return the decimal digits of a fraction whose denominator has no prime factors but 2 and 5."""
    num_places = 0
    while (value * 10**num_places).denominator != 1:
        num_places += 1
        if num_places > value.denominator.bit_length():
            raise ValueError(f"{value} has no finite decimal form")
    digits = str(int(value * 10**num_places)).rjust(num_places + 1, "0")
    return f"{digits[:-num_places]}.{digits[-num_places:]}" if num_places else digits


def schema_of(description: str, *examples: str) -> WithJsonSchema:
    """Return the JSON Schema of a quantity written as text."""
    return WithJsonSchema({"type": "string", "description": description, "examples": list(examples)})


TimePs = Annotated[
    int,
    BeforeValidator(parse_time_ps),
    PlainSerializer(format_time, when_used="json"),
    schema_of("a time with its unit", "10 ms", "2 us"),
]
SizeBytes = Annotated[
    int,
    BeforeValidator(parse_size_bytes),
    PlainSerializer(format_size, when_used="json"),
    schema_of("a size with its unit", "80 GiB", "32 MB"),
]
BandwidthBytesPerS = Annotated[
    Fraction,
    BeforeValidator(parse_bandwidth_bytes_per_s),
    PlainSerializer(format_bandwidth, when_used="json"),
    schema_of("a bandwidth with its unit", "400 Gbps", "50 GB/s"),
]
FlopPerS = Annotated[
    Fraction,
    BeforeValidator(parse_flop_per_s),
    PlainSerializer(format_flop_per_s, when_used="json"),
    schema_of("a rate of arithmetic with its unit", "312 TFLOP/s"),
]
Watt = Annotated[
    Fraction,
    BeforeValidator(parse_power_w),
    PlainSerializer(format_power, when_used="json"),
    schema_of("a power with its unit", "400 W"),
]
Tokens = Annotated[
    int,
    BeforeValidator(parse_tokens),
    PlainSerializer(format_tokens, when_used="json"),
    schema_of("a number of tokens with its unit", "15T tokens", "300B tokens"),
]
