"""The largest model that fits, held against every size, one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from plan_jobs import given_costs, small_model

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


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (lambda: largest_model(given_costs()), "has no model to make larger"),
        (
            lambda: largest_model(small_model(cluster={"topology": {"fabric": "full-mesh", "gpus": 4}})),
            "names no device",
        ),
        (lambda: largest_model(small_model(), "model.layers"), "no size of the model"),
        (lambda: largest_model(small_model(), "batch.micro_batch_size"), "no size of the model"),
        (lambda: largest_of_models(small_model(), ["nothing-*"]), "no model of the gallery is called so"),
        (lambda: largest_of_models(small_model(), ["gpt2"]), "did you mean 'gpt-2'"),
    ],
)
def test_questions_without_an_answer(asked: Callable[[], Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        asked()
