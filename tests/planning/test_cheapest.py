"""The cheapest cluster of a list, held against runs on each of them."""

from __future__ import annotations

import pytest
from plan_jobs import given_costs, small_model

import clustersim as cs
from clustersim.cli.schemas import answer_schema
from clustersim.errors import ScenarioError
from clustersim.planning.cheapest import cheapest_cluster
from clustersim.planning.fewest import fewest_gpus
from clustersim.report.result_schema import document_faults
from clustersim.scenario.load import vary

TOKENS = 10**8
CLUSTERS = ("dgx-a100", "dgx-h100", "gb200-nvl72", "a100-4x100g", "nowhere")


def test_the_answer_is_that_of_running_on_all() -> None:
    job = small_model(economics={})
    found = cheapest_cluster(job, CLUSTERS, TOKENS)
    costs = {}
    for name in ("dgx-a100", "dgx-h100", "a100-4x100g"):
        result = cs.simulate(vary(job, {"cluster.topology": name}))
        assert result.token_cost is not None
        num_steps = -(-TOKENS // result.token_cost.tokens_per_step)
        costs[name] = num_steps * result.step_cost.cost_usd  # type: ignore[operator]
    rows = {row.cluster: row for row in found.clusters}
    for name, cost_usd in costs.items():
        assert rows[name].training is not None
        assert rows[name].training.cost_usd == pytest.approx(cost_usd)
    assert [row.cluster for row in found.clusters] == [*sorted(costs, key=costs.__getitem__), "gb200-nvl72", "nowhere"]
    assert found.answer == min(costs, key=costs.__getitem__)
    assert (rows["gb200-nvl72"].status, rows["nowhere"].status) == ("unpriced", "refused")
    assert "no topology is called 'nowhere'" in rows["nowhere"].reason
    assert document_faults(found.to_dict(), answer_schema("size-cluster")) == []


def test_with_a_date_each_cluster_has_the_fewest_gpus_that_meet_it() -> None:
    job = small_model(economics={})
    limit_s = 200.0
    found = cheapest_cluster(job, CLUSTERS[:2], TOKENS, limit_s)
    for row in found.clusters:
        alone = fewest_gpus(vary(job, {"cluster.topology": row.cluster}), TOKENS, limit_s).answer
        assert alone is not None
        assert row.point == alone.point
        assert row.training == alone.training


def test_where_none_is_in_time_the_soonest_is_the_nearest() -> None:
    found = cheapest_cluster(small_model(economics={}), CLUSTERS[:2], TOKENS, 1.0)
    assert found.answer is None
    assert found.nearest == "dgx-h100"
    assert {row.status for row in found.clusters} == {"late"}


def test_where_none_fits_the_leanest_is_the_nearest() -> None:
    large = small_model(model="llama-3.1-70b", economics={})
    found = cheapest_cluster(large, ("dgx-a100", "dgx-h200"), TOKENS)
    assert found.answer is None
    assert found.nearest == "dgx-h200"
    assert {row.status for row in found.clusters} == {"unfit"}


def test_all_that_is_wrong_with_a_question_is_told_at_once() -> None:
    with pytest.raises(ScenarioError) as raised:
        cheapest_cluster(given_costs(), (), 0, most_gpus=8)
    assert [fault.where for fault in raised.value.faults] == ["model", "clusters", "tokens", "cluster.gpus"]
    with pytest.raises(ScenarioError, match="got nan s"):
        cheapest_cluster(small_model(), CLUSTERS, TOKENS, float("nan"))
