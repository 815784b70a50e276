"""The largest number that fits, held against asking about all, with refusals anywhere below and between."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clustersim.planning.threshold import largest_that_fits


@given(
    start=st.integers(1, 100), most=st.integers(0, 3000), refused_to=st.integers(0, 100), multiple=st.integers(1, 16)
)
def test_refusals_hide_no_answer(start: int, most: int, refused_to: int, multiple: int) -> None:
    def fits(number: int) -> bool | None:
        return None if number <= refused_to or number % multiple else number <= most

    answers = [number for number in range(1, most + 1) if fits(number)]
    assert largest_that_fits(fits, start) == (answers[-1] if answers else None)


@given(start=st.integers(1, 100), beyond=st.integers(100, 5000))
def test_a_number_that_is_refused_ends_the_doubling(start: int, beyond: int) -> None:
    assert largest_that_fits(lambda number: True if number < beyond else None, start) == beyond - 1


def test_where_all_fit_no_more_is_claimed_than_was_asked() -> None:
    asked: list[int] = []
    found = largest_that_fits(lambda number: bool(asked.append(number)) or True, 3)
    assert found == max(asked) == 3 * 2**19
