"""Times of one layer: the stage's ops without the ends, and what its tensor-parallel group exchanges."""

from __future__ import annotations

from typing import Any

import pytest

from clustersim.scenario.load import scenario_from_mapping
from clustersim.scenario.spec import Scenario
from clustersim.workload.layer_times import LayerTimes, layer_costs, layer_times
from clustersim.workload.model_costs import model_costs

# Korthikanti et al., MLSys 2023, table 4: a layer of 22 billion parameters, micro-batches of 4, tp 8, A100. [ms]
PUBLISHED = {
    (False, "none"): (7.7, 11.9),
    (True, "none"): (7.2, 11.8),
    (False, "full"): (7.7, 19.5),
    (False, "selective"): (7.7, 13.2),
    (True, "selective"): (7.2, 13.1),
}


def scenario(sequence_parallel: bool = False, recompute: str = "none", **sections: Any) -> Scenario:
    return scenario_from_mapping(
        {
            "version": 1,
            "model": "megatron-22b",
            "cluster": {"topology": "dgx-a100", "gpus": 8},
            "parallelism": {"tp": 8, "sequence_parallel": sequence_parallel},
            "batch": {"num_microbatches": 1, "micro_batch_size": 4},
            "schedule": "1f1b",
            "training": {"precision": "fp16", "recompute": recompute, "flash_attention": False},
        }
        | sections
    )


def times(given: Scenario, has_communication: bool = True) -> LayerTimes:
    return layer_times(given, layer_costs(given, 0), given.cluster.topology if has_communication else None)


@pytest.mark.parametrize("kind", PUBLISHED, ids=str)
def test_a_published_layer_is_met(kind: tuple[bool, str]) -> None:
    found = times(scenario(*kind))
    forward_ms, backward_ms = PUBLISHED[kind]
    assert found.forward_ps / 1e9 == pytest.approx(forward_ms, rel=0.08)
    assert found.backward_ps / 1e9 == pytest.approx(backward_ms, rel=0.16)


def test_layers_are_what_a_stage_is_made_of() -> None:
    given = scenario()
    (one,), (two,) = (model_costs(scenario(model=layers(number)), 1) for number in (1, 2))
    layer = layer_costs(given, 0)
    assert layer.forward_ps == pytest.approx(two.forward_ps - one.forward_ps, abs=2)
    assert layer.backward_ps == pytest.approx(two.backward_ps - one.backward_ps, abs=4)


def layers(number: int) -> dict[str, Any]:
    shape = scenario().model
    assert shape is not None
    return {**shape.model_dump(exclude_none=True), "num_layers": number}


def test_what_is_exchanged_comes_on_top_and_grows_with_less_bandwidth() -> None:
    given = scenario(recompute="full")
    costs, fabric = layer_costs(given, 0), given.cluster.topology
    alone, together = times(given, has_communication=False), times(given)
    assert alone == LayerTimes(costs.forward_ps, costs.recompute_ps + costs.backward_ps)
    assert together.forward_ps > alone.forward_ps
    # Two all-reduces in the forward; in the backward two more, and those of the forward that runs again.
    exchanged_ps = together.forward_ps - alone.forward_ps
    assert together.backward_ps - alone.backward_ps == 2 * exchanged_ps
    halved = layer_times(given, costs, fabric.with_in_training(0.5))
    assert 1.5 * exchanged_ps < halved.forward_ps - alone.forward_ps < 2 * exchanged_ps
