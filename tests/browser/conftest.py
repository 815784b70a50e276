"""Where no browser is installed, these tests are skipped, saying so; the gate installs one and forbids that."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "report"))
sys.path.append(str(Path(__file__).parent))

from chromium import Browser, Page, browser_path

Opens = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = str(Path(__file__).parent)
    if browser_path() or os.environ.get("CLUSTERSIM_HAS_CHROMIUM"):
        return
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.skip(reason="no Chromium is installed: apt-get install chromium"))


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    started = Browser(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture
def opens(browser: Browser, tmp_path: Path) -> Iterator[Opens]:
    """Return how to open a page given as text, which, whatever is asked of it, leaves no error and makes no request."""
    opened: list[Page] = []

    def opens(text: str, **window: Any) -> Page:
        file = tmp_path / f"report{len(opened)}.html"
        file.write_text(text, encoding="utf-8", newline="\n")
        page = Page(browser, **window)
        opened.append(page)
        page.open(file)
        return page

    yield opens
    for page in opened:
        page.close()
        assert page.errors == []
        assert len(page.requests) == 1
        assert page.requests[0].startswith("file://")
