"""The Gantt under fingers: one moves it, two zoom it, a tap selects, and the page still scrolls."""

from __future__ import annotations

from typing import Any

import pytest
from chromium import Page
from conftest import Opens
from drawing import result_of
from test_run_page import GANTT, place, view

import clustersim as cs
from clustersim.report.html.run_page import run_page

SELECTED = "document.getElementById('gantt-told').textContent"


@pytest.fixture(scope="module")
def result() -> cs.Result:
    return result_of()


def drag(page: Page, *ways: tuple[tuple[float, float], tuple[float, float]]) -> None:
    """Move fingers from here to there, in steps, and lift them."""
    page.touch("touchStart", *(start for start, _ in ways))
    for step in range(1, 6):
        moved = [tuple(one + (other - one) * step / 5 for one, other in zip(*way, strict=True)) for way in ways]
        page.touch("touchMove", *moved)
    page.touch("touchEnd")


def time_at(page: Page, result: cs.Result, x: float) -> float:
    """Return the time at a place of the screen."""
    (left, _), (right, _) = (place(page, result, 1, round(time_ps)) for time_ps in view(page))
    begin, end = view(page)
    return begin + (x - left) / (right - left) * (end - begin)


def test_two_fingers_zoom_and_move(opens: Opens, result: cs.Result) -> None:
    page = opens(run_page(result))
    x, y = place(page, result, 1, result.trace.makespan_ps // 2)
    whole = view(page)
    drag(page, ((x - 50, y), (x - 150, y)), ((x + 50, y), (x + 150, y)))
    begin, end = view(page)
    assert end - begin == pytest.approx(result.trace.makespan_ps / 3)
    assert (begin + end) / 2 == pytest.approx(result.trace.makespan_ps / 2, rel=0.01)
    # Apart by a fifth more while both go to the right: what lay between them still does.
    between = time_at(page, result, x)
    drag(page, ((x - 50, y), (x + 10, y)), ((x + 50, y), (x + 130, y)))
    assert time_at(page, result, x + 70) == pytest.approx(between, rel=1e-3)
    assert view(page)[1] - view(page)[0] == pytest.approx((end - begin) / 1.2)
    # As far apart as before: moved only.
    moved_from = view(page)
    drag(page, ((x - 50, y), (x - 10, y)), ((x + 50, y), (x + 90, y)))
    assert view(page)[1] - view(page)[0] == pytest.approx(moved_from[1] - moved_from[0])
    assert view(page)[0] < moved_from[0]
    drag(page, ((x - 250, y), (x - 40, y)), ((x + 250, y), (x + 40, y)))
    drag(page, ((x - 250, y), (x - 40, y)), ((x + 250, y), (x + 40, y)))
    assert view(page) == whole
    assert page.ask("visualViewport.scale") == 1


def test_one_finger_moves_and_a_tap_selects(opens: Opens, result: cs.Result) -> None:
    page = opens(run_page(result))
    page.ask("document.querySelector('[data-zoom=in]').click()")
    begin, end = view(page)
    x, y = place(page, result, 1, round((begin + end) / 2))
    drag(page, ((x, y), (x - 120, y)))
    moved_begin, moved_end = view(page)
    assert moved_begin > begin
    assert moved_end - moved_begin == pytest.approx(end - begin)
    assert "rank" not in page.ask(SELECTED)
    page.touch("touchStart", (x, y))
    page.touch("touchEnd")
    assert "rank 1" in page.wait_for(f"{SELECTED}.includes('rank') && {SELECTED}")
    # The finger that stays when the other is lifted goes on moving, from where it is.
    before = view(page)
    page.touch("touchStart", (x, y))
    page.touch("touchStart", (x, y), (x + 100, y))
    page.touch("touchMove", (x, y))
    assert view(page) == pytest.approx(before)
    page.touch("touchMove", (x - 60, y))
    page.touch("touchEnd")
    assert view(page)[0] > before[0]


def test_a_finger_that_scrolls_the_page_selects_nothing(opens: Opens, result: cs.Result) -> None:
    page = opens(run_page(result))
    x, y = place(page, result, 1, result.trace.makespan_ps // 2)
    before: Any = view(page), page.ask("scrollY"), page.ask(SELECTED)
    drag(page, ((x, y), (x, y - 200)))
    page.wait_for(f"scrollY > {before[1]}")
    assert (view(page), page.ask(SELECTED)) == (before[0], before[2])
    page.mouse("mouseMoved", *place(page, result, 0, result.trace.makespan_ps // 2))
    assert page.ask(f"{GANTT}.querySelector('.tip').hidden") is False
