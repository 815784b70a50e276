"""ZB-auto against the proven optimum, on small pipelines: it must find it in at least 95 of 100 cases."""

from __future__ import annotations

import pytest

import clustersim as cs
from clustersim.planning.optimize import optimize
from clustersim.scenario.load import scenario_from_mapping

pytest.importorskip("ortools", reason="the optimum is proven with OR-tools: pip install 'clustersim[optimize]'")

RATIOS = ((10, 10, 10), (10, 12, 8), (12, 9, 5), (8, 10, 14))


@pytest.mark.parametrize("p", [2, 3, 4])
def test_it_finds_the_optimum(p: int) -> None:
    proven = found = 0
    for m in (2, 3, 5, 8):
        for times in RATIOS:
            for limit in (p, 2 * p):
                costs = dict(zip(("forward", "input_grad", "weight_grad"), (f"{t} ms" for t in times), strict=True))
                scenario = scenario_from_mapping(
                    {
                        "version": 1,
                        "stage_costs": costs | {"activation": "1 GiB"},
                        "cluster": {"topology": {"fabric": "full-mesh", "gpus": 4}},
                        "parallelism": {"pp": p},
                        "batch": {"num_microbatches": m},
                        "schedule": {"name": "zb-auto", "limit": {"microbatches": limit}},
                    }
                )
                optimum = optimize(scenario, time_limit_s=2)
                proven += optimum.proven
                found += optimum.proven and cs.simulate(scenario).step_time_s == optimum.result.step_time_s
    assert proven == 32
    assert found >= 0.95 * proven
