"""The collective verb: a table like nccl-tests', its document, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clustersim.cli import main

MESH = "fabric: full-mesh\ngpus: 8\nlink: {bandwidth: 100 GB/s, latency: 2 us}\n"


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["collective", *args])
    captured = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, captured.out, captured.err


@pytest.fixture
def mesh(tmp_path: Path) -> str:
    (tmp_path / "mesh.yaml").write_text(MESH)
    return str(tmp_path / "mesh.yaml")


def test_the_document_has_a_row_a_size(capsys: pytest.CaptureFixture[str], mesh: str) -> None:
    code, out, _ = run(
        capsys, "all-reduce", mesh, "--gpus", "4", "--sizes", "1MiB:4MiB", "--algorithm", "ring", "--json"
    )
    document = json.loads(out)
    assert code == 0
    assert (document["schema"], document["num_gpus"]) == ("clustersim/collective/1", 4)
    assert [row["bytes"] for row in document["rows"]] == [2**20, 2**21, 2**22]
    for row in document["rows"]:
        time_ps = 6 * 2 * 10**6 + -(-row["bytes"] * 6 * 10 // 4)  # 2 (n - 1) latencies, and 10 ps a byte on a link
        assert row["time_s"] == time_ps / 1e12
        assert row["algorithm"] == "ring"
        assert row["algorithm_bandwidth_bytes_per_s"] == row["bytes"] * 10**12 / time_ps
        assert row["bus_bandwidth_bytes_per_s"] == pytest.approx(1.5 * row["algorithm_bandwidth_bytes_per_s"])


def test_the_table_says_what_its_bandwidths_are(capsys: pytest.CaptureFixture[str], mesh: str) -> None:
    code, out, _ = run(capsys, "broadcast", mesh, "--sizes", "1000,1 GiB")
    assert code == 0
    assert "8 GPUs" in out
    assert "bus bandwidth is that times" in out
    assert out.count("ring") == 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("all-redcue", "dgx-h100"), "did you mean 'all-reduce'"),
        (("all-gather", "dgx-h100", "--algorithm", "tree"), "no algorithm of all-gather is called 'tree'"),
        (("all-reduce", "dgx-h100", "--sizes", "1MiB:"), "--sizes"),
        (("all-reduce", "dgx-h100", "--sizes", "2MiB:1MiB"), "--sizes: got '2MiB:1MiB'"),
        (("all-reduce", "dgx-h100", "--sizes", "1 Mb"), "--sizes"),
        (("all-reduce", "no-such-place"), "no topology is called 'no-such-place'"),
        (("all-reduce", "full-mesh", "--gpus", "0"), "--gpus"),
    ],
)
def test_bad_input_is_refused(capsys: pytest.CaptureFixture[str], args: tuple[str, ...], message: str) -> None:
    code, out, err = run(capsys, *args)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_more_gpus_than_a_file_has_are_refused(capsys: pytest.CaptureFixture[str], mesh: str) -> None:
    code, _, err = run(capsys, "all-reduce", mesh, "--gpus", "9")
    assert code == 2
    assert "the topology has 8" in err
