"""Draws the screenshot that the README shows: run it after a change to what pages look like, and review."""

from __future__ import annotations

import tempfile
from pathlib import Path

from chromium import Browser, Page

import clustersim as cs
from clustersim.report.html.run_page import run_page

SCREENSHOT = Path(__file__).parents[1] / "docs" / "report.png"
SCENARIO = "collision-scattered"
WIDTH, HEIGHT = 1200, 1340


def draw(text: str, picture: Path) -> None:
    """Write a picture of the top of a page."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.html"
        file.write_text(text, encoding="utf-8")
        browser = Browser(Path(folder) / "profile")
        page = Page(browser, WIDTH, HEIGHT)
        page.open(file)
        page.picture(picture)
        page.close()
        browser.close()


if __name__ == "__main__":
    draw(run_page(cs.simulate(SCENARIO)), SCREENSHOT)
