"""What a change of flows touches; ``python tests/benchmarks/sharing.py`` prints times and ratios."""

from __future__ import annotations

import pytest
from sharing import measure


@pytest.mark.parametrize("oversubscription", [1, 4])
def test_a_change_moves_few_flows_and_rates_agree_with_solving_anew(oversubscription: int) -> None:
    measured = measure(2_000, oversubscription, num_changes=60)
    assert measured.num_moved < 20
    assert measured.largest_difference < 1e-12
