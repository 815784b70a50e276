"""Transfer times: exact, rounded up once."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.scenario.units import parse_bandwidth_bytes_per_s
from clustersim.topology import Link


def link(bandwidth: str | None) -> Link:
    return Link("a", "b", parse_bandwidth_bytes_per_s(bandwidth) if bandwidth else None, latency_ps=7)


@pytest.mark.parametrize(
    ("bandwidth", "size_bytes", "transfer_ps"),
    [
        ("100 GB/s", 10**9, 10**10),
        ("400 Gbps", 2**20, 20_971_520),
        ("3 B/s", 1, 333_333_333_334),
        ("1 bps", 1, 8 * 10**12),
        ("7 bps", 7, 8 * 10**12),
        ("1000 TB/s", 1, 1),
        ("1 B/s", 0, 0),
        (None, 2**50, 0),
    ],
)
def test_transfer_times_worked_by_hand(bandwidth: str | None, size_bytes: int, transfer_ps: int) -> None:
    assert link(bandwidth).transfer_ps(size_bytes) == transfer_ps


@given(st.fractions(Fraction(1, 8), Fraction(10**15), max_denominator=10**6), st.integers(0, 2**55))
def test_a_transfer_is_the_smallest_whole_picosecond_that_is_enough(bandwidth: Fraction, size_bytes: int) -> None:
    transfer_ps = Link("a", "b", bandwidth, 0).transfer_ps(size_bytes)
    assert bandwidth * transfer_ps >= size_bytes * 10**12
    assert transfer_ps == 0 or bandwidth * (transfer_ps - 1) < size_bytes * 10**12
