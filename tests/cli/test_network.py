"""The network verb: SimGrid's flows through files, what is printed, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clustersim.cli import main

SIMGRID: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "engine" / "simgrid_flows.json").read_text(), parse_float=str
)
NODE = "fabric: single-node\ngpus: 4\nscaleup: {bandwidth: 1 GB/s, latency: 1 us}\n"


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["network", *args])
    captured = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, captured.out, captured.err


def written(folder: Path, flows: str, topology: str = NODE) -> tuple[str, ...]:
    (folder / "node.yaml").write_text(topology)
    (folder / "flows.csv").write_text(f"source,destination,bytes,start_s\n{flows}")
    return str(folder / "node.yaml"), "--flows", str(folder / "flows.csv")


@pytest.mark.parametrize("number", range(len(SIMGRID)))
def test_simgrid_s_times_are_met(capsys: pytest.CaptureFixture[str], tmp_path: Path, number: int) -> None:
    case = SIMGRID[number]
    gpus = [{"id": f"h{host}", "kind": "gpu"} for host in range(case["hosts"])]
    switches = dict.fromkeys(wire["parent"] for wire in case["links"])
    edges = [
        {"source": wire["child"], "target": wire["parent"], "bandwidth": f"{wire['bytes_per_s']} B/s"}
        for wire in case["links"]
    ]
    graph = {"nodes": [*gpus, *({"id": switch} for switch in switches)], "edges": edges}
    (tmp_path / "tree.json").write_text(json.dumps(graph))
    rows = "".join(
        f"{flow['source']},{flow['destination']},{flow['bytes']},{flow['start']}\n" for flow in case["flows"]
    )
    args = written(tmp_path, rows, "fabric: graph\nfile: tree.json\n")
    code, out, err = run(capsys, *args, "--json", "--check")
    assert (code, err) == (0, "")
    ends = [flow["end_s"] for flow in json.loads(out)["flows"]]
    assert ends == pytest.approx([float(end_s) for end_s in case["completion_s"]], rel=1e-9, abs=0)


def test_the_document(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    # Both wait 2 us; the first then has half of the link to GPU 2 for 2 ms, the second all of it for the last one.
    args = written(tmp_path, "0,2,1 MB,0\n1,2,2000000,0\n")
    document = json.loads(run(capsys, *args, "--json")[1])
    assert document["schema"] == "clustersim/network/1"
    assert document["flows"] == [
        {"source": 0, "destination": 2, "bytes": 10**6, "start_s": 0, "end_s": 0.002002},
        {"source": 1, "destination": 2, "bytes": 2 * 10**6, "start_s": 0, "end_s": 0.003002},
    ]
    busiest = document["busiest_links"][0]
    assert (busiest["link"], busiest["bytes"], busiest["queued_s"]) == ("switch->gpu2", 3 * 10**6, 0)
    assert busiest["utilization"] == pytest.approx(3 / 3.002)
    assert busiest["slowed_s"] == pytest.approx(2e-3)


def test_the_report(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = run(capsys, *written(tmp_path, "0,2,1 MB,0\n1,2,2000000,0\n"))
    assert (code, err) == (0, "")
    assert "2 flows" in out
    assert "0.002002000000" in out
    assert "switch->gpu2" in out


def test_fifo_where_the_topology_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    fifo = NODE.replace("1 us", "1 us, sharing: fifo")
    args = written(tmp_path, "0,2,1 MB,0.001\n1,2,1 MB,0.001\n", fifo)
    document = json.loads(run(capsys, *args, "--json", "--check")[1])
    # Up at once, 1 ms and 1 us; then down in turn, 1 ms each, and 1 us.
    assert [flow["end_s"] for flow in document["flows"]] == [0.003002, 0.004002]
    assert document["busiest_links"][0]["queued_s"] == 0.001


@pytest.mark.parametrize(
    ("flows", "options", "code", "text"),
    [
        ("0,9,1,0\n", (), 2, "flows.csv:2:3: error: row 2, column destination: got '9'; GPUs are numbered 0 to 3"),
        ("".join(f"0,1,1,{start}\n" for start in range(50)), ("--max-events", "10"), 6, "--max-events 10"),
    ],
)
def test_how_it_fails(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, flows: str, options: tuple[str, ...], code: int, text: str
) -> None:
    got, out, err = run(capsys, *written(tmp_path, flows), *options)
    assert (got, out) == (code, "")
    assert text in err


def test_no_path_is_infeasible(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    graph = {"nodes": [{"id": name, "kind": "gpu"} for name in "ab"], "edges": []}
    (tmp_path / "apart.json").write_text(json.dumps(graph))
    code, _, err = run(capsys, *written(tmp_path, "0,1,1,0\n", "fabric: graph\nfile: apart.json\n"))
    assert code == 3
    assert "no path from GPU 0 (a) to GPU 1 (b)" in err
