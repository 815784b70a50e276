"""The verbs that ask questions of a plan: what they print, their documents, and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from clustersim.cli.schemas import answer_schema
from clustersim.report.result_schema import document_faults

Run = Callable[..., tuple[int, str, str]]
JOB = """
version: 1
name: small
model: {num_layers: 4, hidden_size: 1024, num_attention_heads: 8, vocab_size: 51200, seq_length: 512}
cluster: {topology: dgx-a100, gpus: 4}
parallelism: {pp: 2, dp: 2}
batch: {global_batch_size: 64}
schedule: 1f1b
training: {token_budget: 1B tokens}
"""


@pytest.fixture
def job(tmp_path: Path) -> str:
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "schema", "code"),
    [
        ("scale {job} --gpus 4:16", "scale", 0),
        ("scale {job} --gpus 3,5", "scale", 3),
        ("size gpus {job} --days 30", "size-gpus", 0),
        ("size gpus {job} --tokens 1e15 --from 2027-01-01 --by 2027-01-02", "size-gpus", 3),
        ("size model {job} --models gpt-2,qwen2.5-*", "size-model", 0),
        ("size model {job} --models llama-3.1-405b", "size-model", 3),
        ("size cluster {job} --clusters dgx-a100,dgx-h100", "size-cluster", 0),
        ("size cluster {job} --clusters gb200-nvl72", "size-cluster", 3),
        ("sensitivity {job} --samples 3 --seed 7", "sensitivity", 0),
    ],
)
def test_a_document_fits_its_schema_and_says_what_it_rests_on(
    arguments: str, schema: str, code: int, job: str, run: Run
) -> None:
    code_found, out, _ = run(*arguments.format(job=job).split(), "--json")
    assert code_found == code
    document = json.loads(out)
    assert document_faults(document, answer_schema(schema)) == []
    assert "published dense configurations" in " ".join(document["assumptions"])


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ("scale {job} --gpus 4:16", 0, ["scaling, strong", "efficiency", "the network is", "What this rests on"]),
        ("scale {job} --gpus 4,8 --weak", 0, ["scaling, weak", "learning rate, chosen for 64 samples"]),
        ("scale {job} --gpus 5", 3, ["Refused", "a replica has 2 GPUs"]),
        ("size gpus {job} --days 30", 0, ["2 GPUs train on 1 B tokens within 30.00 days", "nine of ten", "USD"]),
        ("size gpus {job} --days 0.001 --max-gpus 8", 3, ["no number of GPUs to 8", "nearest: 8 GPUs", "late"]),
        ("size model {job} --step 50", 0, ["model.num_layers", "B parameters) fits", "next: ", "over"]),
        (
            "size model {job} --models llama-3.1-405b",
            3,
            ["no size of the model that was tried fits", "nearest: llama-3.1-405b"],
        ),
        ("size cluster {job} --clusters dgx-a100,dgx-h100", 0, ["is the cheapest to train on 1 B tokens", "0.00 %"]),
        (
            "size cluster {job} --clusters dgx-a100 --days 0.001",
            3,
            ["nearest: dgx-a100", "takes longer than the limit"],
        ),
        (
            "size model {job} --models gpt-2 --set parallelism.tp=8 --set cluster.gpus=32",
            3,
            ["no size of the model could be run"],
        ),
        (
            "size gpus {job} --set model=llama-3.1-70b --days 9999 --max-gpus 4",
            3,
            ["no number of GPUs to 4", "the nearest does not fit in memory"],
        ),
        ("sensitivity {job} --samples 3", 0, ["One assumption at a time", "error of step times", "nine of ten of 3"]),
        ("sensitivity {job} --samples 3", 0, ["median", "step time: +", "% against what it is now"]),
    ],
)
def test_a_report_says_the_answer_in_words(arguments: str, code: int, told: list[str], job: str, run: Run) -> None:
    code_found, out, _ = run(*arguments.format(job=job).split())
    assert code_found == code
    words = " ".join(out.split())
    assert [text for text in told if text not in words] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("scale {job} --gpus 64:4", "got '64:4'; numbers of GPUs are written such as 64:4096"),
        ("scale {job} --gpus many", "got 'many'"),
        ("size gpus {job}", "by when? give --days 30, or --by 2027-03-01"),
        ("size gpus {job} --days 3 --by 2027-03-01", "give --days, or --by with --from, not both"),
        ("size gpus {job} --from 2027-03-01", "--from needs --by"),
        ("size gpus {job} --by tomorrow", "a date is written such as 2027-03-01"),
        ("size gpus {job} --from 2027-03-01 --by 2027-03-01", "is not after"),
        ("size gpus {job} --days 3 --tokens many", "got 'many tokens'"),
        ("size gpus {job} --days inf", "got inf; a number of days is above 0"),
        ("size gpus {job} --days nan --json", "got nan; a number of days is above 0"),
        ("size gpus {job} --days 3 --max-gpus 1", "cluster.gpus: got at most 1; a replica has 2 GPUs (tp * cp * pp)"),
        ("size cluster {job} --clusters dgx-a100 --max-gpus 2", "got at most 2, but no time that it may take"),
        ("size cluster {job} --clusters ,", "names are joined by commas"),
        ("size cluster {job} --clusters dgx-a100 --set training.token_budget=null", "give --tokens 300B"),
        ("size model {job} --key model.layers", "no size of the model"),
    ],
)
def test_mistakes_are_told_and_end_with_2(arguments: str, message: str, job: str, run: Run) -> None:
    code_found, _, err = run(*arguments.format(job=job).split())
    assert code_found == 2
    assert message in err


def test_a_path_of_a_cluster_starts_at_the_current_folder(job: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = Path(job).parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.yaml").write_text("{fabric: full-mesh, gpus: 4, device: A100-SXM4-80GB}")
    monkeypatch.chdir(elsewhere)
    code, out, _ = run("size", "cluster", job, "--clusters", "mine.yaml,other.yaml", "--json")
    rows = {row["cluster"]: row for row in json.loads(out)["clusters"]}
    assert (code, rows["mine.yaml"]["status"], rows["other.yaml"]["status"]) == (0, "ok", "refused")
    assert str(elsewhere / "other.yaml") in rows["other.yaml"]["reason"]
