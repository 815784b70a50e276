"""The verbs that simulate, compare and list: what they print where, and how they exit."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from clustersim.analysis import invariants
from clustersim.errors import InvariantError
from clustersim.schedules.table import SCHEDULES

TOO_LARGE = "stage_costs.weights=100 GiB"

Run = Callable[..., tuple[int, str, str]]


def test_run_draws_the_report(run: Run, scenario: str) -> None:
    code, out, err = run("run", scenario, "--check", "--no-fold")
    assert (code, err) == (0, "")
    assert out.startswith('four, "quoted" 🚀 מהיר\n1f1b')
    for section in ("Bubble", "Gantt", "Memory at each rank's peak [GiB]", "Communication of a step"):
        assert f"\n{section}\n" in out


def test_run_as_json(run: Run, scenario: str) -> None:
    code, out, _ = run("run", scenario, "--json", "--set", "batch.num_microbatches=4")
    document = json.loads(out)
    assert (code, document["schema"]) == (0, "clustersim/result/1")
    assert document["step_time_s"] == 0.22  # (m + p - 1) * 30 ms, and five hops each way


@pytest.mark.parametrize("args", [("--json", "-o", "result.txt"), ("-o", "result.json")])
def test_run_writes_the_document_to_a_file(
    run: Run, scenario: str, args: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("run", scenario, *args) == (0, "", "")
    assert json.loads((tmp_path / args[-1]).read_text(encoding="utf-8"))["name"].endswith("🚀 מהיר")


def test_run_writes_the_report_to_a_file(run: Run, scenario: str, tmp_path: Path) -> None:
    assert run("run", scenario, "-o", str(tmp_path / "report.txt")) == (0, "", "")
    assert "\nGantt\n" in (tmp_path / "report.txt").read_text(encoding="utf-8")


def test_a_job_that_does_not_fit_is_reported_in_full_with_exit_3(run: Run, scenario: str) -> None:
    code, out, _ = run("run", scenario, "--set", TOO_LARGE)
    assert code == 3
    assert "does not fit" in out
    assert "\nGantt\n" in out
    code, out, _ = run("run", scenario, "--set", TOO_LARGE, "--json")
    assert (code, json.loads(out)["memory"]["fits"]) == (3, False)


def test_tables(run: Run, scenario: str, tmp_path: Path) -> None:
    assert run("run", scenario, "-q", "--tables", str(tmp_path / "tables"))[0] == 0
    with (tmp_path / "tables" / "ranks.csv").open(newline="") as file:
        assert [row["compute_ps"] for row in csv.DictReader(file)] == [str(8 * 30 * 10**9)] * 4
    code, _, err = run("run", scenario, "--tables", scenario)
    assert (code, "not a folder" in err) == (2, True)


@pytest.mark.parametrize(
    ("args", "code", "what"),
    [
        (("--max-events", "10"), 6, "--max-events 10"),
        (("--max-wall", "0"), 6, "--max-wall"),
        (("--max-rss", "1 KiB"), 6, "--max-rss"),
        (("--max-wall", "soon"), 2, "a time is a number with a unit"),
        (("--max-rss", "4Gib"), 2, "'b' is bit"),
        (("--set", "parallelism.pp=8"), 2, "parallelism"),
    ],
)
def test_budgets_and_mistakes(run: Run, scenario: str, args: tuple[str, ...], code: int, what: str) -> None:
    found, out, err = run("run", scenario, *args)
    assert (found, out) == (code, "")
    assert what in err


@pytest.mark.parametrize("budget", ["60", "1.5", "10s", "1 min"])
def test_a_time_budget_is_a_number_of_seconds_or_has_a_unit(run: Run, scenario: str, budget: str) -> None:
    assert run("run", scenario, "--max-wall", budget, "--max-rss", "64GiB", "--max-events", "100000")[0] == 0


def test_a_broken_law_exits_with_5(run: Run, scenario: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_trace: object) -> None:
        raise InvariantError("time adds up: rank 0 accounts for 1 of 2 ps")

    monkeypatch.setattr(invariants, "check_invariants", broken)
    assert run("run", scenario)[0] == 0
    assert run("run", scenario, "--check") == (5, "", "error: time adds up: rank 0 accounts for 1 of 2 ps\n")


def test_an_unroutable_cluster_exits_with_3(run: Run, scenario: str, tmp_path: Path) -> None:
    edges = '{"directed": true, "nodes": [{"id": "a", "kind": "gpu"}, {"id": "b", "kind": "gpu"}], "edges": []}'
    (tmp_path / "apart.json").write_text(edges)
    text = Path(scenario).read_text(encoding="utf-8").replace("pp: 4", "pp: 2")
    text = re.sub(r"topology: \{.*\}\}", "topology: {fabric: graph, file: apart.json}}", text)
    (tmp_path / "apart.yaml").write_text(text, encoding="utf-8")
    code, _, err = run("run", str(tmp_path / "apart.yaml"))
    assert (code, "no path" in err) == (3, True)


def test_compare(run: Run, scenario: str) -> None:
    code, out, _ = run("compare", scenario, "--schedules", "gpipe,1f1b, zb-h1")
    rows = {line.split()[0]: line.split()[1] for line in out.splitlines() if " ms " in line}
    assert (code, rows) == (0, {"gpipe": "ok", "1f1b": "ok", "zb-h1": "best"})


def test_compare_all_lists_every_schedule(run: Run, scenario: str) -> None:
    code, out, _ = run("compare", scenario, "--schedules", "all", "--json")
    rows = json.loads(out)["rows"]
    assert (code, [row["schedule"] for row in rows]) == (0, list(SCHEDULES))
    assert all(row["reason"] for row in rows if row["status"] != "ok")


def test_compare_with_nothing_that_runs_or_fits(run: Run, scenario: str) -> None:
    split = ("--set", "stage_costs={forward: 1 s, backward: 2 s}")
    code, out, _ = run("compare", scenario, "--schedules", "zb-h1", *split)
    assert (code, "Refused\nzb-h1: " in out) == (2, True)
    code, out, _ = run("compare", scenario, "--schedules", "gpipe", "--set", TOO_LARGE)
    assert (code, "no schedule fits in memory" in out) == (0, True)


@pytest.mark.parametrize(
    ("names", "what"), [("zbh1", "did you mean 'zb-h1'?"), ("", "available: "), ("gpipe,x", "'x'")]
)
def test_compare_knows_its_schedules(run: Run, scenario: str, names: str, what: str) -> None:
    code, out, err = run("compare", scenario, "--schedules", names)
    assert (code, out, what in err) == (2, "", True)


def test_diff(run: Run, scenario: str, tmp_path: Path) -> None:
    before, after = str(tmp_path / "a.json"), str(tmp_path / "b.json")
    run("run", scenario, "-o", before)
    run("run", scenario, "-o", after, "--set", "schedule=gpipe")
    code, out, _ = run("diff", before, after)
    assert (code, "schedule: 1f1b -> gpipe" in out) == (0, True)
    code, out, _ = run("diff", before, before, "--json")
    assert (code, json.loads(out)["why"]) == (0, "step time unchanged")
    code, out, err = run("diff", before, scenario)
    assert (code, out, "not a JSON document" in err) == (2, "", True)


def test_sweep(run: Run, scenario: str) -> None:
    code, out, err = run("sweep", scenario, "--axis", "batch.num_microbatches=4,8")
    assert (code, err) == (0, "")
    assert "Bubble over batch.num_microbatches" in out
    code, out, _ = run("sweep", scenario, "--axis", "seed=1,2", "--axis", "schedule=[gpipe, {name: zb-h1}]", "--json")
    rows = json.loads(out)["rows"]
    assert [(row["seed"], row["schedule"]) for row in rows] == [
        (1, "gpipe"),
        (1, {"name": "zb-h1"}),
        (2, "gpipe"),
        (2, {"name": "zb-h1"}),
    ]


def test_sweep_over_two_axes_draws_a_table_of_both(run: Run, scenario: str) -> None:
    _, out, _ = run("sweep", scenario, "--axis", "schedule=1f1b,zb-h1", "--axis", "stage_costs.forward=10 ms,20 ms")
    heat = out.partition("Step time: schedule down, stage_costs.forward across\n")[2]
    assert heat.splitlines()[0].split() == ["10", "ms", "20", "ms"]
    assert [line.split()[0] for line in heat.splitlines()[1:3]] == ["1f1b", "zb-h1"]


def test_sweep_files(run: Run, scenario: str, tmp_path: Path) -> None:
    axes = ("--axis", "schedule=1f1b,{name: zb-h1}", "--axis", "parallelism.vpp=1,2")
    for name in ("rows.csv", "rows.jsonl", "rows.json"):
        assert run("sweep", scenario, *axes, "-o", str(tmp_path / name)) == (0, "", "")
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as file:
        from_csv = list(csv.DictReader(file, strict=True))
    from_lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert from_lines == json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [row["status"] for row in from_csv] == [row["status"] for row in from_lines] == ["ok", "refused"] * 2
    assert [row["step_time_s"] for row in from_csv] == [
        "" if row["step_time_s"] is None else str(row["step_time_s"]) for row in from_lines
    ]


@pytest.mark.parametrize(
    ("args", "code", "what"),
    [
        ((), 2, "nothing to vary"),
        (("--axis", "seed"), 2, "an axis is a key and its values"),
        (("--axis", "sed=1"), 2, "did you mean 'seed'?"),
        (("--axis", "seed=[1"), 2, "--axis seed=[1"),
        (("--axis", "seed=1,2,3", "--max-sweep-points", "2"), 6, "--max-sweep-points 2"),
        (("--axis", "seed=1", "-o", "rows.xlsx"), 2, "allowed: .csv, .jsonl, .json"),
    ],
)
def test_sweep_mistakes(run: Run, scenario: str, args: tuple[str, ...], code: int, what: str) -> None:
    found, out, err = run("sweep", scenario, *args)
    assert (found, out) == (code, "")
    assert what in err


def test_a_sweep_in_which_nothing_runs(run: Run, scenario: str) -> None:
    code, out, _ = run("sweep", scenario, "--axis", "parallelism.pp=3,5,6,7", "--set", "cluster.gpus=4")
    assert (code, out.count("refused")) == (2, 4)


def test_schedule(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("schedule", "1f1b", "--pp", "2", "--microbatches", "2")
    assert code == 0
    assert out == (
        "time    0    1    2    3    4    5\nrank 0  0F0  0F1  .    0B0  .    0B1\nrank 1  .    1F0  1B0  1F1  1B1\n"
    )
    args = ("--pp", "2", "--microbatches", "1", "--format", "csv")
    assert run("schedule", "zb-h1", *args)[1] == "0F0,0I0,0W0\n1F0,1I0,1W0\n"
    assert run("schedule", "gpipe", *args, "-o", str(tmp_path / "order.csv")) == (0, "", "")
    assert (tmp_path / "order.csv").read_bytes() == b"0F0,0B0\n1F0,1B0\n"


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (("zbh1", "--pp", "2", "--microbatches", "2"), "did you mean 'zb-h1'?"),
        (("1f1b", "--pp", "2", "--microbatches", "2", "--vpp", "2"), "vpp"),
        (("1f1b", "--pp", "2", "--microbatches", "2", "--group-size", "2"), "means nothing to 1f1b"),
        (("interleaved-1f1b", "--pp", "4", "--microbatches", "9", "--rounds", "torch"), "rounds"),
        (("1f1b", "--microbatches", "2"), "--pp"),
    ],
)
def test_schedule_mistakes(run: Run, args: tuple[str, ...], what: str) -> None:
    code, out, err = run("schedule", *args)
    assert (code, out) == (2, "")
    assert what in err


@pytest.mark.parametrize(
    ("kind", "name"),
    [("schedules", "zb-h1"), ("topologies", "dgx-h100"), ("devices", "H100-SXM5-80GB"), ("scenarios", "gpipe-4x16")],
)
def test_list(run: Run, kind: str, name: str) -> None:
    code, out, err = run("list", kind)
    assert (code, err) == (0, "")
    assert name in [line.split(" ")[0] for line in out.splitlines()]
    entries = json.loads(run("list", kind, "--json")[1])["entries"]
    assert all(entry["name"] and entry["description"] for entry in entries)
    if kind == "devices":
        assert {entry["name"]: entry["memory_bytes"] for entry in entries}[name] == 80 * 2**30


def test_list_models(run: Run) -> None:
    code, out, _ = run("list", "models")
    assert code == 0
    assert "Llama 3.1 8B (Meta, 2024)" in out
    _, out, _ = run("list", "models", "--json")
    document = json.loads(out)
    counts = {entry["name"]: (entry["parameters"], entry["active_parameters"]) for entry in document["entries"]}
    assert document["schema"] == "clustersim/list-models/1"
    assert counts["llama-3.1-8b"] == (8_030_261_248, 8_030_261_248)
    assert counts["mixtral-8x7b"] == (46_702_792_704, 12_879_925_248)


def test_describe(run: Run) -> None:
    code, out, _ = run("describe", "dgx-h100", "--json")
    document = json.loads(out)
    assert (code, document["num_gpus"]) == (0, 1024)
    hops = document["route"]["hops"]
    assert (hops[0]["link"], hops[-1]["link"]) == ("gpu0->node0/nic0", "node127/nic7->gpu1023")
    assert document["route"]["latency_s"] == pytest.approx(sum(hop["latency_s"] for hop in hops))
    assert {entry["name"] for entry in document["parameters"]} >= {"nodes", "scaleup", "oversubscription"}
    assert all(entry["description"] for entry in document["parameters"])
    _, out, _ = run("describe", "dgx-h100", "--gpus", "16")
    assert "16 GPUs" in out
    assert "Route from GPU 0 to GPU 15" in out
    assert [(kind["kind"], kind["count"]) for kind in document["nodes"]] == [
        ("gpu", 1024), ("switch", 128), ("nic", 1024), ("leaf", 32), ("spine", 32),
    ]  # fmt: skip
    assert [(made["lower"], made["upper"], made["count"]) for made in document["links"]] == [
        ("gpu", "switch", 1024), ("gpu", "nic", 1024), ("nic", "leaf", 1024), ("leaf", "spine", 1024),
    ]  # fmt: skip
    assert (document["bisection"]["bandwidth_bytes_per_s"], document["bisection"]["fraction"]) == (25.6e12, 1.0)
    assert (document["diameter"]["num_links"], document["diameter"]["latency_s"]) == (6, 4e-6)
    assert (document["family"], document["num_hosts"], document["num_parts"]) == ("leaf-spine", 128, 1)
    code, _, err = run("describe", "dgx-h10")
    assert (code, "did you mean 'dgx-h100'?" in err) == (2, True)


@pytest.mark.parametrize("verb", ["run", "validate"])
@pytest.mark.parametrize(("placement", "where"), [
    ("{hosts: [h0, h7]}", "5:27: error: cluster.placement.hosts.1: the topology has no host 'h7'"),
    ("{hosts: h7}", "5:22: error: cluster.placement.hosts.0: the topology has no host 'h7'"),
    ("{hosts: [h0, h0]}", "5:22: error: cluster.placement.hosts: the host 'h0' stands in the list twice"),
    ("{exclude: [h7]}", "5:25: error: cluster.placement.exclude.0: the topology has no host 'h7'"),
    ("{exclude: [h1]}", "5:14: error: cluster.placement: 2 ranks; contiguous finds 1 of 2 GPUs"),
])  # fmt: skip
def test_placements_on_a_graph_are_refused_where_they_stand(
    run: Run, tmp_path: Path, verb: str, placement: str, where: str
) -> None:
    nodes = [{"id": f"g{host}", "kind": "gpu", "host": f"h{host}"} for host in range(2)]
    (tmp_path / "g.json").write_text(json.dumps({"nodes": nodes, "edges": [{"source": "g0", "target": "g1"}]}))
    scenario = tmp_path / "placed.yaml"
    scenario.write_text(
        "version: 1\nstage_costs: {forward: 10 ms, backward: 20 ms}\nparallelism: {pp: 2}\ncluster:\n"
        f"  placement: {placement}\n  topology: {{fabric: graph, file: g.json}}\n"
        "batch: {num_microbatches: 2}\nschedule: 1f1b\n"
    )
    code, _, err = run(verb, str(scenario))
    assert code == 2
    assert f"placed.yaml:{where}" in err


def test_describe_a_graph_in_two_parts(run: Run, tmp_path: Path) -> None:
    (tmp_path / "apart.json").write_text(
        '{"nodes": [{"id": "a", "kind": "gpu"}, {"id": "b", "kind": "gpu"}], "edges": []}'
    )
    (tmp_path / "apart.yaml").write_text("fabric: graph\nfile: apart.json\n")
    code, out, _ = run("describe", str(tmp_path / "apart.yaml"))
    assert (code, "no path from GPU 0 (a) to GPU 1 (b)" in out) == (0, True)
    assert "not connected: 2 sets of GPUs" in out
    assert "\nDiameter\n" not in out
    document = json.loads(run("describe", str(tmp_path / "apart.yaml"), "--json")[1])
    assert (document["num_parts"], document["diameter"]) == (2, None)


@pytest.mark.parametrize(
    "args", [("describe", "dgx-h100"), ("list", "topologies"), ("show", "gpipe-4x16"), ("validate", "gpipe-4x16")]
)
def test_what_is_printed_can_be_written_to_a_file(run: Run, args: tuple[str, ...], tmp_path: Path) -> None:
    text, document = tmp_path / "out.txt", tmp_path / "out.json"
    assert run(*args, "-o", str(text)) == (0, "", "")
    assert args[-1] in text.read_text(encoding="utf-8") or args[0] in ("list", "show")
    assert run(*args, "-o", str(document)) == (0, "", "")
    assert document.read_text(encoding="utf-8") == run(*args, "--json")[1]
    assert json.loads(document.read_text(encoding="utf-8"))["schema"].startswith("clustersim/")


def test_validate_as_json(run: Run, scenario: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(Path(scenario).read_text(encoding="utf-8").replace("{pp: 4}", "{pp: 0}"), encoding="utf-8")
    code, out, err = run("validate", scenario, str(bad), "--json")
    good, wrong = json.loads(out)["files"]
    assert (code, good) == (2, {"file": scenario, "ok": True, "faults": []})
    assert (wrong["file"], wrong["ok"]) == (str(bad), False)
    assert wrong["faults"][0]["where"] == "parallelism.pp"
    assert wrong["faults"][0]["position"] == {"file": str(bad), "line": 5, "column": 19}
    assert "must be at least 1; got 0" in err


def test_schema_of_results(run: Run) -> None:
    code, out, _ = run("schema", "result")
    assert (code, json.loads(out)["title"]) == (0, "clustersim result")


def test_a_file_that_can_not_be_written_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "missing" / "result.json"
    code, _, err = run("run", "gpipe-4x16", "-o", str(output))
    assert code == 2
    assert "there is no folder" in err
    assert "missing" in err


@pytest.mark.parametrize(("graph", "what"), [
    ('{"nodes": [\n', "gb.json:2:1: error"),
    ('{"nodes": [{"id": "a", "kind": "gpu"}], "edges": []}', "graph.yaml:5:21: error: cluster.topology: 4 ranks need"),
    ('{"nodes": [{"id": "a", "kind": "gpu",\n "device": "H100"}], "edges": []}',
     "gb.json:2:12: error: node a: device: 'H100' is not in the device catalogue; did you mean 'H100-"),
])  # fmt: skip
def test_validate_reads_graph_files(run: Run, tmp_path: Path, graph: str, what: str) -> None:
    (tmp_path / "gb.json").write_text(graph)
    scenario = tmp_path / "graph.yaml"
    scenario.write_text(
        "version: 1\nstage_costs: {forward: 10 ms, backward: 20 ms}\nparallelism: {pp: 4}\nschedule: 1f1b\n"
        "cluster: {topology: {fabric: graph, file: gb.json}}\nbatch: {num_microbatches: 8}\n"
    )
    code, _, err = run("validate", str(scenario))
    assert code == 2
    assert what in err
