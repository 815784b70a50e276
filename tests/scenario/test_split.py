"""How layers are dealt to stages: every form, and what can't be dealt."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from clustersim.scenario.split import Split


@pytest.mark.parametrize(
    ("given", "num_layers", "num_stages", "expected"),
    [
        ({}, 12, 4, (3, 3, 3, 3)),
        ({"layers": [1, 2, 3]}, 6, 3, (1, 2, 3)),
        ({"first": 2}, 11, 4, (2, 3, 3, 3)),
        ({"last": 0}, 9, 4, (3, 3, 3, 0)),
        ({"first": 5, "last": 7}, 12, 2, (5, 7)),
        ({"embedding_counts": True}, 7, 4, (1, 2, 2, 2)),
        ({"embedding_counts": True, "loss_counts": True}, 126, 8, (15, 16, 16, 16, 16, 16, 16, 15)),
        ({"layout": "Et|t|t|tL"}, 4, 4, (1, 1, 1, 1)),
        ({"layout": "E|(tt|)*3,L"}, 6, 5, (0, 2, 2, 2, 0)),
        ({"layout": "Ett|t*3|tmL"}, 6, 3, (2, 3, 1)),
    ],
)
def test_layers_are_dealt(given: dict[str, Any], num_layers: int, num_stages: int, expected: tuple[int, ...]) -> None:
    counts = Split(**given).layers_by_stage(num_layers, num_stages)
    assert counts == expected
    assert sum(counts) == num_layers


@pytest.mark.parametrize(
    ("given", "num_layers", "num_stages", "message"),
    [
        ({}, 10, 4, "10 layers can't be dealt evenly to 4 stages"),
        ({"layers": [1, 2]}, 3, 4, "2 stages; pp \\* vpp = 4"),
        ({"layers": [1, 2, 3, 4]}, 3, 4, "10 layers in all; the model has 3"),
        ({"first": 9}, 3, 2, "9 layers at the ends; the model has 3"),
        ({"first": 1, "last": 1}, 3, 2, "1 layers are left over"),
        ({"embedding_counts": True}, 8, 4, "8 layers and 1 that count as one can't be dealt evenly"),
    ],
)
def test_what_cannot_be_dealt(given: dict[str, Any], num_layers: int, num_stages: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Split(**given).layers_by_stage(num_layers, num_stages)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"layers": [1], "first": 1}, "two forms of a split"),
        ({"layout": "Ex|tL"}, "got 'x'"),
        ({"layout": "tE|tL"}, None),
        ({"layout": "t|Et|L"}, "the embedding \\(E\\) is on the first stage"),
        ({"layout": "((((t|)*9999)*9999)*9999)*9999L"}, "got '\\('|more than"),
        ({"layers": []}, "at least 1"),
        ({"first": -1}, "greater than or equal"),
    ],
)
def test_splits_that_contradict_themselves(given: dict[str, Any], message: str | None) -> None:
    if message is None:
        assert Split(**given).layout
        return
    with pytest.raises(ValidationError, match=message):
        Split(**given)
