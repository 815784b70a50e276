"""Lowering in arrays against lowering row by row: equal pipelines, field by field."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest

from clustersim.engine.record_programs import columns_of
from clustersim.ops import Pipeline, Shape, StageCosts
from clustersim.schedules.table import build_schedule
from clustersim.workload import lowering
from clustersim.workload.lowering import StepOptions, lower

SHAPES = {
    "gpipe": (Shape(3, 5), Shape(1, 1), Shape(4, 1)),
    "1f1b": (Shape(4, 6), Shape(1, 4), Shape(5, 2)),
    "interleaved-1f1b": (Shape(2, 4, 2), Shape(4, 8, 3)),
    "looped-bfs": (Shape(2, 4, 2),),
    "zb-h1": (Shape(4, 6),),
    "zb-h2": (Shape(3, 9),),
    "zb-v": (Shape(2, 6, 2), Shape(4, 8, 2)),
    "hanayo": (Shape(4, 4, 2),),
    "chimera": (Shape(4, 8, 2),),
}


def drawn_costs(random: Random, num_stages: int) -> list[StageCosts]:
    recompute_ps = random.choice([0, 70])

    def cost() -> StageCosts:
        forward, input_grad, weight_grad = (random.randint(0, 1000) for _ in range(3))
        return StageCosts(
            forward,
            input_grad,
            weight_grad,
            forward + input_grad + weight_grad,
            recompute_ps=recompute_ps * random.choice([0, 1]),
            optimizer_ps=random.choice([0, 33]),
            activation_bytes=random.randint(0, 99),
            weight_grad_activation_bytes=5,
            checkpoint_bytes=random.randint(0, 9),
            message_bytes=random.randint(0, 99),
            host_gap_ps=random.choice([0, 4]),
        )

    return [cost() for _ in range(num_stages)]


def assert_same(left: Any, right: Any) -> None:
    for field in fields(left):
        assert getattr(left, field.name) == getattr(right, field.name), field.name


def assert_same_pipelines(plain: Pipeline, by_rows: Pipeline) -> None:
    assert plain.made_from is not None
    assert by_rows.made_from is None
    assert_same(plain.messages, by_rows.messages)
    for left, right in zip(plain.programs, by_rows.programs, strict=True):
        assert_same(left, right)
    mine, theirs = columns_of(plain), columns_of(by_rows)
    for field in fields(mine):
        left, right = getattr(mine, field.name), getattr(theirs, field.name)
        if field.name in ("needs", "sends"):
            assert (left.count.tolist(), left.joined.tolist()) == (right.count.tolist(), right.joined.tolist())
        else:
            assert np.array_equal(left, right), field.name


@pytest.mark.parametrize("name", SHAPES)
def test_plain_pipelines_are_those_made_row_by_row(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(name)
    for shape in SHAPES[name]:
        for _ in range(12):
            schedule = build_schedule(name, shape)
            costs = drawn_costs(random, schedule.num_stages)
            last = random.choice([Fraction(1), Fraction(1, 3), Fraction(5, 7)])
            options = StepOptions(random.choice([1, 1, 2, 3]), random.random() < 0.5)
            plain = lower(schedule, costs, last, options)
            with monkeypatch.context() as patch:
                patch.setattr(lowering, "is_plain", lambda *_: False)
                by_rows = lower(schedule, costs, last, options)
            assert_same_pipelines(plain, by_rows)


def test_what_is_too_large_for_64_bits_is_made_row_by_row() -> None:
    schedule = build_schedule("1f1b", Shape(2, 4))
    costs = [StageCosts(2**60, 1, 1, 2**60 + 2)] * 2
    assert lower(schedule, costs).made_from is None
    assert lower(schedule, [replace(cost, forward_ps=1) for cost in costs]).made_from is not None
