"""Numbers as a reader wants them: four significant digits, a sensible unit, and ``n/a`` for what is not known."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.scenario.units import PS_PER_S

UNKNOWN = "n/a"
NUM_DIGITS = 4

Units = Sequence[tuple[float, str]]
"""``(factor, unit)``, the largest first; a value is shown in the first unit of which it is at least one."""

_TIME: Units = ((3600.0, "h"), (1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"), (1e-12, "ps"))
_LARGEST_SECONDS = 10_000.0
_SIZE_UNITS = ("PiB", "TiB", "GiB", "MiB", "KiB", "B")
_SIZE: Units = tuple((1024.0**power, unit) for power, unit in zip(range(5, -1, -1), _SIZE_UNITS, strict=True))
_FLOP: Units = ((1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP"), (1.0, "FLOP"))
_FLOP_RATE: Units = ((1e15, "PFLOP/s"), (1e12, "TFLOP/s"), (1e9, "GFLOP/s"), (1.0, "FLOP/s"))
_ENERGY: Units = ((3.6e12, "GWh"), (3.6e9, "MWh"), (3.6e6, "kWh"), (3.6e3, "Wh"))
_POWER: Units = ((1e6, "MW"), (1e3, "kW"), (1.0, "W"))
_BANDWIDTH: Units = ((1e12, "TB/s"), (1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s"), (1.0, "B/s"))


def seconds(value: float | None) -> str:
    """Return a time given in seconds.

    Examples
    --------
    >>> seconds(0.57), seconds(0), seconds(0.99999), seconds(7200), seconds(1e5), seconds(None)
    ('570.0 ms', '0 s', '1.000 s', '7200 s', '27.78 h', 'n/a')
    """
    return _in_unit(value, _time_units(value or 0.0), "0 s")


def duration(value_s: float) -> str:
    """Return how long something may take, as people say it.

    Examples
    --------
    >>> duration(0.4), duration(75), duration(7384)
    ('1 s', '1 min 15 s', '2 h 3 min')
    """
    whole_s = max(1, round(value_s))
    if whole_s < 60:
        return f"{whole_s} s"
    if whole_s < 3600:
        return f"{whole_s // 60} min {whole_s % 60} s"
    return f"{whole_s // 3600} h {whole_s % 3600 // 60} min"


def picoseconds(value_ps: int) -> str:
    """Return a time given in picoseconds.

    Examples
    --------
    >>> picoseconds(10_000_000_000)
    '10.00 ms'
    """
    return seconds(value_ps / PS_PER_S)


def size(value: int | None) -> str:
    """Return a size given in bytes.

    Examples
    --------
    >>> size(1_610_612_736), size(512), size(0)
    ('1.500 GiB', '512 B', '0 B')
    """
    if value is not None and abs(value) < 1024:
        return f"{value} B"
    return _in_unit(value, _SIZE, "0 B")


def bandwidth(value: float | None) -> str:
    """Return a bandwidth given in bytes per second.

    Examples
    --------
    >>> bandwidth(5e10)
    '50.00 GB/s'
    """
    return _in_unit(value, _BANDWIDTH, "0 B/s")


def flop(value: int) -> str:
    """Return an amount of arithmetic given in FLOP.

    Examples
    --------
    >>> flop(2_199_023_255_552), flop(0)
    ('2.199 TFLOP', '0 FLOP')
    """
    return _in_unit(value, _FLOP, "0 FLOP")


def rate(value: float | None) -> str:
    """Return a rate of arithmetic given in FLOP per second.

    Examples
    --------
    >>> rate(312e12)
    '312.0 TFLOP/s'
    """
    return _in_unit(value, _FLOP_RATE, "0 FLOP/s")


def usd(value: float | None) -> str:
    """Return an amount of money given in US dollars.

    Examples
    --------
    >>> usd(440.32), usd(2.5e6), usd(None)
    ('440.3 USD', '2,500,000 USD', 'n/a')
    """
    return UNKNOWN if value is None else f"{number(value)} USD"


def energy(value: float | None) -> str:
    """Return an energy given in joules, in watt-hours.

    Examples
    --------
    >>> energy(3.6e6), energy(1.8e12)
    ('1.000 kWh', '500.0 MWh')
    """
    return _in_unit(value, _ENERGY, "0 Wh")


def power(watts: float | None) -> str:
    """Return a power.

    Examples
    --------
    >>> power(700.0), power(96_500.0)
    ('700.0 W', '96.50 kW')
    """
    return _in_unit(watts, _POWER, "0 W")


def percent(value: float | None) -> str:
    """Return a ratio as a percentage.

    Examples
    --------
    >>> percent(3 / 19), percent(None)
    ('15.79 %', 'n/a')
    """
    return UNKNOWN if value is None else f"{100 * value:.2f} %"


def points(value: float | None) -> str:
    """Return the difference of two ratios in percentage points.

    Examples
    --------
    >>> points(0.1891)
    '18.91 points'
    """
    return UNKNOWN if value is None else f"{100 * value:.2f} points"


def number(value: float | None) -> str:
    """Return a plain number.

    Examples
    --------
    >>> number(28.0701754), number(1234567.0), number(0.28070), number(0.0)
    ('28.07', '1,234,567', '0.2807', '0')
    """
    if value is None:
        return UNKNOWN
    return "0" if value == 0 else _digits(value, ",")


def count(value: int) -> str:
    """Return an integer, digits grouped by thousands.

    Examples
    --------
    >>> count(65536)
    '65,536'
    """
    return f"{value:,}"


def counted(number_of: int, thing: str) -> str:
    """Return how many things there are.

    Examples
    --------
    >>> counted(1, "rank"), counted(1024, "GPU")
    ('1 rank', '1,024 GPUs')
    """
    return f"{count(number_of)} {thing}" if number_of == 1 else f"{count(number_of)} {thing}s"


def signed(text: str, value: float) -> str:
    """Return `text`, which shows `value`, with a plus sign if that is above zero.

    Examples
    --------
    >>> signed(seconds(3.2), 3.2), signed(seconds(-0.1), -0.1), signed(seconds(0), 0)
    ('+3.200 s', '-100.0 ms', '0 s')
    """
    return f"+{text}" if value > 0 else text


def adding_up(total_s: float, parts_s: Sequence[float]) -> tuple[str, list[str]]:
    """Return a signed time and its parts in one unit, rounded so that what is written adds up.

    Examples
    --------
    >>> adding_up(3.2, [0.2, 3.0])
    ('+3.200 s', ['+0.200 s', '+3.000 s'])
    >>> adding_up(1.0, [1 / 3, 1 / 3, 1 / 3])
    ('+1.000 s', ['+0.334 s', '+0.333 s', '+0.333 s'])
    """
    largest_s = max(abs(value) for value in (total_s, *parts_s))
    factor, unit = time_unit(largest_s)
    num_places = max(0, NUM_DIGITS - len(str(int(largest_s / factor))))
    steps = factor / 10**num_places
    total, parts = round(total_s / steps), [round(part_s / steps) for part_s in parts_s]
    largest = max(range(len(parts)), key=lambda index: abs(parts[index]))
    parts[largest] += total - sum(parts)
    texts = [signed(f"{part / 10**num_places:.{num_places}f} {unit}", part) for part in (total, *parts)]
    return texts[0], texts[1:]


def relative(before: float | None, after: float | None) -> str:
    """Return the relative change, empty where there is none to tell.

    Examples
    --------
    >>> relative(2.0, 2.5), relative(0.0, 1.0), relative(2.0, 2.0)
    ('+25.00 %', '', '0.00 %')
    """
    if before is None or after is None or not before:
        return ""
    change = (after - before) / before
    return signed(percent(change), change)


def size_unit(largest_bytes: int) -> tuple[int, str]:
    """Return the unit for a column of sizes: the largest of which its greatest value is at least one.

    Examples
    --------
    >>> size_unit(80 * 2**30)
    (1073741824, 'GiB')
    """
    factor, unit = next((entry for entry in _SIZE if largest_bytes >= entry[0]), _SIZE[-1])
    return int(factor), unit


def time_unit(largest_s: float) -> tuple[float, str]:
    """Return the unit for times of which the largest is given in seconds.

    Examples
    --------
    >>> time_unit(0.57)
    (0.001, 'ms')
    """
    units = _time_units(largest_s)
    return next((entry for entry in units if abs(largest_s) >= entry[0]), units[-1])


def _time_units(value: float) -> Units:
    return _TIME if abs(value) >= _LARGEST_SECONDS else _TIME[1:]


def _in_unit(value: float | None, units: Units, zero: str) -> str:
    if value is None:
        return UNKNOWN
    if not value:
        return zero
    rounded = float(f"{value:.{NUM_DIGITS - 1}e}")  # 999.96 ms is a second
    factor, unit = next((entry for entry in units if abs(rounded) >= entry[0]), units[-1])
    return f"{_digits(value / factor)} {unit}"


def _digits(value: float, grouping: str = "") -> str:
    power = int(f"{value:.{NUM_DIGITS - 1}e}".partition("e")[2])
    return f"{value:{grouping}.{max(0, NUM_DIGITS - 1 - power)}f}"
