"""The account of a run is the same however many ranks are looked at together."""

from __future__ import annotations

import pytest
from test_run_ahead import assert_equal_accounts, assert_same

import clustersim as cs
from clustersim.analysis import rank_blocks
from clustersim.analysis.account import account_of
from clustersim.analysis.critical_path import critical_path

OVERRIDES: dict[str, list[str]] = {
    "1f1b-4x16": ["steps=3"],
    "1f1b-recompute-4x16": [],
    "collision-scattered": [],
    "gpt-3-175b-64gpus": ["batch.global_batch_size=8"],  # collectives, in which ranks wait for one another
    "zero-bubble-1.5b-m24": ["schedule=zb-h1", "steps=2"],
}


@pytest.mark.parametrize("name", OVERRIDES)
def test_ranks_in_blocks_and_all_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = cs.simulate(name, OVERRIDES[name]).trace.sample
    whole = account_of(trace)
    monkeypatch.setattr(rank_blocks, "_OPS_OF_A_BLOCK", len(trace.ops) // 3)
    assert len(list(rank_blocks.rank_blocks(trace))) > 2
    in_blocks = account_of(trace)
    assert in_blocks.waits is not None
    assert whole.waits is not None
    assert_same(in_blocks.waits, whole.waits)
    assert_same(critical_path(trace, in_blocks.waits), critical_path(trace, whole.waits))
    assert_equal_accounts(in_blocks, whole)
