"""The page of a run in a real browser, offline: what it says, how it is moved through, what it survives."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from chromium import Page
from conftest import Opens
from drawing import result_of

import clustersim as cs
from clustersim.analysis.critical_path import Cause, critical_path
from clustersim.analysis.memory import activation_curve
from clustersim.report.html.memory import categories_of, parts_of
from clustersim.report.html.run_page import run_page
from clustersim.report.quantities import percent, picoseconds, seconds, size

HOSTILE = "</script><script>document.title='run'</script><!-- \"' \u202eevil\u2066 🚀 שלום & <b>"
NUMBERS = (
    "[...document.querySelectorAll('data[data-field]')]"
    ".map((each) => [each.dataset.field, each.value, each.textContent])"
)
GANTT = "document.getElementById('gantt')"


@pytest.fixture(scope="module")
def result() -> cs.Result:
    return result_of()


def at(document: Any, path: str) -> Any:
    for step in path.split("."):
        document = document[int(step)] if isinstance(document, list) else document[step]
    return document


def view(page: Page) -> tuple[float, float]:
    return float(page.ask(f"{GANTT}.dataset.from")), float(page.ask(f"{GANTT}.dataset.to"))


def place(page: Page, result: cs.Result, rank: int, time_ps: int) -> tuple[float, float]:
    """Return where on the screen a time of a rank is, in the middle of its row."""
    page.ask(f"{GANTT}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
    box = page.ask(f"JSON.stringify({GANTT}.getBoundingClientRect())")
    left, top, width, height = (json.loads(box)[name] for name in ("left", "top", "width", "height"))
    begin, end = view(page)
    rows = len(result.ranks)
    return left + 112 + (time_ps - begin) / (end - begin) * (width - 112), top + 22 + (rank + 0.5) * (
        height - 22
    ) / rows


def test_every_number_on_the_page_is_that_of_the_document(opens: Opens, result: cs.Result) -> None:
    page, document = opens(run_page(result)), json.loads(result.to_json())
    numbers = page.ask(NUMBERS)
    assert len(numbers) > 60
    for field, value, _ in numbers:
        assert json.loads(value) == at(document, field), field
    written = {field: text for field, _, text in numbers}
    assert written["step_time_s"] == seconds(document["step_time_s"])
    assert written["bubble.fraction"] == percent(document["bubble"]["fraction"])
    assert written["memory.peak_bytes"] == size(document["memory"]["peak_bytes"])
    for index, rank in enumerate(document["ranks"]):
        assert written[f"ranks.{index}.bubble_ps"] == picoseconds(rank["bubble_ps"])
    assert page.ask("JSON.parse(document.getElementById('known').textContent).result") == document


def test_scripts_write_numbers_as_python_does(opens: Opens, result: cs.Result) -> None:
    page = opens(run_page(result))
    script = files("clustersim.report.html").joinpath("assets/quantities.js").read_text()

    def written(function: str, values: list[float]) -> list[str]:
        return list(page.ask(f"(() => {{ {script}; return {json.dumps(values)}.map({function}) }})()"))

    times = [0, 1, 999, 999.96e9, 1e12, 12_345_678_901_234, 12e15, 3.6e16, 570_000_000_000]
    assert written("picoseconds", times) == [picoseconds(int(time_ps)) for time_ps in times]
    sizes = [0, 1, 1023, 1024, 1_610_612_736, 2**43, 2**53 - 1]
    assert written("size", sizes) == [size(int(each)) for each in sizes]
    shares = [0, 3 / 19, 0.9999, 1, 1.5379]
    assert written("percent", shares) == [percent(share) for share in shares]


def test_zooming_and_moving_by_keyboard(opens: Opens, result: cs.Result) -> None:
    page, whole = opens(run_page(result)), float(result.trace.makespan_ps)
    assert view(page) == (0, whole)
    page.ask(f"{GANTT}.focus()")
    page.press("+")
    begin, end = view(page)
    assert end - begin == pytest.approx(whole / 1.6)
    assert (begin + end) / 2 == pytest.approx(whole / 2)
    page.press("ArrowRight", shift=True)
    assert view(page)[0] == pytest.approx(begin + 0.2 * (end - begin))
    page.press("Home")
    assert view(page) == (0, whole)
    page.press("-")
    assert view(page) == (0, whole)  # there is nothing beyond the run


def test_going_from_slice_to_slice(opens: Opens, result: cs.Result) -> None:
    page = opens(run_page(result))
    page.ask(f"{GANTT}.focus()")
    titles = []
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowRight"):
        page.press(key)
        titles.append(page.ask("document.getElementById('gantt-told').textContent").split(":")[0])
    # Rank 1 waits for its first forward while rank 0 does its first three.
    assert titles[:3] == ["F0 forward", "F1 forward", "F2 forward"]
    assert page.ask("document.getElementById('gantt-told').textContent").count("rank 1") == 1
    assert page.ask("document.getElementById('memory-rank').textContent") == "rank 1"


def test_zooming_by_wheel_and_moving_by_mouse(opens: Opens, result: cs.Result) -> None:
    page = opens(run_page(result))
    quarter = result.trace.makespan_ps // 4
    x, y = place(page, result, 1, quarter)
    page.mouse("mouseMoved", x, y)
    page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-500, modifiers=2)
    page.wait_for(f"{GANTT}.dataset.to < {result.trace.makespan_ps}")
    begin, end = view(page)
    # What lay under the pointer stays there.
    assert begin + (end - begin) * 0.25 == pytest.approx(quarter, rel=0.01)
    page.mouse("mousePressed", x, y)
    page.mouse("mouseMoved", x - 100, y, button="left", buttons=1)
    page.mouse("mouseReleased", x - 100, y)
    moved_begin, moved_end = view(page)
    assert moved_begin > begin
    assert moved_end - moved_begin == pytest.approx(end - begin)


def test_pointing_tells_what_is_there(opens: Opens, result: cs.Result) -> None:
    page, ops = opens(run_page(result)), result.trace.ops
    index = int(np.flatnonzero((ops.rank_index == 2) & (ops.microbatch == 3) & (ops.kind == 1))[0])
    x, y = place(page, result, 2, int(ops.start_ps[index] + ops.end_ps[index]) // 2)
    page.mouse("mouseMoved", x, y)
    told = page.wait_for("document.querySelector('.gantt .tip:not([hidden])')?.innerText")
    assert told.splitlines()[0] == "B3 backward"
    assert f"from {picoseconds(int(ops.start_ps[index]))} to {picoseconds(int(ops.end_ps[index]))}" in told
    page.mouse("mousePressed", x, y)
    page.mouse("mouseReleased", x, y)
    assert "B3 backward: rank 2" in page.wait_for("document.getElementById('gantt-told').textContent")


def pixel(page: Page, x: float, y: float) -> list[int]:
    """Return the colour at a place of the screen, from the canvas under it."""
    return list(
        page.ask(
            "(() => { const canvas = document.querySelector('.gantt .pixels'), box = canvas.getBoundingClientRect();"
            "const copy = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});"
            f"copy.drawImage(canvas, box.left - {int(x)}, box.top - {int(y)});"
            "return [...copy.getImageData(0, 0, 1, 1).data] })()"
        )
    )


def test_hiding_a_kind_and_showing_one_microbatch(opens: Opens, result: cs.Result) -> None:
    page, ops = opens(run_page(result)), result.trace.ops
    forward = int(np.flatnonzero((ops.rank_index == 0) & (ops.microbatch == 1) & (ops.kind == 0))[0])
    x, y = place(page, result, 0, int(ops.start_ps[forward] + ops.end_ps[forward]) // 2)
    shown = pixel(page, x, y)
    legend = "document.querySelector('#gantt-legend button')"
    assert "forward" in page.ask(f"{legend}.textContent")
    page.ask(f"{legend}.click()")
    hidden = pixel(page, x, y)
    assert hidden != shown
    assert page.ask(f"{legend}.getAttribute('aria-pressed')") == "false"
    page.ask(f"{legend}.click()")
    assert pixel(page, x, y) == shown
    only = "document.getElementById('gantt-microbatch')"
    page.ask(f"{only}.value = 2; {only}.dispatchEvent(new Event('input'))")
    assert pixel(page, x, y) not in (shown, hidden)
    page.ask(f"{only}.value = 1; {only}.dispatchEvent(new Event('input'))")
    assert pixel(page, x, y) == shown
    colours = "document.getElementById('gantt-colour')"
    for mode in ("microbatch", "phase"):
        page.ask(f"{colours}.value = '{mode}'; {colours}.dispatchEvent(new Event('change'))")
        assert pixel(page, x, y) not in (shown, hidden)


def test_the_memory_curve_peaks_where_the_result_does(opens: Opens, result: cs.Result) -> None:
    page = opens(run_page(result))
    page.ask(f"{GANTT}.focus()")
    for rank in result.memory.ranks:
        page.press("ArrowRight" if rank.pp_rank == 0 else "ArrowDown")
        assert page.ask("document.getElementById('memory-rank').textContent") == f"rank {rank.pp_rank}"
        assert int(page.ask("document.getElementById('memory-chart').dataset.peakBytes")) == rank.peak_bytes
    assert activation_curve(result.trace).peaks(4).tolist() == [
        rank.activations_peak_bytes for rank in result.memory.ranks
    ]


MODEL = {
    "stage_costs": None,
    "model": "gpt-2",
    "cluster": {"topology": "dgx-a100", "gpus": 4},
    "batch": {"global_batch_size": 8, "micro_batch_size": 1},
    "training": {"precision": "bf16"},
}


def test_the_numbers_of_a_model_are_those_of_the_document(opens: Opens) -> None:
    result = result_of(**MODEL)
    page, document = opens(run_page(result)), json.loads(result.to_json())
    numbers = page.ask(NUMBERS)
    for field, value, _ in numbers:
        assert json.loads(value) == at(document, field), field
    fields = {field for field, _, _ in numbers}
    assert fields >= {"throughput.mfu", "throughput.by_convention.causal.mfu", "token_cost.per_million_tokens.time_s"}
    assert {f"cost_origins.parts.{index}.share" for index in range(len(result.cost_origins.parts))} <= fields


def test_the_memory_of_a_model_adds_up(opens: Opens) -> None:
    result = result_of(**MODEL)
    categories = categories_of(result.memory)
    assert {category.name for category in categories} > {"weights", "optimizer state", "activations", "logits"}
    for rank in result.memory.ranks:
        assert sum(value for _, value in parts_of(rank, categories)) == rank.peak_bytes
    page = opens(run_page(result))
    assert int(page.ask("document.getElementById('memory-chart').dataset.peakBytes")) == result.memory.peak_bytes


def test_the_heat_map_goes_to_the_busiest_link_first(opens: Opens) -> None:
    result = cs.simulate("collision-scattered")
    page = opens(run_page(result))
    page.ask("document.getElementById('fabric-chart').focus()")
    page.press("ArrowRight")
    told = page.ask("document.getElementById('fabric-told').textContent")
    links = result.trace.links
    assert percent(result.communication.busiest_links[0].utilization) in told
    busiest = {links.name[row] for row in np.flatnonzero(links.busy_ps == links.busy_ps.max())}
    assert told.split(":")[0].replace(" → ", "->") in busiest
    page.press("ArrowDown")
    assert page.ask("document.getElementById('fabric-told').textContent") != told


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_themes_follow_the_system_and_the_button(opens: Opens, result: cs.Result, theme: str) -> None:
    page = opens(run_page(result), theme=theme)
    paper = "getComputedStyle(document.body).backgroundColor"
    own = page.ask(paper)
    other = "dark" if theme == "light" else "light"
    page.prefer(other)
    assert page.ask(paper) != own
    page.prefer(theme)
    presses = {"light": 1, "dark": 2}[other]
    for _ in range(presses):
        page.ask("document.getElementById('theme').click()")
    assert page.ask(paper) != own
    assert page.ask("document.getElementById('theme').textContent") == f"Theme: {other}"


def test_a_hostile_name_does_no_harm(opens: Opens) -> None:
    result = result_of(name=HOSTILE)
    page = opens(run_page(result))
    assert page.ask("document.title") != "run"
    assert page.ask("document.querySelectorAll('script').length") == 3
    heading = page.ask("document.querySelector('h1').textContent")
    assert heading == HOSTILE.replace("\u202e", "?").replace("\u2066", "?")
    assert page.ask("JSON.parse(document.getElementById('known').textContent).result.name") == HOSTILE
    assert page.ask("document.querySelector('h1').children.length") == 1


def test_the_page_can_be_used_without_a_mouse_and_by_ear(opens: Opens, result: cs.Result) -> None:
    page = opens(run_page(result))
    assert page.ask("document.documentElement.lang") == "en"
    assert page.ask("document.querySelectorAll('h1').length") == 1
    unnamed = (
        "[...document.querySelectorAll('button, select, input, canvas, [role=img], [tabindex=\"0\"], section, nav')]"
        ".filter((each) => !each.textContent.trim() && !each.getAttribute('aria-label') && !each.labels?.length"
        " && each.getAttribute('aria-hidden') !== 'true').map((each) => each.outerHTML)"
    )
    assert page.ask(unnamed) == []
    assert page.ask("[...document.querySelectorAll('table')].filter((each) => !each.caption).length") == 0
    dangling = (
        "['aria-labelledby', 'aria-describedby'].flatMap((name) => [...document.querySelectorAll(`[${name}]`)]"
        ".filter((each) => !document.getElementById(each.getAttribute(name)))).length"
    )
    assert page.ask(dangling) == 0
    page.press("Tab")
    assert page.ask("document.activeElement.className") == "skip"


@pytest.mark.parametrize("width", [360, 800, 1600])
def test_nothing_hangs_over_the_edge(opens: Opens, result: cs.Result, width: int) -> None:
    page = opens(run_page(result), width=width)
    assert page.ask("document.documentElement.scrollWidth") <= width


def test_all_replicas_can_be_shown(opens: Opens) -> None:
    result = cs.simulate("collision-scattered")
    page = opens(run_page(result))
    height = page.ask(f"{GANTT}.offsetHeight")
    page.ask(
        "(() => { const choice = document.getElementById('gantt-replica'); choice.value = 'all';"
        "choice.dispatchEvent(new Event('change')) })()"
    )
    assert page.ask(f"{GANTT}.offsetHeight") > 2 * height


def test_the_critical_path_is_drawn_and_told(opens: Opens, result: cs.Result) -> None:
    page, path = opens(run_page(result)), critical_path(result.trace)
    index = int(np.flatnonzero(path.cause == Cause.COMPUTE)[len(path) // 3])
    x, y = place(page, result, int(path.rank_index[index]), int(path.start_ps[index] + path.end_ps[index]) // 2)
    page.mouse("mousePressed", x, y)
    page.mouse("mouseReleased", x, y)
    assert "on the critical path" in page.wait_for("document.getElementById('gantt-told').textContent")
    ink = """(() => {
      const canvas = document.querySelector('.gantt .ink'), copy = new OffscreenCanvas(canvas.width, canvas.height);
      const context = copy.getContext('2d', {willReadFrequently: true});
      context.drawImage(canvas, 0, 0);
      const {data} = context.getImageData(0, 0, copy.width, copy.height);
      return data.filter((each, place) => each && place % 4 === 3).length;
    })()"""
    drawn = page.ask(ink)
    page.ask("document.getElementById('gantt-path').click()")
    assert page.ask(ink) < drawn - 1000


def test_the_ranks_of_the_critical_path_can_be_shown(opens: Opens) -> None:
    result = cs.simulate("collision-scattered")
    page, path = opens(run_page(result)), critical_path(result.trace)
    page.ask(
        "(() => { const choice = document.getElementById('gantt-replica'); choice.value = 'path';"
        "choice.dispatchEvent(new Event('change')) })()"
    )
    page.ask(f"{GANTT}.focus()")
    page.press("ArrowRight")
    first = int(path.rank_index.min())
    ranks = result.trace.ranks
    told = page.ask("document.getElementById('gantt-told').textContent")
    assert f"rank {ranks.pp_rank[first]} of replica {ranks.replica[first]}" in told


def test_without_scripts_the_numbers_stand(opens: Opens, result: cs.Result) -> None:
    text = run_page(result)
    assert seconds(result.step_time_s) in text
    assert opens(text).ask("getComputedStyle(document.querySelector('#timeline figure')).display") == "block"
