"""The largest model that fits, held against every size, one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from plan_jobs import FAT_TREE, given_costs, small_model

import clustersim as cs
from clustersim.cli.schemas import answer_schema
from clustersim.errors import ScenarioError
from clustersim.planning.largest import HIDDEN_SIZE, largest_model, largest_of_models
from clustersim.report.result_schema import document_faults
from clustersim.scenario.load import vary
from clustersim.simulation import peak_bytes_by_rank

WIDE = {"num_layers": 2, "hidden_size": 8192, "num_attention_heads": 64, "vocab_size": 51200, "seq_length": 2048}


def most_that_fits(job: cs.Scenario, key: str, values: range) -> int:
    """Return the largest of some values with which the job fits in 80 GiB, all of them tried."""
    fitting = [value for value in values if max(peak_bytes_by_rank(vary(job, {key: value}))) <= 80 * 2**30]
    return max(fitting, default=0)


@pytest.mark.parametrize(
    ("sections", "key", "values"),
    [
        ({"model": WIDE}, "model.num_layers", range(2, 24, 2)),
        ({"model": WIDE | {"num_layers": 4}, "parallelism": {"pp": 4, "dp": 1}}, "model.num_layers", range(8, 32, 4)),
        ({"model": WIDE | {"num_layers": 8}}, HIDDEN_SIZE, range(10240, 11264, 64)),
    ],
)
def test_the_answer_is_that_of_trying_all(sections: dict[str, Any], key: str, values: range) -> None:
    job = small_model(**sections)
    found = largest_model(job, key)
    assert found.answer is not None
    assert found.next is not None
    assert found.answer.value == most_that_fits(job, key, values) > values[0]
    assert isinstance(found.answer.value, int)
    assert found.next.value == found.answer.value + values.step
    assert found.answer.peak_bytes <= found.capacity_bytes == 80 * 2**30 < found.next.peak_bytes


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("model.num_layers", range(12, 40)),  # below 12 all are refused: none would have experts
        ("model.moe.first_dense_layers", range(1, 12)),  # 12 of 12 layers are refused
        ("model.num_attention_heads", range(16, 2000, 16)),  # all between are refused
        ("model.seq_length", range(512, 200_000, 8)),
    ],
)
def test_refusals_say_nothing_of_memory(key: str, values: range) -> None:
    moe = {"num_experts": 64, "top_k": 2, "ffn_hidden_size": 2048, "first_dense_layers": 11}
    wide = WIDE | {"num_layers": 12, "hidden_size": 2048, "num_attention_heads": 16, "head_dim": 128, "moe": moe}
    job = small_model(model=wide | {"num_query_groups": 16}, parallelism={"tp": 2, "dp": 2})
    found = largest_model(job, key, values.step)
    assert found.answer is not None
    most = found.answer.value
    assert isinstance(most, int)
    assert most in values
    beyond = [value for value in values if value > most][:1]
    assert [size.value for size in found.tried if not size.fits and size == found.next] == (
        beyond if found.next else []
    )
    assert found.next or most == values[-1]
    assert found.answer.over_bytes == 0
    assert found.next is None or found.next.over_bytes == found.next.peak_bytes - found.capacity_bytes > 0


def test_each_rank_must_fit_into_its_own_gpu() -> None:
    # the first stage, with the embedding, on the larger GPUs
    hosts = [{"match": "node0", "device": "H200-SXM-141GB"}]
    mixed = FAT_TREE | {"device": "A100-SXM4-80GB", "nodes": 2, "gpus_per_node": 2, "hosts": hosts}
    uneven = {"pp": 2, "dp": 2, "split": {"first": 3}}
    job = small_model(model=WIDE | {"num_layers": 5}, cluster={"topology": mixed}, parallelism=uneven)
    found = largest_model(job, "model.vocab_size", 1000)
    assert found.answer is not None
    assert found.point is not None
    assert found.point.fits
    assert found.capacity_bytes == found.point.capacity_bytes == 80 * 2**30 < found.answer.peak_bytes
    assert found.next is not None
    assert cs.simulate(vary(job, {"model.vocab_size": found.next.value})).memory.fits is False


def test_its_run_has_the_same_peak() -> None:
    job = small_model(model=WIDE)
    found = largest_model(job)
    assert found.answer is not None
    assert found.point is not None
    whole = cs.simulate(vary(job, {"model.num_layers": found.answer.value}))
    assert found.point.peak_bytes == found.answer.peak_bytes == whole.memory.peak_bytes
    assert found.point.fits
    assert document_faults(found.to_dict(), answer_schema("size-model")) == []


def test_where_nothing_fits_the_smallest_is_told() -> None:
    found = largest_model(small_model(model=WIDE | {"vocab_size": 2_000_000}))
    assert (found.answer, found.point) == (None, None)
    assert found.next is not None
    assert found.next.value == 2


def test_the_largest_of_some_models() -> None:
    found = largest_of_models(small_model(), ["llama-3.1-*", "qwen3-0.6b", "gpt-2"])
    assert found.answer is not None
    assert found.answer.value == "qwen3-0.6b"
    assert found.next is not None
    assert found.next.value == "llama-3.1-8b"
    assert [size.value for size in found.tried] == [
        "gpt-2",
        "qwen3-0.6b",
        "llama-3.1-8b",
        "llama-3.1-70b",
        "llama-3.1-405b",
    ]


def test_what_it_rests_on_is_that_of_the_model_that_fits() -> None:
    moe = {"num_experts": 8, "top_k": 2, "ffn_hidden_size": 512}
    job = small_model(model=WIDE | {"moe": moe})
    own, other = largest_model(job), largest_of_models(job, ["gpt-2", "llama-3.1-405b"])
    for found, kind in ((own, "moe"), (other, "dense")):
        assert found.answer is not None
        assert f"published {kind} configurations" in found.assumptions[1]
        assert "price: A100-SXM4-80GB at 2 USD/h" in " ".join(found.assumptions)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (lambda: largest_model(given_costs()), "has no model to make larger"),
        (
            lambda: largest_model(small_model(cluster={"topology": {"fabric": "full-mesh", "gpus": 4}})),
            "names no device",
        ),
        (lambda: largest_model(small_model(), "model.layers"), "no size of the model"),
        (lambda: largest_model(small_model(), "model.num_layers", -1), "step: got -1; allowed: from 1"),
        (lambda: largest_model(small_model(), "model.gated_mlp"), "no whole number to start at, but False"),
        (lambda: largest_model(small_model(), "batch.micro_batch_size"), "no size of the model"),
        (lambda: largest_of_models(small_model(), ["nothing-*"]), "no model of the gallery is called so"),
        (lambda: largest_of_models(small_model(), ["gpt2"]), "did you mean 'gpt-2'"),
    ],
)
def test_questions_without_an_answer(asked: Callable[[], Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        asked()
