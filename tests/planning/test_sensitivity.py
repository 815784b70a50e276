"""How much answers move: each assumption against a run with it changed, and samples against closed forms."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from plan_jobs import FAT_TREE, given_costs, small_model

import clustersim as cs
from clustersim.cli.schemas import answer_schema
from clustersim.economics import cost_and_energy
from clustersim.errors import ScenarioError
from clustersim.planning.point import Runner
from clustersim.planning.sensitivity import Sensitivity, hypercube, sensitivity
from clustersim.planning.uncertainty import Study, assumptions_with_ranges
from clustersim.planning.validation_error import class_error_of, packaged_errors
from clustersim.report.result_schema import document_faults
from clustersim.scenario.load import vary


@pytest.fixture(scope="module")
def found() -> Sensitivity:
    return sensitivity(small_model(economics={}), num_samples=10)


def test_every_kind_of_assumption_is_there(found: Sensitivity) -> None:
    names = {swing.assumption.name for swing in found.swings}
    assert {"kernels.gemm", "kernels.launch", "scale-up bandwidth", "network bandwidth", "latency"} <= names
    assert {"error of step times", "economics.price", "economics.draw", "economics.network", "economics.pue"} <= names
    assert "economics.host" not in names  # the topology says what a node draws
    for swing in found.swings:
        assert swing.assumption.low <= swing.assumption.value <= swing.assumption.high
        assert swing.assumption.basis
    assert document_faults(found.to_dict(), answer_schema("sensitivity")) == []


def test_ends_are_what_a_run_with_the_change_gives(found: Sensitivity) -> None:
    job = small_model(economics={})
    whole = cs.simulate(job)
    swings = {swing.assumption.name: swing for swing in found.swings}
    assert found.nominal.step_time_s == whole.step_time_s
    assert found.nominal.cost_usd == whole.step_cost.cost_usd
    faster = swings["latency"].assumption.low
    (promised,) = cs.what_if(whole, {"latency": 1 / Fraction(faster)}).what_if
    assert swings["latency"].at_low.step_time_s == promised.step_time_s
    price = swings["economics.price"]
    assert price.at_low.step_time_s == price.at_high.step_time_s == whole.step_time_s
    assert price.at_low.cost_usd == pytest.approx(whole.step_cost.gpu_hours * 1.39)
    pue = swings["economics.pue"]
    assert pue.at_high.energy_j == pytest.approx(whole.step_cost.energy_j / 1.15 * 1.58)  # type: ignore[operator]
    error = class_error_of(job)
    assert error is not None
    assert swings["error of step times"].at_high.step_time_s == pytest.approx(whole.step_time_s / (1 + error.low))


def test_slow_hosts_and_other_devices_are_part_of_every_outcome() -> None:
    hosts = [{"match": "node1", "slowdown": 1.5}, {"match": "node2", "device": "H100-SXM5-80GB"}]
    nodes = FAT_TREE | {"device": "A100-SXM4-80GB", "nodes": 4, "gpus_per_node": 2, "hosts": hosts}
    job = small_model(cluster={"topology": nodes}, parallelism={"pp": 2, "dp": 4}, economics={})
    study = Study(job, assumptions_with_ranges(job), Runner())
    whole, nominal = cs.simulate(job), study.outcome({})
    assert nominal.step_time_s == whole.step_time_s
    assert (nominal.cost_usd, nominal.energy_j) == (whole.step_cost.cost_usd, whole.step_cost.energy_j)
    gemm = next(one for one in assumptions_with_ranges(job) if one.name == "kernels.gemm")
    assert study.outcome({gemm.name: gemm.value}) == nominal  # the H100 computes as it did
    assert study.outcome({gemm.name: gemm.low}).step_time_s > nominal.step_time_s


def test_a_constant_of_the_device_is_that_of_a_device_file(found: Sensitivity) -> None:
    swing = next(swing for swing in found.swings if swing.assumption.name == "kernels.gemm")
    assert swing.at_low.step_time_s > found.nominal.step_time_s > swing.at_high.step_time_s
    error = packaged_errors()["dense"].ninth_decile
    assert swing.assumption.high == pytest.approx(swing.assumption.value * (1 + error))
    assert not swing.assumption.is_sampled


def test_intervals_hold_the_middle_nine_tenths_and_the_same_seed_gives_the_same(found: Sensitivity) -> None:
    assert found.step_time_s.low < found.step_time_s.median < found.step_time_s.high
    assert found.cost_usd is not None
    assert found.cost_usd.high / found.cost_usd.low > found.step_time_s.high / found.step_time_s.low
    again = sensitivity(small_model(economics={}), num_samples=10)
    assert again == found
    assert sensitivity(small_model(economics={}), num_samples=10, seed=1).step_time_s != found.step_time_s


def test_samples_of_given_costs_are_their_closed_form() -> None:
    # on ideal wires a step is 17 * 3 s times the one factor that is drawn
    found = sensitivity(given_costs(), num_samples=40)
    assert found.step_time_s.low == pytest.approx(51 * 0.9 * (1.1 / 0.9) ** 0.05, rel=0.01)
    assert found.step_time_s.high == pytest.approx(51 * 0.9 * (1.1 / 0.9) ** 0.95, rel=0.01)
    assert {swing.assumption.name for swing in found.swings if swing.time_swing_s} == {"compute"}


def test_a_hypercube_hits_each_slice_of_each_range_once() -> None:
    assumptions = [one for one in assumptions_with_ranges(small_model()) if one.is_sampled]
    values = np.array(hypercube(assumptions, 50, seed=3))
    for column, one in zip(values.T, assumptions, strict=True):
        places = np.log(column / one.low) / np.log(one.high / one.low)
        assert sorted(np.floor(places * 50).astype(int).tolist()) == list(range(50))


def test_what_changes_no_run_runs_nothing() -> None:
    job = small_model()
    study = Study(job, assumptions_with_ranges(job), Runner())
    base = study.outcome({})
    dearer = study.outcome({"economics.price": 4.0, "economics.pue": 2.0})
    assert study.num_runs == 1
    assert dearer.cost_usd == 2 * base.cost_usd  # type: ignore[operator]
    assert dearer.energy_j == pytest.approx(base.energy_j * 2.0 / 1.25)  # type: ignore[operator]


def test_a_job_s_own_range_of_prices_is_taken() -> None:
    own = {"prices": {"A100-SXM4-80GB": {"price": "2 USD/h", "lowest": "1 USD/h", "highest": "3 USD/h"}}}
    price = next(one for one in assumptions_with_ranges(small_model(economics=own)) if one.kind == "price")
    assert (price.low, price.value, price.high) == (1.0, 2.0, 3.0)
    other = next(one for one in assumptions_with_ranges(small_model()) if one.kind == "price")
    assert (other.low, other.high) == (1.4, 2.6)


def test_mixtures_and_narrow_formats_have_errors_of_their_own() -> None:
    job = small_model()
    h100 = vary(job, {"cluster.topology": "dgx-h100", "training.precision": "fp8"})
    moe = vary(job, {"model.moe": {"num_experts": 8, "top_k": 2, "ffn_hidden_size": 512}})
    assert [error.group for error in map(class_error_of, (job, h100, moe)) if error] == ["dense", "fp8", "moe"]
    assert "kernels.gemm_fp8" in {one.name for one in assumptions_with_ranges(h100)}
    assert "kernels.experts" in {one.name for one in assumptions_with_ranges(moe)}
    assert class_error_of(given_costs()) is None


def test_a_number_of_samples_has_bounds() -> None:
    with pytest.raises(ScenarioError, match="got 0; allowed: 1 to 10000"):
        sensitivity(small_model(), num_samples=0)
    assert cost_and_energy(small_model(), 3600.0).cost_usd == 8.0


def test_a_token_budget_is_so_many_steps() -> None:
    job = small_model(training={"token_budget": "1B tokens"})
    assert sensitivity(job, num_samples=1).budget_steps == 30518  # of 32,768 tokens
    assert sensitivity(small_model(), num_samples=1).budget_steps is None


def test_a_bandwidth_that_collectives_were_fitted_to_is_part_of_the_error_of_step_times() -> None:
    topology = {"fabric": "full-mesh", "gpus": 4, "device": "A100-SXM4-80GB", "link": {"bandwidth": "300 GB/s"}}
    found = {}
    for fitted in ([], ["network"]):
        job = small_model(cluster={"topology": topology | {"collectives": {"fitted": fitted}}})
        found[len(fitted)] = {one.name: one for one in assumptions_with_ranges(job)}["network bandwidth"]
    assert (found[0].origin, found[0].is_sampled) == ("assumed", True)
    assert (found[1].origin, found[1].is_sampled) == ("derived", False)
    assert found[1].high == 1 + packaged_errors()["dense"].ninth_decile < found[0].high
