"""Layouts: rank and coordinates are inverse for every order."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.errors import ScenarioError
from clustersim.topology import RankCoordinates, RankLayout

size = st.integers(1, 4)
orders = st.permutations(["tp", "cp", "ep", "dp", "pp"]).map("-".join)


def test_megatrons_default_order_by_hand() -> None:
    layout = RankLayout(tp=2, dp=2, pp=3)
    assert layout.num_ranks == 12
    pipeline = [layout.rank(RankCoordinates(tp=1, cp=0, dp=1, pp=pp)) for pp in range(3)]
    assert pipeline == [3, 7, 11]


def test_pipeline_before_data_parallelism() -> None:
    layout = RankLayout(tp=2, dp=2, pp=3, order="tp-cp-ep-pp-dp")
    assert [layout.rank(RankCoordinates(tp=0, cp=0, dp=1, pp=pp)) for pp in range(3)] == [6, 8, 10]


@given(tp=size, cp=size, dp=size, pp=size, order=orders)
def test_coordinates_and_rank_are_inverse(tp: int, cp: int, dp: int, pp: int, order: str) -> None:
    layout = RankLayout(tp, cp, dp, pp, order)
    coordinates = [layout.coordinates(rank) for rank in range(layout.num_ranks)]
    assert [layout.rank(place) for place in coordinates] == list(range(tp * cp * dp * pp))
    assert len(set(coordinates)) == layout.num_ranks


@given(order=orders)
def test_the_first_axis_of_the_order_moves_fastest(order: str) -> None:
    layout = RankLayout(2, 2, 2, 2, order)
    dense = [axis for axis in order.split("-") if axis != "ep"]
    assert [getattr(layout.strides, axis) for axis in dense] == [1, 2, 4, 8]


@pytest.mark.parametrize("ep_at", range(5))
def test_ep_in_the_order_moves_nothing(ep_at: int) -> None:
    for dense in permutations(("tp", "cp", "dp", "pp")):
        named = [*dense[:ep_at], "ep", *dense[ep_at:]]
        assert RankLayout(2, 3, 4, 5, "-".join(named)).strides == RankLayout(2, 3, 4, 5, "-".join(dense)).strides


@pytest.mark.parametrize("order", ["", "tp", "tp-dp-pp-pp", "tp-cp-ep-dp-qq", "tp cp ep dp pp", "tp-cp-ep-dp"])
def test_an_order_that_is_none(order: str) -> None:
    with pytest.raises(ScenarioError, match=r"parallelism\.order"):
        RankLayout(tp=2, dp=2, pp=2, order=order)


def test_an_axis_without_ranks() -> None:
    with pytest.raises(ScenarioError, match="at least one rank"):
        RankLayout(pp=0)
