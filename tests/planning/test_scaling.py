"""Scaling curves: closed forms on ideal wires, and the network's share where it is the limit."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from plan_jobs import FAT_TREE, given_costs, small_model

import clustersim as cs
from clustersim.cli.schemas import answer_schema
from clustersim.errors import ScenarioError
from clustersim.planning.growth import admissible, doubled, grown
from clustersim.planning.scaling import scaling
from clustersim.report.result_schema import document_faults
from clustersim.workload.job import num_samples


def test_strong_scaling_of_a_pipeline_is_its_closed_form() -> None:
    # m micro-batches on 2 stages take (m + 1) * 3 s: all that is lost is the bubble
    found = scaling(given_costs(), [2, 4, 8, 16, 32])
    steps_s = {16 // dp: (16 // dp + 1) * 3.0 for dp in (1, 2, 4, 8, 16)}
    assert [one.point.step_time_s for one in found.points] == list(steps_s.values())
    assert [one.speedup for one in found.points] == pytest.approx([51 / step_s for step_s in steps_s.values()])
    for one, microbatches in zip(found.points, steps_s, strict=True):
        assert one.efficiency == pytest.approx(17 / 16 * microbatches / (microbatches + 1))
        assert one.point.bubble_share == pytest.approx(1 / (microbatches + 1))
        assert one.point.compute_share + one.point.bubble_share + one.point.exposed_communication_share == 1
        assert one.point.network_share == 0
    assert found.network_limited_from is None
    assert found.learning_rate is None


def test_weak_scaling_on_ideal_wires_loses_nothing_and_tells_of_the_learning_rate() -> None:
    found = scaling(given_costs(), [2, 4, 64], weak=True)
    assert [one.efficiency for one in found.points] == [1.0, 1.0, 1.0]
    assert [one.point.global_batch_size for one in found.points] == [16, 32, 512]
    assert "chosen for 16 samples a step" in str(found.learning_rate)
    assert "512 samples: 32 or 5.657" in str(found.learning_rate)
    assert "no measurement says" in found.assumptions[0]


def test_a_step_costs_gpus_times_hours_times_price_exactly() -> None:
    for one in scaling(given_costs(), [2, 8]).points:
        exact = Fraction(one.point.step_time_s) * one.point.num_gpus / 3600
        assert one.point.gpu_hours == float(exact)
        assert one.point.cost_usd == float(exact * 2)
        assert one.point.energy_j == float(exact * 3600 * 400 * Fraction("1.6") * Fraction("1.25"))


def test_a_slow_network_becomes_the_limit_and_from_where() -> None:
    link = {"bandwidth": "1 GB/s"}
    slow = given_costs(
        stage_costs={"forward": "1 s", "backward": "2 s", "gradients": "6 GB"},
        cluster={"topology": {"fabric": "full-mesh", "gpus": 32, "link": link}},
        runtime={"overlap": {"grad_reduce": False}},
        economics={},
    )
    found = scaling(slow, [2, 4, 8, 16, 32], network_limit=0.2)
    # two replicas reduce 6 GB in 6 s; what a step takes beyond the (m + 1) * 3 s of its pipeline is the reduction
    assert found.points[1].point.step_time_s == 27 + 6
    for one, microbatches in zip(found.points, (16, 8, 4, 2, 1), strict=True):
        pipeline_s = (microbatches + 1) * 3
        assert one.point.network_share == pytest.approx(1 - pipeline_s / one.point.step_time_s)
    assert [one.is_network_limited for one in found.points] == [False, False, True, True, True]
    assert found.network_limited_from == 8
    assert scaling(slow, [2, 4, 8], network_limit=1.0).network_limited_from is None
    assert found.points[0].point.cost_usd is None
    assert found.points[0].point.fits is None


NODES = FAT_TREE | {"fabric": "leaf-spine", "device": "A100-SXM4-80GB", "nodes": 4, "gpus_per_node": 4}
NODES |= {"nics_per_node": 4, "nodes_per_leaf": 1}


@pytest.mark.parametrize(
    "differs",
    [
        {},
        {"hosts": [{"match": "node2", "slowdown": 1.5}]},
        {"hosts": [{"match": "node1", "device": "A100-SXM4-40GB"}]},
        {"hosts": [{"match": "node1", "device": "H100-SXM5-80GB"}], "power": {"node": "9 kW"}},
        {"oversubscription": 4.0},
        {"routing": "ecmp"},
    ],
)
def test_a_point_is_what_a_run_says(differs: dict[str, Any]) -> None:
    prices = {"economics": {}} if "hosts" in differs else {}
    job = small_model(cluster={"topology": NODES | differs, "gpus": 4}, **prices)
    point = scaling(job, [16]).points[0].point
    full = cs.simulate(grown(job, 16))
    assert (point.step_time_s, point.peak_bytes) == (full.step_time_s, full.memory.peak_bytes)
    assert (point.capacity_bytes, point.fits) == (full.memory.capacity_bytes, full.memory.fits)
    assert point.cost_usd == full.step_cost.cost_usd
    assert point.energy_j == full.step_cost.energy_j


def test_what_can_t_be_run_is_told_and_the_rest_is_run() -> None:
    found = scaling(small_model(), [2, 3, 12, 8])
    assert [one.point.num_gpus for one in found.points] == [2, 8]
    assert [one.num_gpus for one in found.refused] == [3, 12]
    assert "a replica has 2 GPUs" in found.refused[0].reason
    assert "do not divide evenly" in found.refused[1].reason
    assert document_faults(found.to_dict(), answer_schema("scale")) == []
    with pytest.raises(ScenarioError, match="no numbers of GPUs"):
        scaling(small_model(), [])


def test_a_layout_of_one_s_own_is_what_is_run() -> None:
    def in_one_stage(scenario: cs.Scenario) -> cs.Scenario:
        from clustersim.scenario.load import vary

        gpus = scenario.parallelism.num_gpus
        return vary(scenario, {"parallelism.pp": 1, "parallelism.dp": gpus})

    found = scaling(small_model(), [8], runner=cs.Runner(layout=in_one_stage))
    assert found.points[0].point.layout["dp"] == 8
    assert not any("are the scenario's own" in told for told in found.assumptions)


def test_numbers_of_gpus() -> None:
    assert admissible(small_model()) == [2, 4, 8, 16, 32, 64, 128]
    assert admissible(small_model(), 20) == [2, 4, 8, 16]
    assert admissible(small_model(), 6, weak=True) == [2, 4, 6]
    assert list(doubled(8, 8)) == [8]
    assert num_samples(grown(small_model(), 12, weak=True)) == 192
