"""The Gantt's cells on jobs small enough to draw by hand."""

from __future__ import annotations

import numpy as np
from drawing import result_of

from clustersim.analysis.waits import find_waits
from clustersim.report.curve import largest_by_column
from clustersim.report.gantt import GanttRow, gantt_rows

TWO_RANKS = {
    "cluster": {"topology": {"fabric": "full-mesh", "gpus": 2}},
    "parallelism": {"pp": 2},
    "batch": {"num_microbatches": 2},
    "stage_costs": {"forward": "1 s", "backward": "2 s", "activation": "1 GiB"},
}


def rows(num_columns: int, **sections: object) -> list[GanttRow]:
    trace = result_of(**(TWO_RANKS | sections)).trace
    return gantt_rows(trace, find_waits(trace), range(len(trace.ranks)), num_columns, "-")


def test_a_column_a_second() -> None:
    first, second = rows(9, schedule="gpipe")
    assert (first.cells, second.cells) == ("FF...BBBB", ".FFBBBB..")
    assert first.cells == first.kinds


def test_wide_ops_carry_their_microbatch() -> None:
    first, second = rows(36, schedule="gpipe")
    assert first.cells == "F0--F1--" + "." * 12 + "B0------B1------"
    assert second.cells == "...." + "F0--F1--" + "B0------B1------" + "." * 8
    assert second.kinds == "...." + "F" * 8 + "B" * 16 + "." * 8


def test_a_column_shows_what_fills_most_of_it() -> None:
    # nine seconds in three columns: F F . | . . B | B B B and . F F | B B B | B . .
    assert [row.cells for row in rows(3, schedule="gpipe")] == ["F.B", "FB."]


def test_exposed_communication_is_told_from_bubble() -> None:
    slow = {"topology": {"fabric": "full-mesh", "gpus": 2, "link": {"latency": "1 s"}}}
    first, second = rows(11, schedule="gpipe", cluster=slow)
    # rank 1 waits a second for rank 0 to compute, and a second for the message
    assert second.cells == ".~FFBBBB..."
    assert first.cells == "FF....~BBBB"


def test_no_number_is_cut_off() -> None:
    twelve = {"num_microbatches": 12}
    wide, _ = rows(3 * 39, batch=twelve, schedule="gpipe")
    assert wide.cells.startswith("F0-F1-F2-F3-F4-F5-F6-F7-F8-F9-F10F11")
    narrow, _ = rows(2 * 39, batch=twelve, schedule="gpipe")
    assert narrow.cells.startswith("F0F1F2F3F4F5F6F7F8F9F-F-")


def test_memory_over_time_takes_the_largest_of_each_column() -> None:
    from clustersim.analysis.memory import activation_curve

    trace = result_of(**(TWO_RANKS | {"schedule": "gpipe"})).trace
    curve = activation_curve(trace)
    gib = 2**30
    # rank 0 holds one from 0 s, two from 1 s, one from 7 s, none from 9 s
    assert (largest_by_column(curve, 0, trace.makespan_ps, 9) == np.array([1, 2, 2, 2, 2, 2, 2, 1, 1]) * gib).all()
    assert (largest_by_column(curve, 0, trace.makespan_ps, 3) == np.array([2, 2, 2]) * gib).all()
