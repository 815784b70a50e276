"""The engine against an independent evaluator, bit for bit, on random programs over private links."""

from __future__ import annotations

from random import Random

import pytest
from longest_path import op_starts
from running import run_schedule

from clustersim.analysis.invariants import check_invariants
from clustersim.ops import Action, Kind, Schedule, Shape, StageCosts
from clustersim.trace import Trace

NUM_BATCHES, PER_BATCH = 20, 50


def random_schedule(random: Random) -> Schedule:
    """Return a random order that can be run to its end: one that a random execution went through."""
    p, v, m = random.randint(1, 6), random.randint(1, 3), random.randint(1, 9)
    num_stages, splits = p * v, random.random() < 0.5
    rank_by_stage = tuple(stage % p for stage in range(num_stages))
    orders: list[list[Action]] = [[] for _ in range(p)]
    ready = [Action(Kind.F, 0, microbatch) for microbatch in range(m)]
    while ready:
        action = ready.pop(random.randrange(len(ready)))
        kind, stage, microbatch = action
        orders[rank_by_stage[stage]].append(action)
        backward = Kind.I if splits else Kind.B
        if kind is Kind.F and stage + 1 < num_stages:
            ready.append(Action(Kind.F, stage + 1, microbatch))
        elif kind is Kind.F:
            ready.append(Action(backward, stage, microbatch))
        elif kind is not Kind.W:
            if stage > 0:
                ready.append(Action(backward, stage - 1, microbatch))
            if kind is Kind.I:
                ready.append(Action(Kind.W, stage, microbatch))
    chain = tuple(range(num_stages))
    return Schedule("random", Shape(p, m, v), tuple(map(tuple, orders)), rank_by_stage, (chain,))


def random_costs(random: Random, num_stages: int) -> list[StageCosts]:
    def cost() -> StageCosts:
        forward, input_grad, weight_grad = (random.randint(0, 1000) for _ in range(3))
        overlapped = forward + input_grad + weight_grad
        return StageCosts(forward, input_grad, weight_grad, overlapped, message_bytes=random.choice([0, 1, 7, 300]))

    return [cost() for _ in range(num_stages)]


def starts_in(trace: Trace) -> dict[Action, int]:
    ops = trace.ops
    return {
        Action(Kind(kind), stage, microbatch): start
        for kind, stage, microbatch, start in zip(
            ops.kind.tolist(), ops.stage.tolist(), ops.microbatch.tolist(), ops.start_ps.tolist(), strict=True
        )
        if stage >= 0
    }


@pytest.mark.parametrize("batch", range(NUM_BATCHES))
def test_a_thousand_random_programs_agree_to_the_picosecond(batch: int) -> None:
    random = Random(f"longest path {batch}")
    for _ in range(PER_BATCH):
        schedule = random_schedule(random)
        costs = random_costs(random, schedule.num_stages)
        latency_ps, gigabytes = random.choice([0, 1, 250]), random.choice([100, 999, 40_000])
        trace = run_schedule(schedule, costs, latency_ps, bandwidth=f"{gigabytes} GB/s")
        assert starts_in(trace) == op_starts(schedule, costs, latency_ps, gigabytes * 10**9)
        check_invariants(trace)
