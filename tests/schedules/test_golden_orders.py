"""Orders of the reference implementations: PyTorch's, Megatron-LM's, DeepSeek's and Chimera's own generators.

``golden_orders.json`` holds what they gave for p in {2, 4}, with the source of each row. PyTorch's 1F1B is the executed
order, not the visualiser's, which numbers the last rank's forwards from 1.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from running import equal_costs, run_schedule

from clustersim.analysis.memory import live_microbatch_curve
from clustersim.ops import Schedule, Shape, actions_in
from clustersim.schedules.check import check_schedule
from clustersim.schedules.table import build_schedule

ROWS = json.loads((Path(__file__).parent / "golden_orders.json").read_text())

NAME_BY_GENERATOR = {
    "gpipe": "gpipe",
    "1f1b": "1f1b",
    "megatron_1f1b": "1f1b",
    "interleaved_1f1b": "interleaved-1f1b",
    "megatron_interleaved": "interleaved-1f1b",
    "looped_bfs": "looped-bfs",
    "interleaved_zb": "interleaved-zb",
    "zbv": "zb-v",
    "dualpipev": "dualpipev",
    "deepseek_dualpipev": "dualpipev",
    "deepseek_dualpipe": "dualpipe",
    "chimera": "chimera",
}
# PyTorch makes rounds where Megatron makes groups; the two part where p does not divide m.
TORCH_ROUNDS = ("interleaved_1f1b", "interleaved_zb")


def built(row: dict[str, Any]) -> Schedule:
    generator = row["schedule"]
    group_size = row["group_size"] if generator == "megatron_interleaved" else None
    shape = Shape(row["p"], row["m"], row["v"], group_size, generator in TORCH_ROUNDS, row.get("ep_overlap", False))
    return build_schedule(NAME_BY_GENERATOR[generator], shape)


@pytest.mark.parametrize("generator", NAME_BY_GENERATOR)
def test_orders_equal_the_reference_implementation_s(generator: str) -> None:
    rows = [row for row in ROWS if row["schedule"] == generator]
    assert rows
    for row in rows:
        schedule = built(row)
        assert [" ".join(map(str, order)) for order in schedule.orders] == row["orders"]
        assert list(schedule.rank_by_stage) == row["stage_to_rank"]
        assert [list(chain) for chain in schedule.chains] == row.get("chains", [list(range(schedule.num_stages))])
        check_schedule(schedule)


def test_every_row_is_judged() -> None:
    assert len(ROWS) == 328
    assert {row["schedule"] for row in ROWS} == set(NAME_BY_GENERATOR)


def test_peaks_of_live_micro_batches_equal_the_reference_evaluation() -> None:
    """Counted in program order; an overlapped slot takes its forward's activation before its backward frees one."""
    judged = [row for row in ROWS if "peak_live_microbatches" in row]
    assert len(judged) == 302
    for row in judged:
        assert peaks_in_order(built(row)) == row["peak_live_microbatches"]


def peaks_in_order(schedule: Schedule) -> list[int]:
    peaks = []
    for order in schedule.orders:
        live = peak = 0
        for slot in order:
            kinds = [action.kind.name for action in actions_in(slot)]
            live += kinds.count("F")
            peak = max(peak, live)
            live -= kinds.count("B") + kinds.count("W")
        assert live == 0
        peaks.append(peak)
    return peaks


def test_makespans_equal_the_reference_evaluation() -> None:
    """One unit for each F, I and W of a stage; B and overlapped slots last the sum of their parts."""
    expected_by_row = [
        (row, row["eval"]["makespan"] if "eval" in row else row["makespan_F1_I1_W1_B2"])
        for row in ROWS
        if "eval" in row or "makespan_F1_I1_W1_B2" in row
    ]
    assert len(expected_by_row) == 230
    for row, expected in expected_by_row:
        schedule = built(row)
        assert run_schedule(schedule, equal_costs(schedule.num_stages, 1, 1, 1)).makespan_ps == expected


def test_live_peaks_of_deepseek_s_rows_through_the_engine() -> None:
    for row in (row for row in ROWS if "eval" in row):
        schedule = built(row)
        trace = run_schedule(schedule, equal_costs(schedule.num_stages, 1, 1, 1))
        assert live_microbatch_curve(trace).peaks(row["p"]).tolist() == row["eval"]["peak_act"]
