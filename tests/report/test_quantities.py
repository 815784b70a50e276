"""Numbers as they are written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clustersim.report.quantities import adding_up, number, seconds, size, size_unit

FACTORS_S = {"h": 3600.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12}
FACTORS_BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50}


@given(st.floats(1e-12, 1e7))
def test_seconds_are_right_to_four_digits(value: float) -> None:
    text, unit = seconds(value).split()
    assert abs(float(text) * FACTORS_S[unit] - value) <= 0.5001e-3 * value
    assert sum(character.isdigit() for character in text.lstrip("0.")) >= 4


@given(st.integers(1, 2**60))
def test_sizes_are_right_to_four_digits(value: int) -> None:
    text, unit = size(value).split()
    assert abs(float(text) * FACTORS_BYTES[unit] - value) <= 0.5001e-3 * value


@given(st.floats(1e-9, 1e12))
def test_numbers_are_right_to_four_digits(value: float) -> None:
    assert abs(float(number(value).replace(",", "")) - value) <= 0.5001e-3 * value


@given(st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=4))
def test_written_parts_add_up_as_written(parts_ps: list[int]) -> None:
    total, parts = adding_up(sum(parts_ps) / 1e12, [part / 1e12 for part in parts_ps])
    num_places = len(total.split()[0].partition(".")[2])
    as_integers = [round(float(text.split()[0]) * 10**num_places) for text in (total, *parts)]
    assert as_integers[0] == sum(as_integers[1:])
    assert len({text.split()[1] for text in (total, *parts)}) == 1


def test_the_next_unit_begins_where_rounding_reaches_it() -> None:
    assert seconds(0.99994) == "999.9 ms"
    assert seconds(0.99996) == "1.000 s"
    assert size(2**30 - 1) == "1.000 GiB"
    assert size_unit(2**30 - 1) == (2**20, "MiB")
