"""ZB-H2 on the profiled times of Qi et al., ICLR 2024, table 5: the paper rates the span, not the makespan."""

from __future__ import annotations

import pytest

import clustersim as cs

# Scenario of the gallery, published rate, rate of the makespan (by a longest-path evaluation of the same orders).
ROWS = [
    ("zero-bubble-1.5b-m24", 0.1083, 0.1083),
    ("zero-bubble-1.5b-m32", 0.0837, 0.0837),
    ("zero-bubble-1.5b-m64", 0.0444, 0.0444),
    ("zero-bubble-14.6b-m48", 0.0672, 0.1065),
    ("zero-bubble-14.6b-m64", 0.0516, 0.0820),
    ("zero-bubble-14.6b-m128", 0.0266, 0.0427),
]


@pytest.mark.parametrize(("name", "published", "of_makespan"), ROWS)
def test_zb_h2_rates(name: str, published: float, of_makespan: float) -> None:
    bubble = cs.simulate(name, ["schedule=zb-h2"]).bubble
    assert bubble.span_fraction is not None
    assert bubble.idle_fraction is not None
    assert round(bubble.span_fraction, 4) == published
    assert round(bubble.idle_fraction, 4) == of_makespan
