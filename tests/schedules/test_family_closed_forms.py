"""Makespans, spans, idle times and peaks that the papers give as formulas, with ``==`` through the engine.

Without communication, stages alike. F, I and W are those of a chunk here, so a rank's are v times as long.

References
----------
Lamy-Poirier, MLSys 2023; Qi et al., ICLR 2024 and arXiv:2401.10241; Qi et al., NeurIPS 2024; DeepSeek-AI 2024; Li and
Hoefler, SC 2021; Liu et al., SC 2023. Each was checked by an independent longest-path evaluation of the orders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from running import run_schedule

from clustersim.analysis.memory import live_microbatch_curve
from clustersim.ops import Shape, StageCosts
from clustersim.schedules.table import build_schedule

RANKS = range(1, 9)
THIRDS = (10, 10, 10)
TIMES = (THIRDS, (12, 10, 8), (10, 12, 3), (12, 10, 10))  # F, I, W with W <= min(F, I)


@dataclass(frozen=True)
class Run:
    makespan: int
    span: int  # largest over ranks, first start to last end
    max_idle: int  # makespan less compute, on the rank that computes least
    live: list[int]


def measured(name: str, shape: Shape, times: tuple[int, int, int] = THIRDS, forward_backward: int | None = None) -> Run:
    schedule = build_schedule(name, shape)
    overlapped = sum(times) if forward_backward is None else forward_backward
    trace = run_schedule(schedule, [StageCosts(*times, overlapped)] * schedule.num_stages)
    ops, spans, compute = trace.ops, [], []
    for rank in range(shape.num_ranks):
        mine = np.flatnonzero((ops.rank_index == rank) & (ops.end_ps > ops.start_ps))
        spans.append(int(ops.end_ps[mine].max() - ops.start_ps[mine].min()))
        compute.append(int((ops.end_ps[mine] - ops.start_ps[mine]).sum()))
    live = live_microbatch_curve(trace).peaks(shape.num_ranks).tolist()
    return Run(trace.makespan_ps, max(spans), trace.makespan_ps - min(compute), live)


@pytest.mark.parametrize("p", RANKS)
def test_looped_bfs(p: int) -> None:
    for m in range(p, 18):
        for v in (1, 2, 3):
            run = measured("looped-bfs", Shape(p, m, v), (12, 10, 8))
            assert run.makespan == (v * m + p - 1) * 30
            assert run.live == [m * v] * p


@pytest.mark.parametrize("p", RANKS)
@pytest.mark.parametrize("times", TIMES)
def test_interleaved_zb(p: int, times: tuple[int, int, int]) -> None:
    f, i, w = times
    for v in (1, 2, 4):
        for m in (p, 2 * p, 3 * p):
            run = measured("interleaved-zb", Shape(p, m, v), times)
            assert run.makespan == v * m * sum(times) + (p - 1) * (f + i - w)
            assert run.live == [v * p] * p
        for m in range(p, 16):
            if m % max(1, m // p) == 0:
                rounds = Shape(p, m, v, torch_rounds=True)
                assert measured("interleaved-zb", rounds, times).makespan == v * m * sum(times) + (p - 1) * (f + i - w)


@pytest.mark.parametrize("p", RANKS)
@pytest.mark.parametrize("times", TIMES)
def test_zb_h2_is_told_by_its_span(p: int, times: tuple[int, int, int]) -> None:
    f, i, w = times
    for m in range(2 * p, 20):
        run = measured("zb-h2", Shape(p, m), times)
        assert run.span == m * sum(times) + (p - 1) * (f + i - 2 * w)
        assert run.live == [2 * p - 1] * p
        assert run.makespan >= run.span
    if p > 1:
        equal = measured("zb-h2", Shape(p, 2 * p))
        assert (equal.span, equal.makespan) == (60 * p, 60 * p + 10 * (p - 1))


@pytest.mark.parametrize("p", RANKS)
def test_zb_v_never_stops(p: int) -> None:
    for m in range(2 * p - 1, 22):
        run = measured("zb-v", Shape(p, m), (1, 1, 1))
        assert (run.span, run.makespan) == (6 * m, 6 * m + p - 1)
        assert run.live == [2 * p] * p


@pytest.mark.parametrize("p", range(1, 13))
def test_controllable_memory(p: int) -> None:
    """The peaks are 1/2 and 1/3 of 1F1B's 2p chunks, and a little; makespans are those of the published scheduler."""
    for m in (2 * p, 2 * p + 1, 4 * p):
        half, least = (measured(name, Shape(p, m), (1, 1, 1)) for name in ("v-half", "v-min"))
        assert max(half.live) == (p // 2 * 2 + 2 if p > 1 else 2)
        assert max(least.live) == 2 * -(-(p - 1) // 3) + 2
        if p >= 3:
            assert half.makespan == 6 * m + (3 * p - 4 if p % 2 else 3 * p - 7)
            assert least.makespan == 6 * m + (4 * p - 5 if p % 3 else 4 * p - 7)


@pytest.mark.parametrize("times", [THIRDS, (10, 10, 8), (10, 10, 3)])  # F = I and W <= F
def test_dualpipe_and_dualpipev(times: tuple[int, int, int]) -> None:
    f, i, w = times
    for overlapped in (f + i + w, f // 2 + i + w, i + w):
        for p in (2, 4, 6, 8):
            for m in (2 * p, 2 * p + 2, 4 * p):
                run = measured("dualpipe", Shape(p, m), times, overlapped)
                assert run.max_idle == (p // 2 - 1) * (overlapped + i + w - 3 * w)
                assert max(run.live) == p + 1
        for p in RANKS:
            for m in (2 * p, 2 * p + 1, 3 * p):
                run = measured("dualpipev", Shape(p, m), times, overlapped)
                assert run.max_idle == (p - 1) * (overlapped + i + w - 3 * w)
                assert max(run.live) == 2 * p + 1


@pytest.mark.parametrize("b", [10, 13, 20, 37])
def test_chimera_and_hanayo(b: int) -> None:
    """The ideal bubble holds for F = B; a longer B adds to it with every unit of micro-batches."""
    f = 10
    for k in (1, 2, 4):
        for p in (2, 4, 6, 8):
            run = measured("chimera", Shape(p, k * p), (f, b, 0))
            assert run.makespan == (k * p + p // 2 - 1) * (f + b) + (p // 2 - 1) * (2 * k - 1) * (b - f)
            if b == f:
                assert run.makespan == (2 * k * p + p - 2) * f
        for p in RANKS:
            for v in (2, 4, 6):
                run = measured("hanayo", Shape(p, k * p, v), (f, b, 0))
                assert run.makespan == (v * k * p + p - 1) * (f + b) + (p - 1) * (2 * k - 1) * (b - f)


def test_peaks_of_chimera_and_hanayo() -> None:
    for p in (2, 4, 6, 8):
        half = list(range(p // 2 + 1, p + 1))
        for k in (1, 2, 3):
            assert measured("chimera", Shape(p, k * p), (1, 1, 0)).live == half + half[::-1]
    for p in RANKS:
        for m in (1, p, 2 * p, 2 * p + 1):
            for v in (2, 4):
                assert max(measured("hanayo", Shape(p, m, v), (1, 1, 0)).live) == min(m, p) * v


@pytest.mark.parametrize("name", ["zb-v", "v-half", "v-min", "hanayo"])
def test_two_chunks_a_rank_have_a_smaller_bubble_than_1f1b(name: str) -> None:
    """On p = 8, m = 8 with F = I = W, whose 1F1B has a bubble of (p - 1)(F + B) = 42 chunk units."""
    assert measured("1f1b", Shape(8, 8), (2, 2, 2)).makespan == 48 + 42
    assert measured(name, Shape(8, 8), (1, 1, 1)).makespan < 48 + 42
