"""Rows put in order sixteen bits at a time, against sorts by numpy, also where columns have more bits than a number."""

from __future__ import annotations

import numpy as np
import pytest

from clustersim.sorting import kinds_of, order_by

LARGEST = (1, 5, 10**6, 2**62, 2**63 - 1)  # two columns of the last ones are more than 63 bits


@pytest.mark.parametrize("largest", LARGEST)
@pytest.mark.parametrize("smallest", [0, -3, -(2**63)])
@pytest.mark.parametrize("num_rows", [0, 1, 64, 1000])
def test_the_order_is_that_of_a_stable_sort(largest: int, smallest: int, num_rows: int) -> None:
    random = np.random.default_rng(num_rows)
    first, second = random.integers(smallest, largest, size=(2, num_rows), endpoint=True)
    given = first.copy()
    assert order_by(first).tolist() == np.argsort(first, kind="stable").tolist()
    assert order_by(first, second).tolist() == np.lexsort((second, first)).tolist()
    assert first.tolist() == given.tolist()


@pytest.mark.parametrize("largest", LARGEST)
def test_kinds_are_those_that_numpy_finds(largest: int) -> None:
    column = np.random.default_rng(0).integers(0, largest, size=500, endpoint=True)
    values, number = kinds_of(column)
    expected_values, expected_number = np.unique(column, return_inverse=True)
    assert values.tolist() == expected_values.tolist()
    assert number.tolist() == expected_number.tolist()
    assert [kinds.tolist() for kinds in kinds_of(column[:0])] == [[], []]
