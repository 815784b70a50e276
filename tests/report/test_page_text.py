"""What pages say: rightly, and safely, whatever the names in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from drawing import JOB, result_of

import clustersim as cs
from clustersim.analysis.sensitivity import promised_ps
from clustersim.cli import main
from clustersim.report.html.run_page import run_page
from clustersim.report.quantities import percent, picoseconds, seconds, size


def text_of(page: str, section: str) -> str:
    """Return what a section says, without its elements."""
    inner = page.partition(f'<section id="{section}"')[2].partition("</section>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", inner).split())


def test_the_page_asks_for_nothing_and_runs_its_own_script_only() -> None:
    page = run_page(result_of())
    assert "http://" not in page
    assert "https://" not in page
    assert not re.search(r"\b(src|href)=\"(?!#)", page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src &#x27;none&#x27;; script-src &#x27;sha256-{digest}&#x27;" in page


@pytest.mark.parametrize("name", ["</script><b>", "<!--<script>", "a\u202eb", "🚀 \"quoted\" & 'so'", "\x00\x1b"])
def test_a_name_is_text(name: str) -> None:
    plain, named = run_page(result_of(name="")), run_page(result_of(name=name))
    named.encode()
    for tag in ("<script", "</script", "<b>", "<!--"):
        assert named.count(tag) == plain.count(tag), tag
    assert "\u202e" not in named


def test_the_same_run_gives_the_same_page() -> None:
    assert run_page(result_of()) == run_page(result_of())


def test_the_parts_of_a_step_are_said_to_add_up() -> None:
    result = cs.simulate("collision-scattered")
    text = text_of(run_page(result), "time")
    parts = [result.time_s.compute, *result.bubble.by_cause.values()]
    parts += [axis.exposed_s for axis in result.communication.by_axis.values()]
    assert sum(parts) == pytest.approx(result.step_time_s)
    for time_s in filter(None, parts):
        assert f"{seconds(time_s)} {percent(time_s / result.step_time_s)}" in text


def test_where_the_time_went_is_a_sentence() -> None:
    assert "waits 10.53 % for data on the wire, mostly tensor-parallel exchanges." in re.sub(
        r" +", " ", text_of(run_page(cs.simulate("llama-3.1-8b-64gpus")), "time")
    )


def test_what_limits_a_run_is_named() -> None:
    even = text_of(run_page(cs.simulate("gpipe-4x16")), "time")
    assert "No stage holds the others up: every rank computes 480.0 ms a step." in even
    assert "The run waits for compute : 100.00 % of it. Stage" in even
    assert "To gain 10 % better compute makes the step at most 9.09 % shorter." in even
    assert "Optimizer state , the largest part: 40.00 GiB of the 76.00 GiB at the peak of rank 0" in even
    assert "No link was held" in even
    model = text_of(run_page(cs.simulate("gpt-3-175b-64gpus")), "time")
    assert "Rank 7 computes longest" in model
    assert "The longest stage is stage 23" in model
    assert "Waiting for tensor-parallel exchanges (tp) : 1.622 s" in model
    result = cs.simulate("collision-scattered")
    slow = text_of(run_page(result), "time")
    held_up = min(result.ranks, key=lambda rank: rank.bubble_ps)
    exposed = picoseconds(held_up.exposed_communication_ps)
    assert f"But rank {held_up.pp_rank} waits longest for data on the wire: {exposed} over 2 steps." in slow
    assert "The run waits for data-parallel traffic : 52.60 % of it, 22.51 % because other traffic holds it up" in slow
    assert "To gain 10 % better network bandwidth makes the step about 5.28 % shorter." in slow
    assert "The scenario gives no activations." in slow
    assert (
        "leaf0-&gt;spine0 is busiest, as are 15 others: 66.65 % of what it can carry over the run; it is full for"
        in slow
    )


def test_the_critical_path_promises_what_sensitivity_says() -> None:
    result = cs.simulate("collision-scattered")
    text = text_of(run_page(result), "critical")
    path = result.critical_path
    for name, time_ps in path.resources_ps.items():
        promised_s = float(promised_ps(path.makespan_ps, time_ps, Fraction(11, 10))) / 10**12 / result.trace.num_steps
        assert re.search(rf"{name}.*?{re.escape(seconds(promised_s))}", text)
    for part in path.blame[:3]:
        assert f"{picoseconds(part.time_ps)} {percent(part.share)}" in text


def test_runs_with_better_resources_are_told(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert _run("run", "collision-scattered", "--what-if", "network=2", "--report", str(page)) == 0
    text = text_of(page.read_text(encoding="utf-8"), "critical")
    assert "Run again with it" in text
    assert "network × 2" in text


def test_the_stage_that_is_slow_is_named() -> None:
    costs = [{"forward": "10 ms", "backward": "20 ms", "message": "1 MB"} for _ in range(4)]
    costs[2] = {"forward": "15 ms", "backward": "25 ms", "message": "1 MB"}
    text = text_of(run_page(result_of(stage_costs={"stages": costs}, schedule="1f1b")), "time")
    assert "Stage 2, on rank 2, computes longest: 320.0 ms , 33.33 % more than the median rank." in text


def test_a_link_that_is_saturated_is_named() -> None:
    slow = {"fabric": "ring", "gpus": 4, "link": {"bandwidth": "1 GB/s"}}
    costs = {"forward": "1 ms", "backward": "2 ms", "gradients": "1 GB"}
    result = result_of(cluster={"topology": slow}, parallelism={"pp": 1, "dp": 4}, stage_costs=costs)
    assert result.communication.busiest_links[0].utilization >= 0.9
    assert "is saturated" in text_of(run_page(result), "time")


def test_what_does_not_fit_is_said_at_the_top() -> None:
    costs = JOB["stage_costs"] | {"optimizer_state": "70 GiB"}
    page = run_page(result_of(stage_costs=costs))
    top = page.partition("<main")[0]
    assert "does not fit" in top
    assert size(result_of(stage_costs=costs).memory.peak_bytes) in re.sub(r"<[^>]+>", "", top)


@pytest.mark.parametrize(
    "sections",
    [
        {
            "cluster": {"topology": {"fabric": "full-mesh", "gpus": 4}},
            "stage_costs": {"forward": "0 s", "backward": "0 s"},
        },
        {"cluster": {"topology": {"fabric": "full-mesh", "gpus": 1}}, "parallelism": {"pp": 1}},
    ],
)
def test_a_job_of_nothing_has_a_page(sections: dict[str, Any]) -> None:
    assert "<h1>" in run_page(result_of(**sections))


def test_what_would_make_it_fit_is_said(tmp_path: Path) -> None:
    page, document = tmp_path / "page.html", tmp_path / "result.json"
    costs = "stage_costs.activation=9 GiB"
    assert _run("run", "gpipe-4x16", "--set", costs, "--report", str(page), "-o", str(document)) == 3
    text = text_of(page.read_text(encoding="utf-8"), "memory")
    advice = json.loads(document.read_text())["memory"]["advice"]
    assert advice
    for entry in advice:
        assert f"{size(entry['peak_bytes'])} {seconds(entry['step_time_s'])}" in text


def _run(*args: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(args))
    return int(str(caught.value.code))


def test_the_option_writes_the_page_beside_the_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert _run("run", "gpipe-4x16", "--json", "--report", str(page)) == 0
    assert capsys.readouterr().out.startswith('{\n  "schema"')
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert _run("run", "gpipe-4x16", "--set", "stage_costs.activation=9 GiB", "--report", str(page)) == 3
    assert "does not fit" in page.read_text(encoding="utf-8")
    assert _run("compare", "gpipe-4x16", "--schedules", "gpipe,1f1b", "--report", str(page)) == 0
    assert "schedules compared</title>" in page.read_text(encoding="utf-8")
    assert _run("sweep", "bubble-by-batch", "--report", str(page)) == 0
    assert "sweep</title>" in page.read_text(encoding="utf-8")
    assert _run("run", "gpipe-4x16", "--report", str(tmp_path / "none" / "page.html")) == 2
    assert "there is no folder" in capsys.readouterr().err
