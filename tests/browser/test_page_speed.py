"""How much work large pages ask of a browser: counted, as a busy machine would spoil every time.

``python tests/benchmarks/pages.py`` prints the times.
"""

from __future__ import annotations

import pytest
from conftest import Opens
from large_pages import KEYS, NUM_STAGES, SIZES, large_page, zoom

# Drawing rounds, clips or compares once or a few times for each thing that it draws.
_COUNT_CALLS = """
window.calls = 0;
for (const name of ["round", "min", "max", "floor"]) {
  const real = Math[name];
  Math[name] = (...given) => { window.calls += 1; return real(...given); };
}
"""
_CALLS = "(() => { const { calls } = window; window.calls = 0; return calls; })()"
CALLS_A_PIXEL = 3


@pytest.mark.parametrize(("num_microbatches", "num_slices"), SIZES)
def test_redrawing_follows_the_window_and_not_the_slices(opens: Opens, num_microbatches: int, num_slices: int) -> None:
    text = large_page(num_microbatches)
    assert len(text) <= 5_000_000
    page = opens(text)
    assert page.ask("JSON.parse(document.getElementById('known').textContent).columns[1].rows") >= num_slices
    page.ask(_COUNT_CALLS)
    calls = []
    for key in KEYS:
        zoom(page, key)
        calls.append(page.ask(_CALLS))
    width = page.ask("document.querySelector('#gantt canvas').width")
    assert min(calls) > 0
    assert max(calls) <= CALLS_A_PIXEL * width * NUM_STAGES, calls
