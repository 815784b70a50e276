"""What large pages cost a browser: ``python tests/benchmarks/pages.py`` prints how fast they open and move."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "browser"))

from chromium import Browser, Page
from large_pages import KEYS, NUM_STAGES, SIZES, large_page, zoom

NUM_TRIES = 4
TARGETS_MS = ((1500, 16), (3000, 33))  # until it can be used, and of each redraw


def redraw_ms(page: Page, key: str) -> float:
    """Return how long the page's main thread works on a zoom. [ms]"""
    before = page.work_ms()
    zoom(page, key)
    return page.work_ms() - before


def main() -> None:
    """Print a line for each size; of each view the best of a few tries, and of those the slowest."""
    with tempfile.TemporaryDirectory() as folder:
        browser = Browser(Path(folder))
        for (num_microbatches, num_slices), (ready, redrawn) in zip(SIZES, TARGETS_MS, strict=True):
            file = Path(folder) / "report.html"
            file.write_text(large_page(num_microbatches), encoding="utf-8", newline="\n")
            page = Page(browser)
            opened_ms, redrawn_ms = [], []
            for _ in range(NUM_TRIES):
                opened_ms.append(page.open(file))
                redrawn_ms.append([redraw_ms(page, key) for key in KEYS])
            slowest_ms = max(map(min, zip(*redrawn_ms, strict=True)))
            print(
                f"{NUM_STAGES} x {num_microbatches}, at least {num_slices:,} slices: {file.stat().st_size:,} bytes,"
                f" open in {min(opened_ms):.0f} ms (wanted: {ready}), drawn anew in {slowest_ms:.1f} ms ({redrawn})"
            )
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
