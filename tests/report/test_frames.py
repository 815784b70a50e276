"""Tables for other programs: numpy columns, Arrow, Parquet, and what pandas and polars make of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from drawing import result_of

import clustersim as cs
from clustersim.errors import InputError
from clustersim.report.frames import write_parquet
from clustersim.report.tables import TABLES

PYARROW = "pyarrow is not installed (extra tables); with it, Arrow and Parquet are tested"


def test_columns_are_those_of_the_trace() -> None:
    result = result_of()
    ops = cs.table(result, "ops")
    assert ops.columns["start_ps"].tolist() == result.trace.ops.start_ps.tolist()
    assert set(ops.columns["kind"].tolist()) == {"F", "B", "OPTIMIZER", "BARRIER"}
    assert ops.columns["stage"].min() == -1  # of barriers
    assert {len(column) for column in ops.columns.values()} == {len(ops)}
    assert cs.table(result.trace, "ops").columns.keys() == ops.columns.keys()


def test_an_unknown_table_is_told() -> None:
    with pytest.raises(InputError, match="allowed: ops, transfers"):
        cs.table(result_of(), "opps")


def test_without_pyarrow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"clustersim\[tables\]"):
        write_parquet(result_of().trace, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", TABLES)
def test_parquet_reads_back(tmp_path: Path, name: str) -> None:
    parquet: Any = pytest.importorskip("pyarrow.parquet", reason=PYARROW)
    result = result_of()
    paths = write_parquet(result.trace, tmp_path)
    assert [path.name for path in paths] == [f"{table}.parquet" for table in TABLES]
    read, own = parquet.read_table(tmp_path / f"{name}.parquet"), cs.table(result, name)
    assert read.column_names == list(own.columns)
    assert len(read) == len(own)
    for column, values in own.columns.items():
        nothing = "" if values.dtype.kind == "U" else -1
        assert [nothing if value is None else value for value in read[column].to_pylist()] == values.tolist()


def test_pandas_and_polars_take_a_table() -> None:
    pytest.importorskip("pyarrow", reason=PYARROW)
    path = cs.table(result_of(), "critical_path")
    pandas: Any = pytest.importorskip("pandas", reason="pandas is not installed")
    assert pandas.DataFrame(path.columns)["cause"].tolist() == path.columns["cause"].tolist()
    if hasattr(pandas.DataFrame, "from_arrow"):
        assert pandas.DataFrame.from_arrow(path)["end_ps"].tolist() == path.columns["end_ps"].tolist()
    polars: Any = pytest.importorskip("polars", reason="polars is not installed")
    frame = polars.DataFrame(path)
    assert frame["end_ps"].to_list() == path.columns["end_ps"].tolist()
    assert frame["transfer"].null_count() == (path.columns["transfer"] < 0).sum()
    assert polars.DataFrame(path.columns).shape == frame.shape
