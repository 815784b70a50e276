"""The tables of a run for other programs: columns of numpy, Arrow for whoever reads that, and Parquet files.

Nothing here needs pandas or polars, and both take what it gives: ``pandas.DataFrame.from_arrow(table)``,
``polars.DataFrame(table)``, or either on ``table.columns``. Arrow and Parquet need pyarrow, the extra ``tables``.

References
----------
Apache Arrow, "The Arrow PyCapsule Interface": the protocol by which libraries hand tables to one another.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clustersim.errors import Fault, InputError, nearest
from clustersim.report.excerpt import WHOLE, Excerpt, keep
from clustersim.report.excerpt_tables import columns_of, tables_of
from clustersim.report.tables import TABLES, Column, Names, OrNothing, folder_for_tables
from clustersim.result import Result
from clustersim.trace import Trace

if TYPE_CHECKING:
    import pyarrow

_ROWS_PER_GROUP = 1 << 20  # of a Parquet file, so that a long table is converted piece by piece


@dataclass(frozen=True)
class Table:
    """One table of a run.

    Examples
    --------
    >>> import clustersim as cs
    >>> ops = cs.table(cs.simulate("gpipe-4x16"), "ops")
    >>> len(ops), list(ops.columns)[:3], ops.columns["kind"][:2].tolist()
    (132, ['op', 'rank', 'replica'], ['F', 'F'])
    """

    name: str
    typed: dict[str, Column]

    def __len__(self) -> int:
        return len(next(iter(self.typed.values())))

    @cached_property
    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns as numpy arrays; integers that are not there are -1, texts empty."""
        return {name: _as_numpy(column) for name, column in self.typed.items()}

    def to_arrow(self, first: int = 0, last: int | None = None) -> pyarrow.Table:
        """Return the rows as an Arrow table: what is not there is null, texts are dictionaries.

        Raises
        ------
        InputError
            pyarrow is not installed.
        """
        arrow, rows = _pyarrow(), slice(first, last)
        return arrow.table({name: _as_arrow(column, rows) for name, column in self.typed.items()})

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return a capsule of an Arrow stream, for any library that reads those."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)


def table(run: Result | Trace, name: str, excerpt: Excerpt = WHOLE) -> Table:
    """Return a table of a run by its name: ops, transfers, collectives, links, link_load, memory, ranks, critical_path.

    Raises
    ------
    InputError
        There is no such table, or the run has no such part as `excerpt` asks for.
    """
    if name not in TABLES:
        what = f"there is no table {name!r}; allowed: {', '.join(TABLES)}"
        raise InputError(Fault("table", what, hint=nearest(name, list(TABLES))))
    return Table(name, columns_of(keep(run.trace if isinstance(run, Result) else run, excerpt), name))


def write_parquet(trace: Trace, folder: Path, excerpt: Excerpt = WHOLE) -> list[Path]:
    """Return the Parquet files written to `folder`, the same tables as the CSV files.

    Raises
    ------
    InputError
        `folder` is a file, or can't be made, or pyarrow is not installed, or the run has no such part.
    """
    _pyarrow()
    folder_for_tables(folder)
    tables = tables_of(keep(trace, excerpt))
    return [_write(Table(name, columns), folder / f"{name}.parquet") for name, columns in tables]


def _write(own: Table, path: Path) -> Path:
    from pyarrow import parquet

    with parquet.ParquetWriter(path, own.to_arrow(0, 0).schema) as writer:
        for first in range(0, len(own), _ROWS_PER_GROUP):
            writer.write_table(own.to_arrow(first, first + _ROWS_PER_GROUP))
    return path


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        what = "Arrow and Parquet need pyarrow, which is not installed"
        raise InputError(Fault("tables", what, hint="pip install 'clustersim[tables]'")) from error
    return pyarrow


def _as_numpy(column: Column) -> NDArray[Any]:
    if isinstance(column, Names):
        return np.array([*column.names, ""])[column.index]
    return column.values if isinstance(column, OrNothing) else column


def _as_arrow(column: Column, rows: slice) -> Any:
    arrow = _pyarrow()
    if isinstance(column, Names):
        index = column.index[rows]
        index = arrow.array(index.astype(np.int32), mask=index < 0)
        return arrow.DictionaryArray.from_arrays(index, arrow.array(list(column.names), arrow.string()))
    if isinstance(column, OrNothing):
        values = column.values[rows]
        return arrow.array(values, mask=values < 0)
    return arrow.array(column[rows])
