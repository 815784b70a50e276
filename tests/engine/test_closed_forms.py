"""Makespans that the literature gives as formulas, with ``==``: over 400 shapes, with and without latency.

References
----------
Huang et al., NeurIPS 2019; Narayanan et al., SC 2021, section 2.2; Qi et al., ICLR 2024, table 1. The latency terms are
longest paths, each checked against exact evaluation over a grid of shapes.
"""

from __future__ import annotations

import pytest
from running import makespan

from clustersim.ops import Shape

TIMES = (1200, 1000, 800)  # F, I, W [ps]; every chunk count below divides them
F, I, W = TIMES  # noqa: E741
B, S = I + W, F + I + W
RANKS = range(1, 9)
MICROBATCHES = (1, 2, 3, 4, 5, 7, 8, 12, 16, 31)
LATENCIES = (0, 7, 250)


@pytest.mark.parametrize("p", RANKS)
def test_gpipe_and_1f1b_with_asynchronous_messages(p: int) -> None:
    for m in MICROBATCHES:
        for c in LATENCIES:
            assert makespan("gpipe", Shape(p, m), TIMES, c) == (m + p - 1) * (F + B) + 2 * (p - 1) * c
            hops = (p - 1) + (m - 1) * (p - 1) // p
            assert makespan("1f1b", Shape(p, m), TIMES, c) == (m + p - 1) * (F + B) + 2 * hops * c


@pytest.mark.parametrize("p", RANKS)
def test_gpipe_and_1f1b_with_blocking_messages(p: int) -> None:
    for m in MICROBATCHES:
        for c in LATENCIES:
            if p >= 2:
                expected = (m + p - 1) * (F + B) + (2 * m + 2 * p - 4) * c
                assert makespan("gpipe", Shape(p, m), TIMES, c, blocking=True) == expected
            if p >= 3 and m >= 2:
                expected = (m + p - 1) * (F + B) + (2 * m + 2 * p - 5) * c
                assert makespan("1f1b", Shape(p, m), TIMES, c, blocking=True) == expected


@pytest.mark.parametrize("p", RANKS)
def test_interleaved_1f1b(p: int) -> None:
    for m in range(p, 25):
        for v in (1, 2, 4):
            expected = m * S + (p - 1) * S // v
            if m % p == 0:
                assert makespan("interleaved-1f1b", Shape(p, m, v), TIMES) == expected
            for g in range(p, m + 1):
                if m % g == 0 or m % g >= p:
                    assert makespan("interleaved-1f1b", Shape(p, m, v, group_size=g), TIMES) == expected


@pytest.mark.parametrize("p", RANKS)
@pytest.mark.parametrize("times", [(10, 10, 10), (12, 10, 8), (8, 10, 12), (10, 12, 3), (5, 9, 20)])
def test_zb_h1(p: int, times: tuple[int, int, int]) -> None:
    f, i, w = times
    for m in range(1, 25):
        if m >= p:
            expected = m * sum(times) + (p - 1) * (f + i - min(times))
        elif w <= min(f, i):
            expected = (m + p - 1) * (f + i) + w
        else:
            continue
        assert makespan("zb-h1", Shape(p, m), times) == expected
