"""Lowering in arrays against lowering row by row: equal pipelines, field by field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest

from clustersim.columns import CallColumns, Lists
from clustersim.engine.record_programs import columns_of
from clustersim.ops import Exchange, Kind, Pipeline, Shape, Slot, StageCosts
from clustersim.schedules.table import build_schedule
from clustersim.workload import lowering, representatives
from clustersim.workload.data_parallel import DataParallel
from clustersim.workload.group_rows import GroupOptions
from clustersim.workload.lowering import lower
from clustersim.workload.rows import Row
from clustersim.workload.step_rows import StepOptions, rows_of_ops

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


def drawn_exchange(random: Random) -> Exchange:
    operation = random.choice(["all-reduce", "all-gather", "reduce-scatter", "all-to-all"])
    kind = random.choice([Kind.F, Kind.I, Kind.W, Kind.RECOMPUTE])
    axis = random.choice(["tp", "cp", "ep", "etp", "dp"])
    return Exchange(
        axis, kind, operation, random.randint(1, 99), random.randint(1, 3), random.choice([None, None, True, False])
    )


def with_groups(random: Random, costs: list[StageCosts]) -> list[StageCosts]:
    """Return `costs` of stages that exchange within groups, share an embedding and have gradients."""
    tied_bytes = random.choice([0, 12])
    return [
        replace(
            cost,
            exchanges=tuple(drawn_exchange(random) for _ in range(random.choice([0, 1, 3, 6]))),
            recomputes_exchanges=random.random() < 0.5,
            tied_gradients_bytes=tied_bytes,
            gradients_bytes=random.choice([0, 100, 250]),
            weights_bytes=random.choice([0, 50]),
        )
        for cost in costs
    ]


def drawn_options(random: Random) -> StepOptions:
    axes = [axis for axis in ("tp", "cp", "ep", "etp", "dp") if random.random() < 0.6]
    beside = [axis for axis in axes if random.random() < 0.4]
    is_sharded, reduces, gathers = (random.random() < 0.5 for _ in range(3))
    data_parallel = DataParallel(is_sharded, reduces, gathers, bucket_bytes=random.choice([40, 1000]))
    return StepOptions(
        random.choice([1, 1, 2, 3]),
        random.random() < 0.5,
        groups=GroupOptions(frozenset(axes), frozenset(beside), random.choice([1, 1, 4])),
        data_parallel=random.choice([None, data_parallel, data_parallel]),
    )


def assert_same(left: Any, right: Any) -> None:
    for field in fields(left):
        assert getattr(left, field.name) == getattr(right, field.name), field.name


def assert_same_calls(left: CallColumns, right: CallColumns) -> None:
    for field in fields(left):
        if field.name not in ("axes", "axis", "whats", "what"):  # in which order they are listed is open
            assert np.array_equal(getattr(left, field.name), getattr(right, field.name)), field.name
    assert left.by_rank.keys() == right.by_rank.keys()
    assert all(left.kinds(*place) == right.kinds(*place) for place in left.by_rank)


def assert_same_pipelines(stamped: Pipeline, by_rows: Pipeline) -> None:
    assert stamped.made_from is not None
    assert by_rows.made_from is None
    assert_same(stamped.messages, by_rows.messages)
    assert_same(stamped.calls, by_rows.calls)
    for left, right in zip(stamped.programs, by_rows.programs, strict=True):
        assert len(left) == len(right)
        assert_same(left, right)
    mine, theirs = columns_of(stamped), columns_of(by_rows)
    for field in fields(mine):
        left, right = getattr(mine, field.name), getattr(theirs, field.name)
        if isinstance(left, Lists):
            assert (left.count.tolist(), left.joined.tolist()) == (right.count.tolist(), right.joined.tolist())
        else:
            assert np.array_equal(left, right), field.name
    assert_same_calls(stamped.calls.columns, by_rows.calls.columns)


@pytest.mark.parametrize("has_groups", [False, True], ids=["plain", "groups"])
@pytest.mark.parametrize("name", SHAPES)
def test_stamped_pipelines_are_those_made_row_by_row(
    name: str, has_groups: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(f"{name} {has_groups}")
    for shape in SHAPES[name]:
        for _ in range(12):
            schedule = build_schedule(name, shape)
            costs = drawn_costs(random, schedule.num_stages)
            last = random.choice([Fraction(1), Fraction(1, 3), Fraction(5, 7)])
            options = StepOptions(random.choice([1, 1, 2, 3]), random.random() < 0.5)
            if has_groups:
                costs, options = with_groups(random, costs), drawn_options(random)
            num_own = random.choice([0, 1, len(costs)])  # stages that are like no other
            costs = costs[:num_own] + costs[-1:] * (len(costs) - num_own)
            stamped = lower(schedule, costs, last, options)
            with monkeypatch.context() as patch:
                patch.setattr(lowering, "is_alike", lambda *_: False)
                by_rows = lower(schedule, costs, last, options)
            assert_same_pipelines(stamped, by_rows)


@pytest.mark.parametrize("name", ["1f1b", "interleaved-1f1b", "zb-h1"])
def test_few_ops_are_lowered_row_by_row_however_many_there_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lowered: list[int] = []

    def counted(ops: Sequence[Slot], *rest: Any) -> list[Row]:
        lowered.append(len(ops))
        return rows_of_ops(ops, *rest)

    monkeypatch.setattr(representatives, "rows_of_ops", counted)
    num_chunks = 2 if name == "interleaved-1f1b" else 1
    options = StepOptions(data_parallel=DataParallel(True, True, True, bucket_bytes=40))
    costs = [StageCosts(10, 10, 10, 30, gradients_bytes=100, weights_bytes=50)]
    for num_ranks, num_microbatches in ((4, 16), (4, 64), (16, 64)):
        schedule = build_schedule(name, Shape(num_ranks, num_microbatches, num_chunks))
        lowered.clear()
        lower(schedule, costs * schedule.num_stages, options=options)
        assert len(lowered) <= 4  # ranks: the first, the last, and how others warm up
        assert max(lowered) <= 3 * 3 * num_chunks  # the first, the last and one other F, I and W of each stage


def test_what_is_too_large_for_64_bits_is_made_row_by_row() -> None:
    schedule = build_schedule("1f1b", Shape(2, 4))
    costs = [StageCosts(2**60, 1, 1, 2**60 + 2)] * 2
    assert lower(schedule, costs).made_from is None
    assert lower(schedule, [replace(cost, forward_ps=1) for cost in costs]).made_from is not None
