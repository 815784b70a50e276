"""A replica that runs ahead counts in floats where they are exact, and in integers where they would not be."""

from __future__ import annotations

import pytest
from running import equal_costs, run_schedule

from clustersim.engine import run_single
from clustersim.ops import Shape
from clustersim.schedules.table import build_schedule


@pytest.mark.parametrize("latency_ps", [0, 1, 5 * 10**14])
def test_times_are_the_same_on_either_side_of_the_largest_exact_float(
    latency_ps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = build_schedule("1f1b", Shape(4, 7))
    costs = equal_costs(4, 2**45 + 1, 2**44 + 3, 2**44 + 1, message_bytes=3)

    def times_ps() -> list[list[int]]:
        trace = run_schedule(schedule, costs, latency_ps, "1 GB/s", engine="run-ahead")
        return [column.tolist() for column in (trace.ops.start_ps, trace.transfers.start_ps, trace.transfers.end_ps)]

    in_floats = times_ps()
    monkeypatch.setattr(run_single, "_LARGEST_IN_FLOATS_PS", 0)
    assert times_ps() == in_floats


def test_times_that_no_float_holds_are_exact_too() -> None:
    schedule = build_schedule("gpipe", Shape(2, 2))
    costs = equal_costs(2, 2**53 + 1, 2**52 + 1, 2**52)
    trace = run_schedule(schedule, costs, 1, engine="run-ahead")
    assert trace.engine == "run-ahead"
    assert trace.makespan_ps == 3 * (2**53 + 1) + 3 * (2**53 + 1) + 2
    assert int(trace.ops.start_ps[1]) == 2**53 + 1  # odd: a float would have rounded it
