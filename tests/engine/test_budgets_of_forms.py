"""Budgets hold whichever form of the engine is asked for."""

from __future__ import annotations

import pytest

import clustersim as cs
from clustersim.errors import LimitError
from clustersim.limits import Limits


@pytest.mark.parametrize("engine", [None, "time-ordered", "compiled"])
def test_a_budget_of_events_ends_every_form(engine: str | None) -> None:
    with pytest.raises(LimitError, match="events"):
        cs.simulate("gpipe-4x16", limits=Limits(max_events=10), engine=engine)


def test_without_a_budget_the_kernel_has_no_events() -> None:
    compiled = cs.simulate("gpipe-4x16", engine="compiled")
    assert compiled.trace.num_events == 0
    assert compiled.trace.makespan_ps == cs.simulate("gpipe-4x16").trace.makespan_ps
