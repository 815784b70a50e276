"""The account of a run is the same however many ranks are looked at together."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

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


def assert_same(left: Any, right: Any) -> None:
    """Compare two records column by column."""
    for column in fields(left):
        mine, theirs = getattr(left, column.name), getattr(right, column.name)
        assert np.array_equal(mine, theirs), column.name


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
    assert_same(in_blocks.ranks.times, whole.ranks.times)
    assert_same(in_blocks.ranks.memory, whole.ranks.memory)
    assert in_blocks.ranks.bubble == whole.ranks.bubble
    assert in_blocks.traffic == whole.traffic
    for column in ("exposed_ps", "compute_end_ps", "step_end_ps", "end_ps", "barrier_ps"):
        assert np.array_equal(getattr(in_blocks.ranks, column), getattr(whole.ranks, column)), column
