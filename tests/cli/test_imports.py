"""``clustersim import``: files written, options asked for, exit codes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from clustersim.cli import main

CONF = "SwitchName=s0 Nodes=dev[0-3]\n"
OPTIONS = ("--gpus-per-node", "1", "--link-bandwidth", "400 Gbps")


def run(*args: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["import", *args])
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.fixture
def conf(tmp_path: Path) -> str:
    path = tmp_path / "topology.conf"
    path.write_text(CONF, encoding="utf-8")
    return str(path)


def test_a_topology_is_written_that_a_scenario_can_name(conf: str, tmp_path: Path) -> None:
    output = tmp_path / "mine.yaml"
    assert run("slurm", conf, *OPTIONS, "--device", "H100-SXM5-80GB", "-o", str(output)) == 0
    assert output.read_text(encoding="utf-8").splitlines() == [
        "# Imported from Slurm's topology (topology.conf).",
        "fabric: graph",
        "file: mine.json",
    ]
    scenario = tmp_path / "s.yaml"
    scenario.write_text(
        "version: 1\nstage_costs: {forward: 10 ms, backward: 20 ms, message: 1 MiB}\n"
        "cluster: {topology: mine.yaml, placement: {exclude: dev1}}\nparallelism: {pp: 3}\n"
        "batch: {num_microbatches: 4}\nschedule: 1f1b\n",
        encoding="utf-8",
    )
    with pytest.raises(SystemExit) as caught:
        main(["validate", str(scenario)])
    assert caught.value.code == 0


def test_the_graph_alone_goes_to_standard_output(conf: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("slurm", conf, *OPTIONS) == 0
    assert len(json.loads(capsys.readouterr().out)["edges"]) == 8


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    matrix = b"\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tNV4\t0-9\nGPU1\tNV4\t X \t0-9\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(matrix)))
    assert run("nvidia-smi", "-", "--link-bandwidth", "25 GB/s") == 0
    assert json.loads(capsys.readouterr().out)["edges"] == [
        {"source": "GPU0", "target": "GPU1", "bandwidth": "100 GB/s"}
    ]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("slurm", "CONF"), "--gpus-per-node: is needed: the file does not tell the number of GPUs"),
        (("slurm", "CONF", *OPTIONS, "--latency", "1"), "--latency: got '1' without a unit"),
        (("slurm", "CONF", *OPTIONS, "--device", "H100"), "--device: 'H100' is not in the device catalogue"),
        (("slurm", "CONF", *OPTIONS, "-o", "x.txt"), "a topology ends in .yaml, a graph in .json"),
        (("nccl", "CONF"), "CONF:1:11: error: not XML: not well-formed"),
        (("nvidia-smi", "no-such-file"), "no-such-file: no such file"),
    ],
)
def test_mistakes_end_with_2(conf: str, args: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*(conf if arg == "CONF" else arg for arg in args)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert told.replace("CONF", conf) in captured.err
    assert "internal error" not in captured.err


def test_a_model_is_imported_from_hugging_face(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.json"
    config.write_text(
        '{"model_type": "gpt2", "n_layer": 2, "n_embd": 64, "n_head": 4, "n_positions": 32, "vocab_size": 99}',
        encoding="utf-8",
    )
    assert run("hf", str(config), "--seq-length", "16") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("# Imported from Hugging Face's config.json.\nmodel:\n  num_layers: 2\n")
    output = tmp_path / "model.yaml"
    assert run("hf", str(config), "--seq-length", "16", "-o", str(output)) == 0
    assert output.read_text(encoding="utf-8") == printed


def test_a_job_is_imported_from_megatron(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "run.sh"
    flags = "--num-layers 4 --hidden-size 64 --num-attention-heads 4 --seq-length 32 --max-position-embeddings 32"
    script.write_text(f"{flags} --micro-batch-size 2 --global-batch-size 8 --bf16\n", encoding="utf-8")
    assert run("megatron", str(script)) == 2
    assert "--vocab-size: is not among the flags" in capsys.readouterr().err
    assert run("megatron", str(script), "--vocab-size", "128") == 0
    printed = capsys.readouterr().out
    assert "schedule: 1f1b\ntraining:\n  precision: bf16\n" in printed
    assert run("megatron", "no-such-file") == 2
