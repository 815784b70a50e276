"""What the engine costs: events are asserted here; ``python tests/benchmarks/engine.py`` prints times and ratios."""

from __future__ import annotations

import pytest
from cases import BACKWARD_PS, FORWARD_PS, HOLD_PS, LATENCY_PS, draws, naive, ours

from clustersim.engine.run_ahead import MEMBERS_OF_A_VECTOR

SHAPES = ((8, 1, 64), (64, 1, 64), (64, 1, 512), (8, 5, 16))


@pytest.mark.parametrize("shape", SHAPES)
def test_all_simulators_agree_and_events_are_as_promised(shape: tuple[int, int, int]) -> None:
    slow, in_order, ahead = naive(*shape), ours(*shape, "time-ordered"), ours(*shape)
    assert in_order.makespan_ps == ahead.makespan_ps == slow.makespan_ps
    assert slow.num_events >= 7 * slow.num_ops
    num_ranks = shape[0] * shape[1]
    # A rank begins, ends and meets the others at the barrier: one event each.
    assert in_order.num_events == in_order.num_ops + 3 * num_ranks
    assert ahead.num_events <= 0.5 * ahead.num_ops + 3 * num_ranks


def test_the_shape_of_the_table_keeps_to_its_events_per_op() -> None:
    in_order, ahead = ours(64, 1, 512, "time-ordered"), ours(64, 1, 512)
    assert in_order.num_events <= 1.05 * in_order.num_ops
    assert ahead.num_events <= 0.5 * ahead.num_ops


def test_replicas_as_vectors_cost_the_events_of_one() -> None:
    few, many = ours(8, MEMBERS_OF_A_VECTOR, 16), ours(8, 4 * MEMBERS_OF_A_VECTOR, 16)
    assert many.num_events == few.num_events
    assert many.engine == f"run-ahead, {4 * MEMBERS_OF_A_VECTOR} of {4 * MEMBERS_OF_A_VECTOR} replicas as vectors"


def test_evaluation_without_events_agrees() -> None:
    without = ours(8, 2, 16, "compiled")
    assert (without.makespan_ps, without.num_events) == (ours(8, 2, 16).makespan_ps, 0)


def test_draws_are_longer_than_what_they_are_drawn_around() -> None:
    hop_ps = HOLD_PS + LATENCY_PS
    least_ps = (4 + 6 - 1) * (FORWARD_PS + BACKWARD_PS)
    assert least_ps < draws(4, 6, 20).makespan_ps < 1.1 * least_ps + 2 * (6 + 4) * hop_ps
