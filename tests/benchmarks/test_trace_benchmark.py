"""Traces are written in pieces: four times as long a run takes no more memory while it is written."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from clustersim.report.byte_rows import ROWS_AT_ONCE
from clustersim.report.chrome_trace import write_chrome
from clustersim.report.perfetto_trace import write_perfetto
from clustersim.report.viewer import COMPUTES, Counter, Part, Slices, Thread, Timeline


def timeline(num_slices: int) -> Timeline:
    """Return one thread with so many slices, a nanosecond each."""
    rows = np.arange(num_slices)
    nothing = np.zeros(num_slices, dtype=np.int64)
    slices = Slices(COMPUTES, nothing, rows % 2, ("F0", "B0"), rows * 1000, rows * 1000 + 1000, "stage", nothing)
    counter = Counter("memory", nothing, rows * 1000, rows)
    part = Part(0, (Thread(0, "compute"),), slices)
    return Timeline("", ("rank 0",), lambda: iter([part]), lambda: counter)


@pytest.mark.parametrize(("write", "name"), [(write_chrome, "t.json.gz"), (write_perfetto, "t.pftrace")])
def test_memory_stays_flat(tmp_path: Path, write: object, name: str) -> None:
    assert callable(write)
    peaks = []
    for times in (1, 4):
        whole = timeline(times * ROWS_AT_ONCE)
        tracemalloc.start()
        write(whole, tmp_path / name)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.25 * peaks[0]
