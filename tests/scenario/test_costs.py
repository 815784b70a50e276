"""Explicit costs: defaults, and rules within one mapping."""

import pytest
from pydantic import ValidationError

from clustersim.scenario.costs import RankCosts

MS_PS = 10**9


def test_defaults() -> None:
    costs = RankCosts(forward="10 ms", backward="20 ms", activation="1 GiB")
    assert costs.backward_ps == 20 * MS_PS
    assert costs.forward_backward_ps == 30 * MS_PS
    assert costs.weight_grad_activation_bytes == 2**30
    assert (costs.recompute, costs.optimizer_step, costs.message, costs.checkpoint) == (0, 0, 0, 0)
    assert not costs.has_split_backward


def test_halves_add_to_the_backward() -> None:
    costs = RankCosts(forward="10 ms", input_grad="11 ms", weight_grad="9 ms")
    assert costs.backward_ps == 20 * MS_PS
    assert costs.has_split_backward


HALVES = {"input_grad": "10 ms", "weight_grad": "10 ms"}


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({}, "backward: missing key"),
        ({"input_grad": "1 ms"}, "weight_grad: missing key beside input_grad"),
        ({"weight_grad": "1 ms"}, "input_grad: missing key beside weight_grad"),
        (HALVES | {"backward": "20 ms"}, "backward: given beside input_grad and weight_grad"),
        (HALVES | {"forward_backward": "19 ms"}, "19 ms is not between"),
        (HALVES | {"forward_backward": "31 ms"}, "31 ms is not between"),
        (HALVES | {"activation": "1 B", "weight_grad_activation": "2 B"}, "larger than `activation`"),
        (HALVES | {"activation": "1 B", "checkpoint": "1 B"}, "means nothing without `recompute`"),
        (HALVES | {"activation": "1 B", "checkpoint": "2 B", "recompute": "1 ms"}, "larger than `activation`"),
    ],
)
def test_what_is_refused(values: dict[str, str], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        RankCosts(forward="10 ms", **values)


@pytest.mark.parametrize("slot", ["20 ms", "30 ms"])
def test_the_bounds_of_an_overlapped_slot_are_allowed(slot: str) -> None:
    RankCosts(forward="10 ms", forward_backward=slot, **HALVES)
