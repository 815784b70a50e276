"""Sums beyond 64 bits, against those of Python's own numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clustersim.sums import total, totals

NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9)
ROWS = st.lists(st.tuples(NUMBERS, st.integers(0, 2**20), st.integers(0, 3)), max_size=20)


@given(ROWS)
def test_sums_are_those_of_whole_numbers(rows: list[tuple[int, int, int]]) -> None:
    numbers, times, place = (np.array([row[column] for row in rows], dtype=np.int64) for column in range(3))
    assert total(numbers) == sum(number for number, _, _ in rows)
    assert total(numbers, times) == sum(number * count for number, count, _ in rows)
    once, often = totals(place, numbers, 4), totals(place, numbers, 4, times)
    assert once == [sum(number for number, _, at in rows if at == wanted) for wanted in range(4)]
    assert often == [sum(number * count for number, count, at in rows if at == wanted) for wanted in range(4)]
