"""What a job costs and draws, worked by hand, and what a scenario may replace of it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import clustersim as cs
from clustersim.economics import cost_and_energy, economics_of, rates_of, spending
from clustersim.errors import ScenarioError
from clustersim.scenario.devices import device_names
from clustersim.scenario.economics import load_economics
from clustersim.scenario.load import load_scenario, scenario_from_mapping
from clustersim.scenario.show import resolved, resolved_mapping


def job(topology: dict[str, Any] | None = None, **sections: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "stage_costs": {"forward": "1 s", "backward": "2 s"},
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": 4, "device": "H100-SXM5-80GB"} | (topology or {})},
        "parallelism": {"pp": 4},
        "batch": {"num_microbatches": 8},
        "schedule": "1f1b",
        **sections,
    }


PLAIN = {"prices": {"H100-SXM5-80GB": {"price": "3 USD/h"}}, "host": 0.5, "network": 0.1, "pue": 1.25, "draw": 0.8}


def test_cost_is_gpus_times_hours_times_price_and_energy_the_sum_of_its_parts() -> None:
    scenario = scenario_from_mapping(job(economics=PLAIN))
    for time_s in (1.0, 1e-12, 0.1, 12345.678, 1e7):
        found, exact = cost_and_energy(scenario, time_s), Fraction(time_s)
        assert found.gpu_hours == float(exact * 4 / 3600)
        assert found.cost_usd == float(exact * 4 * 3 / 3600)
        assert found.energy_j == float(exact * 4 * 700 * Fraction("1.6") * Fraction("0.8") * Fraction("1.25"))
    power = rates_of(scenario).power
    assert power is not None
    assert (power.device, power.host, power.network) == (2240, 1120, 224)  # 0.8 of 2800, 1400 and 280 W
    assert power.site == (2240 + 1120 + 224) * Fraction(1, 4)
    assert power.total == power.device + power.host + power.network + power.site


def test_electricity_may_be_paid_for_itself() -> None:
    scenario = scenario_from_mapping(job(economics=PLAIN | {"electricity": "0.10 USD/kWh"}))
    rates = rates_of(scenario)
    assert rates.usd_per_h == 4 * 3 + Fraction("4.480") * Fraction("0.1")  # 3584 W times 1.25
    result = cs.simulate(scenario)
    step = result.step_cost
    assert step.cost_usd == float(Fraction(result.step_time_s) * rates.usd_per_h / 3600)
    assert step.electricity_usd == pytest.approx(step.energy_j / 3.6e6 * 0.1)  # type: ignore[operator]


def test_a_run_costs_what_its_formula_says_node_by_node() -> None:
    scenario = load_scenario("llama-3.1-8b-64gpus")
    result = cs.simulate(scenario)
    step, cost = result.step_cost, result.token_cost
    assert cost is not None
    assert step.cost_usd == cost_and_energy(scenario, result.step_time_s).cost_usd
    assert step.energy_j == cost_and_energy(scenario, result.step_time_s).energy_j
    assert cost.per_million_tokens.cost_usd == pytest.approx(step.cost_usd * 1e6 / cost.tokens_per_step)  # type: ignore[operator]
    document = result.to_dict()["step_cost"]
    assert document["power"]["total_w"] == pytest.approx(sum(document["power"][f"{part}_w"] for part in PARTS))
    assert "on-demand" in document["price_basis"]


PARTS = ("device", "host", "network", "site")


def test_a_node_s_own_power_goes_before_the_share_of_hosts_and_covers_the_devices() -> None:
    own = {"node": "1 kW"}
    power = rates_of(scenario_from_mapping(job({"power": own}, economics={"pue": 1.0, "network": 0.0}))).power
    assert power is not None
    assert (power.device, power.host, power.network, power.site) == (2800, 1200, 0, 0)
    small = rates_of(scenario_from_mapping(job({"power": {"node": "100 W"}}, economics={"pue": 1.0}))).power
    assert small is not None
    assert (small.device, small.host) == (400, 0)


@pytest.mark.parametrize(
    ("topology", "economics", "pue"),
    [
        ({}, {}, load_economics().pue),
        ({"power": {"pue": 1.5}}, {}, 1.5),
        ({"power": {"pue": 1.5}}, {"draw": 0.5}, 1.5),
        ({"power": {"pue": 1.5}}, {"pue": 1.3}, 1.3),
    ],
)
def test_whose_pue_holds(topology: dict[str, Any], economics: dict[str, Any], pue: float) -> None:
    power = rates_of(scenario_from_mapping(job(topology, economics=economics))).power
    assert power is not None
    assert power.total == (power.total - power.site) * Fraction(str(pue))


def test_what_is_not_known_is_none_and_says_so() -> None:
    found = rates_of(scenario_from_mapping(job({"device": "GB300-NVL72"})))
    assert found.usd_per_h is None
    assert "no price of GB300-NVL72 is known" in found.price_basis
    assert spending(found, 1.0).energy_j is not None
    nothing = scenario_from_mapping(job({"device": None}))
    assert cost_and_energy(nothing, 1.0).cost_usd is None
    assert cost_and_energy(nothing, 1.0).energy_j is None
    assert cs.simulate(nothing).step_cost.power is None


def test_devices_of_two_kinds_are_paid_each_at_its_price() -> None:
    scenario = scenario_from_mapping(job())
    rates = rates_of(scenario, {"H100-SXM5-80GB": 3, "A100-SXM4-80GB": 1}, 4)
    assert rates.gpus_usd_per_h == 3 * Fraction("6.88") + Fraction("27.44705") / 8
    power = rates.power
    assert power is not None
    assert power.device == 3 * 700 + 400


def test_a_file_of_one_s_own_replaces_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("prices: {H100-SXM5-80GB: {price: 2.10 USD/h, terms: own}}\npue: 1.3\n")
    scenario = scenario_from_mapping(job(economics="mine.yaml"), folder=tmp_path)
    own = economics_of(scenario)
    assert rates_of(scenario).usd_per_h == Fraction("8.4")
    assert (own.pue, own.host) == (1.3, load_economics().host)
    assert "A100-SXM4-80GB" in own.prices
    shown = {row.key: row for row in resolved(scenario)}
    assert shown["economics.pue"].origin.endswith("mine.yaml:2")
    assert shown["economics.prices.H100-SXM5-80GB.price"].value == "2.1 USD/h"
    assert rates_of(scenario_from_mapping(resolved_mapping(scenario))).usd_per_h == Fraction("8.4")


def test_an_override_changes_one_value() -> None:
    scenario = load_scenario(
        "llama-3.1-8b-64gpus", ["economics.prices.H100-SXM5-80GB.price=2 USD/h", "economics.pue=2"]
    )
    assert rates_of(scenario).usd_per_h == 128
    assert economics_of(scenario).pue == 2


@pytest.mark.parametrize(
    ("economics", "message"),
    [
        ("list-price", "no economics are called 'list-price'\n  hint: did you mean 'list-prices'?"),
        ("nowhere.yaml", "economics: 'nowhere.yaml': no such file"),
        ({"pue": 0.9}, "economics.pue: must be at least 1.0; got 0.9"),
        ({"pues": 1.1}, "economics.pues: unknown key\n  hint: did you mean 'pue'?"),
        ({"prices": {"X": {"price": 3}}}, "economics.prices.X.price: got a bare number (3); a price is"),
        ({"prices": {"X": {"price": "3 EUR/h"}}}, "'EUR/h' is not a unit of price; allowed: USD/h"),
        ({"prices": {"X": {}}}, "economics.prices.X.price"),
        (
            {"prices": {"H100": {"price": "3 USD/h"}}},
            "prices.H100: no device is called 'H100'\n  hint: did you mean 'H100",
        ),
        ({"ranges": {"pue": [2, 1]}}, "economics.ranges.pue: got 2 to 1; the least comes first"),
        ({"ranges": {"draw": [0.5, 3]}}, "economics.ranges.draw: got 0.5 to 3; allowed: above 0 to 1"),
        ({"ranges": {"draw": [0, 1]}}, "economics.ranges.draw: got 0 to 1; allowed: above 0 to 1"),
        ({"prices": {"X": {"price": "3 USD/h", "lowest": "4 USD/h"}}}, "lowest: got 4 USD/h, more than"),
        (
            {"prices": {"X": {"price": "8 USD/h", "gpus": 8, "highest": "0.5 USD/h"}}},
            "less than a GPU's price, 1 USD/h",
        ),
    ],
)
def test_mistakes_say_where_what_and_what_is_allowed(economics: Any, message: str) -> None:
    with pytest.raises(ScenarioError) as error:
        scenario_from_mapping(job(economics=economics))
    assert message in str(error.value)


def test_every_list_price_is_of_a_device_in_the_catalogue_and_has_a_source_and_a_day() -> None:
    economics = load_economics()
    assert set(economics.prices) <= set(device_names())
    assert all(price.source and price.date and price.terms for price in economics.prices.values())
    assert set(economics.sources) == set(economics.ranges) == {"draw", "host", "network", "pue"}
    for name, (least, most) in economics.ranges.items():
        assert least <= getattr(economics, name) <= most
