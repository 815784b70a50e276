"""Sweeps on dask, where it is installed: the gallery's factory, a local cluster of several workers, the same store."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from small_sweep import AXES, scenario
from test_sweep_store import content

import clustersim as cs

FACTORIES = Path(__file__).parents[2] / "scenarios" / "dask_executor.py"


# dask's own threads and sockets may end later than it says
@pytest.mark.filterwarnings("default::ResourceWarning", "default::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("default::DeprecationWarning")
def test_a_dask_cluster_gives_the_same_store(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="dask.distributed is not installed")
    factories = runpy.run_path(str(FACTORIES))
    num_workers = factories["NUM_WORKERS"]
    assert num_workers > 1
    cs.sweep(scenario(), AXES, store=tmp_path / "dask.db", executor=factories["local_cluster"], jobs=num_workers)
    cs.sweep(scenario(), AXES, store=tmp_path / "serial.db")
    assert content(tmp_path / "dask.db") == content(tmp_path / "serial.db")


def test_the_gallery_s_factories_need_dask_only_when_they_are_called() -> None:
    assert {"local_cluster", "running_cluster"} <= set(runpy.run_path(str(FACTORIES)))
