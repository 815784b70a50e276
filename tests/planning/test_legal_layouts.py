"""Layouts: all that the rules allow are listed, and nothing else; bounds are never above what a run takes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from clustersim.errors import ScenarioError
from clustersim.planning.layout_bounds import Bounds
from clustersim.planning.layouts import Layout, Space, frames, layouts, variants
from clustersim.scenario.load import scenario_from_mapping, vary
from clustersim.scenario.plan import PlanSpec
from clustersim.scenario.schedule_choice import SCHEDULE_RULES
from clustersim.scenario.spec import Scenario
from clustersim.simulation import peak_bytes_by_rank, simulate, simulate_representatives
from clustersim.workload.alone import Alone

DENSE = {"num_layers": 6, "hidden_size": 768, "num_attention_heads": 6, "vocab_size": 8000, "seq_length": 512}
EXPERTS = {"num_experts": 4, "top_k": 2, "ffn_hidden_size": 512, "first_dense_layers": 1}
SOME_SCHEDULES = ("1f1b", "interleaved-1f1b", "dualpipev", "chimera", "hanayo")
FABRIC = {
    "fabric": "leaf-spine",
    "device": "A100-SXM4-80GB",
    "nodes": 2,
    "gpus_per_node": 4,
    "scaleup": {"bandwidth": "300 GB/s", "latency": "500 ns"},
    "nics_per_node": 2,
    "nic": {"bandwidth": "200 Gbps", "latency": "1 us"},
    "nodes_per_leaf": 1,
    "oversubscription": 2.0,
}


def job(model: dict[str, Any], gpus: int = 8, samples: int = 24, **sections: Any) -> Scenario:
    """Return a job on GPUs, all of them replicas or, with fewer samples than that, tensor-parallel."""
    usual: dict[str, Any] = {
        "version": 1,
        "model": model,
        "cluster": {"topology": FABRIC, "gpus": gpus},
        "parallelism": {"dp": gpus},
        "batch": {"global_batch_size": samples},
        "schedule": "1f1b",
    }
    return scenario_from_mapping(usual | sections)


def space_of(scenario: Scenario, **spec: Any) -> Space:
    assert scenario.model is not None
    return Space(
        scenario.model, scenario.batch.global_batch_size or 0, scenario.parallelism.num_gpus, spec=PlanSpec(**spec)
    )


def every_value(num_gpus: int) -> Iterator[Layout]:
    """Yield every combination of values that may or may not be a layout."""
    sizes = range(1, num_gpus + 1)
    for tp, cp, pp, dp in product(sizes, repeat=4):
        if tp * cp * pp * dp == num_gpus:
            for vpp, ep, micro, name in product(range(1, 4), (1, 2), (1, 3), SOME_SCHEDULES):
                yield Layout(tp, cp, pp, vpp, dp, ep, micro, name, "none", 0, tp > 1)


def canonical(layout: Layout) -> Layout:
    """Return the layout that stands for all that are the same job."""
    smallest = SCHEDULE_RULES[layout.schedule].chunks.smallest
    vpp = max(layout.vpp, smallest)
    if layout.pp == 1:
        return layout._replace(schedule="1f1b", vpp=1)
    if vpp == 1 and layout.schedule == "interleaved-1f1b":
        return layout._replace(schedule="1f1b")
    return layout._replace(vpp=vpp)


def test_what_is_listed_can_be_built_and_what_is_not_is_refused_or_the_same() -> None:
    scenario = job(DENSE | {"moe": EXPERTS | {"first_dense_layers": 0, "num_experts": 2}}, gpus=4, samples=12)
    spec = {"recompute": ["none"], "zero_stage": [0], "micro_batch_size": [1, 3], "schedules": SOME_SCHEDULES}
    listed = {layout for layout in layouts(space_of(scenario, **spec)) if layout.vpp < 4}
    legal = set()
    for layout in every_value(4):
        try:
            vary(scenario, layout.values({}))
        except ScenarioError:
            assert layout not in listed
        else:
            legal.add(canonical(layout))
    assert listed == legal


def test_frames_and_variants_are_the_layouts() -> None:
    space = space_of(job(DENSE))
    found = [frame.layout(*variant) for frame in frames(space) for variant in variants(space, frame)]
    assert len(set(found)) == len(found) > 1000
    assert found == list(layouts(space))


CASES = {
    "dense": ({}, {}),
    "tied": ({"tied_embeddings": True}, {"runtime": {"overlap": {"grad_reduce": False, "param_gather": False}}}),
    "experts": ({"moe": EXPERTS}, {}),
    "overlapped": ({"tied_embeddings": False}, {"runtime": {"overlap": {"tp": True, "cp": True}, "host_gap": "5 us"}}),
    "partial": ({}, {"training": {"recompute": "full", "recompute_num_layers": 1}}),
    "no barrier": ({}, {"runtime": {"optimizer_barrier": False, "scatter_gather": True}}),
}


@pytest.mark.parametrize("case", CASES)
def test_bounds_are_no_more_than_what_runs_take(case: str) -> None:
    changes, sections = CASES[case]
    scenario = job(DENSE | changes, **sections)
    fixed = {"recompute": "full"} if case == "partial" else {}
    alone, space = Alone.of(scenario), replace(space_of(scenario), fixed=fixed)
    bounds, drawn = Bounds(alone), random.Random(case)
    for frame in drawn.sample(list(frames(space)), 6):
        recompute, zero_stage = drawn.choice(variants(space, frame))
        layout = frame.layout(recompute, zero_stage)
        alternative = layout.alternative(scenario.parallelism)
        (estimate,) = alone.estimates(alternative.order(alone.samples), [alternative], None)
        varied = vary(scenario, layout.values(fixed))
        makespan_ps = simulate_representatives(varied).makespan_ps
        assert estimate.step_ps is not None
        coarse_ps = bounds.step_ps(frame, recompute, zero_stage == 3, coarse=True)
        assert coarse_ps <= bounds.step_ps(frame, recompute, zero_stage == 3) <= estimate.step_ps <= makespan_ps
        assert makespan_ps <= simulate(varied).trace.makespan_ps
        assert bounds.peak_bytes(frame, recompute, zero_stage) <= estimate.peak_bytes
        assert estimate.peak_bytes == max(peak_bytes_by_rank(varied))
        assert estimate.step_ps >= 0.6 * makespan_ps  # all that is left out is that NICs are shared


def test_longer_orders_hold_no_less() -> None:
    scenario = job(DENSE | {"num_layers": 8}, gpus=4, samples=64)
    alone = Alone.of(scenario)
    for frame in frames(space_of(scenario, tp=[1], cp=[1], micro_batch_size=[1])):
        alternative = frame.layout("none", 0).alternative(scenario.parallelism)
        key = alternative.order(alone.samples)
        costs = alone.stage_costs(alternative)
        peaks = [
            alone.peaks(key._replace(num_microbatches=number)).activation_peaks(costs)
            for number in (4 * frame.pp, 5 * frame.pp, 8 * frame.pp)
        ]
        assert all(few <= more for few, more in zip(peaks[0], peaks[1], strict=True))
        assert all(few <= more for few, more in zip(peaks[1], peaks[2], strict=True))
