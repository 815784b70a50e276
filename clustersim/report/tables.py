"""A run as CSV files: RFC 4180 with LF, units in the column names, one file a kind of thing."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from clustersim.analysis.bubble import rank_times
from clustersim.analysis.critical_path import Cause, critical_path
from clustersim.analysis.memory import activation_curve, logits_curve, measure_memory
from clustersim.analysis.utilization import load_curve
from clustersim.analysis.waits import find_waits
from clustersim.errors import Fault, InputError
from clustersim.ops import Kind
from clustersim.trace import AXES, Ints, Trace

_FORMULA_STARTS = ("=", "+", "-", "@")
_ROWS_AT_ONCE = 10_000  # so that a long run never stands in memory twice


@dataclass(frozen=True, slots=True)
class Names:
    """A column of names, each row an index into them; -1 is an empty cell."""

    index: Ints
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True, slots=True)
class OrNothing:
    """A column of integers in which -1 stands for nothing."""

    values: Ints

    def __len__(self) -> int:
        return len(self.values)


Column = Ints | Names | OrNothing


def write_tables(trace: Trace, folder: Path) -> list[Path]:
    """Return the CSV files written to `folder`, which is made if it is not there.

    Raises
    ------
    InputError
        `folder` is a file, or can't be made.
    """
    return write_columns(((name, columns_of(trace)) for name, columns_of in TABLES.items()), folder)


def write_columns(tables: Iterable[tuple[str, dict[str, Column]]], folder: Path) -> list[Path]:
    """Return the CSV files of tables, given with their names, written to `folder`, as `write_tables` does."""
    folder_for_tables(folder)
    paths = []
    for name, columns in tables:
        path = folder / f"{name}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            _write(file, columns)
        paths.append(path)
    return paths


def folder_for_tables(folder: Path) -> None:
    """Make a folder if it is not there.

    Raises
    ------
    InputError
        It is a file, or can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(Fault(str(folder), "not a folder; tables are written to a folder, a file each")) from None


def csv_cell(value: Any) -> Any:
    """Return a value as a cell that no spreadsheet takes for a formula.

    Examples
    --------
    >>> csv_cell("=1+1"), csv_cell("gpu0"), csv_cell(-1), csv_cell(None)
    ("'=1+1", 'gpu0', -1, '')
    """
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


def _write(file: IO[str], columns: dict[str, Column]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    num_rows = len(next(iter(columns.values())))
    for first in range(0, num_rows, _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        writer.writerows(zip(*(_cells(column, rows) for column in columns.values()), strict=True))


def _cells(column: Column, rows: slice) -> Iterable[Any]:
    if isinstance(column, Names):
        names = [*map(csv_cell, column.names), ""]
        return (names[index] for index in column.index[rows].tolist())
    if isinstance(column, OrNothing):
        return ("" if value < 0 else value for value in column.values[rows].tolist())
    values: list[int] = column[rows].tolist()
    return values


def _ops(trace: Trace) -> dict[str, Column]:
    ops, ranks = trace.ops, trace.ranks
    return {
        "op": np.arange(len(ops)),
        "rank": ranks.rank[ops.rank_index],
        "replica": ranks.replica[ops.rank_index],
        "pp_rank": ranks.pp_rank[ops.rank_index],
        "step": ops.step,
        "kind": Names(ops.kind, [kind.name for kind in Kind]),
        "stage": OrNothing(ops.stage),
        "microbatch": OrNothing(ops.microbatch),
        "backward_stage": OrNothing(ops.backward_stage),
        "backward_microbatch": OrNothing(ops.backward_microbatch),
        "start_ps": ops.start_ps,
        "end_ps": ops.end_ps,
    }


def _transfers(trace: Trace) -> dict[str, Column]:
    transfers, ranks = trace.transfers, trace.ranks
    return {
        "transfer": np.arange(len(transfers)),
        "axis": Names(transfers.axis, AXES),
        "kind": Names(transfers.kind, [kind.name for kind in Kind]),
        "step": transfers.step,
        "microbatch": transfers.microbatch,
        "source_rank": ranks.rank[transfers.source],
        "destination_rank": ranks.rank[transfers.destination],
        "size_bytes": transfers.size_bytes,
        "producer_op": transfers.producer,
        "consumer_op": transfers.consumer,
        "queued_ps": transfers.queued_ps,
        "start_ps": transfers.start_ps,
        "end_ps": transfers.end_ps,
        "route": Names(transfers.route, [" ".join(route) for route in trace.routes]),
    }


def _collectives(trace: Trace) -> dict[str, Column]:
    collectives = trace.collectives
    rows = np.arange(len(collectives))
    members = [" ".join(str(int(trace.ranks.rank[row])) for row in group) for group in trace.groups]
    return {
        "collective": rows,
        "axis": Names(collectives.axis, AXES),
        "operation": Names(collectives.operation.number, collectives.operation.words),
        "algorithm": Names(collectives.algorithm.number, collectives.algorithm.words),
        "kind": Names(collectives.kind, [kind.name for kind in Kind]),
        "stage": OrNothing(collectives.stage),
        "microbatch": OrNothing(collectives.microbatch),
        "step": collectives.step,
        "size_bytes": collectives.size_bytes,
        "num_repeats": collectives.num_repeats,
        "queued_ps": collectives.queued_ps,
        "start_ps": collectives.start_ps,
        "end_ps": collectives.end_ps,
        "ranks": Names(collectives.group, members),
    }


def _link_load(trace: Trace) -> dict[str, Column]:
    curve = load_curve(trace)
    return {
        "link": Names(curve.link, trace.links.name),
        "time_ps": curve.time_ps,
        "bytes_per_s": np.rint(curve.bytes_per_s).astype(np.int64),
    }


def _links(trace: Trace) -> dict[str, Column]:
    links = trace.links
    return {
        "link": Names(np.arange(len(links)), links.name),
        "latency_ps": links.latency_ps,
        "size_bytes": links.size_bytes,
        "busy_ps": links.busy_ps,
        "queued_ps": links.queued_ps,
        "slowed_ps": links.slowed_ps,
        "num_messages": links.num_messages,
    }


def _memory(trace: Trace) -> dict[str, Column]:
    curve, ranks = activation_curve(trace), trace.ranks
    return {
        "rank": ranks.rank[curve.rank_index],
        "time_ps": curve.time_ps,
        "activations_bytes": curve.value,
        "logits_bytes": logits_curve(trace).value if any(trace.logits_shares) else np.zeros_like(curve.value),
        "total_bytes": curve.value + ranks.allocated_bytes[curve.rank_index],
    }


def _ranks(trace: Trace) -> dict[str, Column]:
    ranks, times, memory = trace.ranks, rank_times(trace, find_waits(trace)), measure_memory(trace)
    return {
        "rank": ranks.rank,
        "replica": ranks.replica,
        "pp_rank": ranks.pp_rank,
        "gpu": ranks.gpu,
        "compute_ps": times.compute_ps,
        "exposed_communication_ps": times.exposed_ps,
        "bubble_ps": times.bubble_ps,
        "makespan_ps": np.full(len(ranks), trace.makespan_ps, dtype=np.int64),
        "weights_bytes": ranks.weights_bytes,
        "gradients_bytes": ranks.gradients_bytes,
        "optimizer_bytes": ranks.optimizer_bytes,
        "buffers_bytes": memory.buffers_bytes,
        "activations_peak_bytes": memory.activations_peak_bytes,
        "logits_bytes": memory.logits_bytes,
        "fragmentation_bytes": memory.fragmentation_bytes,
        "framework_bytes": memory.framework_bytes,
        "peak_bytes": memory.peak_bytes,
        "peak_ps": memory.peak_ps,
        "peak_live_microbatches": memory.peak_live_microbatches,
    }


def _critical_path(trace: Trace) -> dict[str, Column]:
    path = critical_path(trace)
    return {
        "start_ps": path.start_ps,
        "end_ps": path.end_ps,
        "cause": Names(path.cause, [cause.name.lower() for cause in Cause]),
        "rank": trace.ranks.rank[path.rank_index],
        "op": OrNothing(path.op),
        "transfer": OrNothing(path.transfer),
        "collective": OrNothing(path.collective),
        "link": Names(path.link, trace.links.name),
    }


TABLES: dict[str, Callable[[Trace], dict[str, Column]]] = {
    "ops": _ops,
    "transfers": _transfers,
    "collectives": _collectives,
    "links": _links,
    "link_load": _link_load,
    "memory": _memory,
    "ranks": _ranks,
    "critical_path": _critical_path,
}
"""The columns of each table by its name."""


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a small table as CSV.

    Examples
    --------
    >>> print(csv_text(["link", "bytes"], [["@a", 1], ["b, c", None]]), end="")
    link,bytes
    '@a,1
    "b, c",
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([csv_cell(value) for value in row] for row in rows)
    return text.getvalue()
