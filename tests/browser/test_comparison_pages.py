"""The pages of compare and sweep in a real browser."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Opens
from drawing import JOB

from clustersim.planning.compare import compare
from clustersim.planning.sweep import sweep
from clustersim.report.html.compare_page import ComparisonPage
from clustersim.report.html.sweep_page import sweep_page
from clustersim.scenario.load import scenario_from_mapping

SCHEDULES = ("gpipe", "1f1b", "zb-h1", "dualpipev", "interleaved-1f1b")
NUMBERS = "[...document.querySelectorAll('data[data-field]')].map((each) => [each.dataset.field, each.value])"


def comparison(**sections: Any) -> tuple[str, dict[str, Any]]:
    page = ComparisonPage()
    scenario = scenario_from_mapping(JOB | sections)
    document = compare(scenario, SCHEDULES, on_result=page.add).to_dict()
    return page.text(scenario.name, document), document


def test_the_numbers_of_a_comparison_are_those_of_the_document(opens: Opens) -> None:
    text, document = comparison()
    page, plain = opens(text), json.loads(json.dumps(document))
    numbers = page.ask(NUMBERS)
    assert len(numbers) == 6 * len(SCHEDULES)
    for field, value in numbers:
        found: Any = plain
        for step in field.split("."):
            found = found[int(step)] if isinstance(found, list) else found[step]
        assert json.loads(value) == found, field


def test_timelines_stand_on_one_scale(opens: Opens) -> None:
    text, document = comparison()
    page = opens(text)
    assert page.ask("document.querySelectorAll('[data-run]').length") == len(SCHEDULES)
    widths = page.ask("[...document.querySelectorAll('[data-run]')].map((each) => each.width)")
    assert len(set(widths)) == 1
    # The last column with a slice in it: of the longest run the last of all.
    reach = """[...document.querySelectorAll('[data-run]')].map((canvas) => {
      const copy = new OffscreenCanvas(canvas.width, 1).getContext('2d');
      copy.drawImage(canvas, 0, -2);
      const {data, width} = copy.getImageData(0, 0, canvas.width, 1);
      const last = [...data.slice(-4)].join();
      let x = width - 1;
      while (x > 0 && [...data.slice(4 * x, 4 * x + 4)].join() === last) x -= 1;
      return x;
    })"""
    ends, times = page.ask(reach), [row["step_time_s"] for row in document["rows"]]
    longest = max(times)
    for end, time_s in zip(ends, times, strict=True):
        if time_s < longest:
            assert end == pytest.approx(widths[0] * time_s / longest, abs=2)


def test_rows_are_sorted_by_any_column(opens: Opens) -> None:
    text, document = comparison()
    page = opens(text)
    button = "[...document.querySelectorAll('.sortable button')].find((each) => each.textContent === 'step time')"
    names = "[...document.querySelectorAll('.sortable tbody th')].map((each) => each.textContent)"
    by_name = {row["schedule"]: row["step_time_s"] for row in document["rows"]}
    page.ask(f"{button}.click()")
    assert [by_name[name] for name in page.ask(names)] == sorted(by_name.values())
    page.ask(f"{button}.click()")
    assert [by_name[name] for name in page.ask(names)] == sorted(by_name.values(), reverse=True)
    assert page.ask(f"{button}.parentElement.getAttribute('aria-sort')") == "descending"


def test_what_refuses_is_told(opens: Opens) -> None:
    text, document = comparison(batch={"num_microbatches": 3})
    page = opens(text)
    refused = [row for row in document["rows"] if row["status"] == "refused"]
    assert refused
    told = page.ask("document.getElementById('refused').textContent")
    for row in refused:
        assert row["reason"] in told


def test_a_sweep_over_two_axes(opens: Opens) -> None:
    axes = {"schedule": ["1f1b", "zb-h1"], "batch.num_microbatches": [4, 8, 16]}
    document = sweep(scenario_from_mapping(JOB), axes).to_dict()
    page = opens(sweep_page("Two axes </script> \u202e", document))
    rows = json.loads(json.dumps(document))["rows"]
    numbers = page.ask(NUMBERS)
    measures = set(rows[0]) - {*axes, "status", "reason"}
    assert len(numbers) == len(measures) * len(rows)
    for field, value in numbers:
        _, index, measure = field.split(".")
        assert json.loads(value) == rows[int(index)][measure]
    assert page.ask("document.getElementById('sweep-chart').dataset.lines") == "3"
    page.ask(
        "(() => { const axis = document.getElementById('sweep-axis'); axis.value = 'batch.num_microbatches';"
        "axis.dispatchEvent(new Event('change')) })()"
    )
    assert page.ask("document.getElementById('sweep-chart').dataset.lines") == "2"
    assert "zb-h1" in page.ask("document.getElementById('sweep-legend').textContent")
