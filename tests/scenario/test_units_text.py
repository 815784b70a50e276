"""Quantities: what is read back from text is what was written, exactly."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.scenario.units import (
    format_bandwidth,
    format_size,
    format_time,
    parse_bandwidth_bytes_per_s,
    parse_size_bytes,
    parse_time_ps,
)


@given(st.integers(0, 30 * 86_400 * 10**12))
def test_a_time_survives_text(time_ps: int) -> None:
    assert parse_time_ps(format_time(time_ps)) == time_ps


@given(st.integers(0, 2**55) | st.integers(0, 2**25).map(lambda mib: mib * 2**20))
def test_a_size_survives_text(size_bytes: int) -> None:
    assert parse_size_bytes(format_size(size_bytes)) == size_bytes


@given(st.integers(1, 10**8), st.sampled_from(["bps", "Gbps", "MB/s", "GiB/s"]))
def test_a_bandwidth_survives_text(number: int, unit: str) -> None:
    bandwidth = parse_bandwidth_bytes_per_s(f"{number} {unit}")
    assert parse_bandwidth_bytes_per_s(format_bandwidth(bandwidth)) == bandwidth


@pytest.mark.parametrize(
    ("time_ps", "text"),
    [(0, "0 ps"), (1, "1 ps"), (1_500, "1.5 ns"), (2_000_000, "2 us"), (10**12, "1 s"), (18_522_000_000, "18.522 ms")],
)
def test_times_are_written_in_the_largest_unit(time_ps: int, text: str) -> None:
    assert format_time(time_ps) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (80 * 2**30, "80 GiB"),
        (80 * 10**9, "80 GB"),
        (2**20 + 1, "1048577 B"),
    ],
)
def test_sizes_are_written_in_the_shortest_way(size_bytes: int, text: str) -> None:
    assert format_size(size_bytes) == text


def test_a_third_of_a_byte_per_second_has_no_exact_text() -> None:
    with pytest.raises(ValueError, match="1/3 has no finite decimal form"):
        format_bandwidth(Fraction(1, 3))


def test_times_and_sizes_are_rounded_up_once() -> None:
    assert parse_time_ps("0.1 ps") == 1
    assert parse_size_bytes("1.5 B") == 2
    assert parse_bandwidth_bytes_per_s("1 bps") == Fraction(1, 8)
