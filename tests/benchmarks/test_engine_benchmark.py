"""What the engine costs: events are asserted here; ``python tests/benchmarks/engine.py`` prints times and ratios."""

from __future__ import annotations

import pytest
from engine import SHAPES, measured_run, naive_run


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_both_simulators_agree_and_events_are_as_promised(shape: tuple[int, int]) -> None:
    ours, naive = measured_run(*shape), naive_run(*shape)
    assert ours.makespan_ps == naive.makespan_ps
    assert ours.num_events <= 1.05 * ours.num_ops
    assert naive.num_events >= 7 * naive.num_ops
