"""The fewest GPUs by a date, held against every number of GPUs, one by one."""

from __future__ import annotations

import math

import pytest
from plan_jobs import FAT_TREE, given_costs, small_model

import clustersim as cs
from clustersim.cli.schemas import answer_schema
from clustersim.errors import ScenarioError
from clustersim.planning.fewest import fewest_gpus
from clustersim.planning.growth import admissible, grown
from clustersim.report.result_schema import document_faults
from clustersim.scenario.gallery import gallery_path

TOKENS = 10**9
LONG = {"num_layers": 4, "hidden_size": 1024, "num_attention_heads": 8, "vocab_size": 51200, "seq_length": 2048}


def times_s(job: cs.Scenario) -> dict[int, float]:
    """Return how long training takes on every number of GPUs that can share the batch, each simulated whole."""
    found = {}
    for number in admissible(job):
        result = cs.simulate(grown(job, number))
        assert result.token_cost is not None
        found[number] = -(-TOKENS // result.token_cost.tokens_per_step) * result.step_time_s
    return found


def test_the_answer_is_that_of_trying_all() -> None:
    job = small_model(batch={"global_batch_size": 16})
    known = times_s(job)
    for limit_s in [time_s * factor for time_s in known.values() for factor in (0.999, 1.0)]:
        found = fewest_gpus(job, TOKENS, limit_s)
        meeting = [number for number, time_s in known.items() if time_s <= limit_s]
        assert (found.answer.point.num_gpus if found.answer else None) == (meeting[0] if meeting else None)
        assert all(known[number] > limit_s for number in found.too_few)
        if not meeting:
            assert found.nearest is not None
            assert found.nearest.training.time_s == min(known.values())


def test_a_training_is_whole_steps_and_carries_an_interval() -> None:
    found = fewest_gpus(small_model(), TOKENS, 1e9)
    answer = found.answer
    assert answer is not None
    assert answer.training.num_steps == 30518  # of 32,768 tokens
    assert answer.training.time_s == 30518 * answer.point.step_time_s
    low_s, high_s = answer.training.time_interval_s or (0.0, 0.0)
    assert low_s < answer.training.time_s < high_s
    assert answer.training.cost_usd == pytest.approx(answer.training.time_s / 3600 * answer.point.num_gpus * 2)
    assert "published dense configurations were met to" in found.assumptions[0]
    assert document_faults(found.to_dict(), answer_schema("size-gpus")) == []


def test_sure_asks_for_the_later_end_of_the_interval() -> None:
    job = small_model()
    usual = fewest_gpus(job, TOKENS, 1e9).answer
    assert usual is not None
    assert usual.training.time_interval_s is not None
    between_s = (usual.training.time_s + usual.training.time_interval_s[1]) / 2
    assert fewest_gpus(job, TOKENS, between_s).answer == usual
    sure = fewest_gpus(job, TOKENS, between_s, sure=True).answer
    assert sure is not None
    assert sure.point.num_gpus > usual.point.num_gpus


def test_what_does_not_fit_is_no_answer() -> None:
    large = small_model(model="llama-3.1-70b", parallelism={"pp": 2, "dp": 2, "zero_stage": 0})
    found = fewest_gpus(large, TOKENS, 1e12, most_gpus=8)
    assert found.answer is None
    assert [one.fits for one in found.tried] == [False] * 3
    assert found.nearest is not None
    assert found.nearest.point.peak_bytes == min(one.point.peak_bytes for one in found.tried)


def test_where_even_peaks_are_too_slow_the_most_gpus_are_the_nearest() -> None:
    found = fewest_gpus(small_model(), 10**15, 1.0)
    assert found.answer is None
    assert found.too_few == (2, 4, 8, 16, 32, 64)  # 128 were run
    assert found.nearest is not None
    assert found.nearest.point.num_gpus == found.most_gpus == 128


def test_what_costs_rest_on_is_that_of_the_answer() -> None:
    job = small_model()
    for number in (2, 16):
        found = fewest_gpus(job, TOKENS, fewest_gpus(job, TOKENS, 1e9, number).tried[-1].training.time_s, number)
        best = found.answer or found.nearest
        assert best is not None
        assert f"on {best.point.num_gpus} GPUs that of" in " ".join(found.assumptions)


def test_on_several_devices_the_fastest_says_what_is_certain() -> None:
    # every replica is on the one node that is faster than the others; fewer GPUs are not ruled out by their peaks
    hosts = [{"match": "node0", "device": "H100-SXM5-80GB"}]
    mixed = FAT_TREE | {"device": "V100-SXM2-32GB", "nodes": 2, "gpus_per_node": 8, "hosts": hosts}
    sections = {"parallelism": {"pp": 2, "dp": 4}, "training": {"precision": "fp16"}, "model": LONG}
    job = small_model(cluster={"topology": mixed, "gpus": 8}, **sections, economics={})
    whole = cs.simulate(grown(job, 4))
    assert whole.token_cost is not None
    time_s = -(-TOKENS // whole.token_cost.tokens_per_step) * whole.step_time_s
    found = fewest_gpus(job, TOKENS, time_s, most_gpus=8)
    assert found.answer is not None
    assert found.answer.point.num_gpus <= 4


def test_nodes_of_a_graph_may_have_faster_devices_than_the_usual_one() -> None:
    file = str(gallery_path("topologies") / "two-hosts.graphml")
    two_hosts = {"fabric": "graph", "file": file, "device": "A100-SXM4-80GB"}
    found = fewest_gpus(small_model(cluster={"topology": two_hosts}), 10**15, 1.0, most_gpus=4)
    assert found.too_few == ()
    assert [one.point.num_gpus for one in found.tried] == [2, 4]


def test_weak_lets_the_batch_grow_and_says_so() -> None:
    found = fewest_gpus(small_model(), TOKENS, 1500.0, most_gpus=64, weak=True)
    assert found.answer is not None
    assert found.answer.point.global_batch_size == 32 * found.answer.point.layout["dp"]
    assert "chosen for 64 samples a step" in str(found.learning_rate)


@pytest.mark.parametrize(
    ("job", "tokens", "limit_s", "most_gpus", "message"),
    [
        (given_costs(), TOKENS, 1.0, None, "tokens need a `model`"),
        (small_model(), 0, 1.0, None, "tokens: got 0; allowed: above 0"),
        (small_model(), TOKENS, 0.0, None, "the time that is left is a number above 0"),
        (small_model(), TOKENS, math.inf, None, "got inf s; the time that is left is a number above 0"),
        (small_model(), TOKENS, math.nan, None, "got nan s; the time that is left is a number above 0"),
        (small_model(), TOKENS, 1.0, 1, "got at most 1; a replica has 2 GPUs"),
    ],
)
def test_questions_without_an_answer(
    job: cs.Scenario, tokens: int, limit_s: float, most_gpus: int | None, message: str
) -> None:
    with pytest.raises(ScenarioError, match=message):
        fewest_gpus(job, tokens, limit_s, most_gpus)
