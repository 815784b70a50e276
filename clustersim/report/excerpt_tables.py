"""The tables of a part of a run: rows of its ranks, and of what reaches into its window, numbered as in the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from clustersim.analysis.account import account_of
from clustersim.report.excerpt import Kept, RunPart, numbers_of
from clustersim.report.tables import TABLES, Column, Names, OrNothing
from clustersim.trace import Flags, Ints

_BY_RANK = ("ops", "transfers", "memory", "ranks")
_RANKS = ("rank", "source_rank", "destination_rank")


def tables_of(kept: Kept) -> Iterator[tuple[str, dict[str, Column]]]:
    """Yield the name and the columns of each table; of a part of a run at last one that tells which part that is."""
    for name in TABLES:
        yield name, columns_of(kept, name)
    if not kept.is_whole:
        yield "excerpt", {key: np.array([value]) for key, value in numbers_of(kept).items()}


def columns_of(kept: Kept, name: str) -> dict[str, Column]:
    """Return the columns of a table: of links all rows, as they tell of the whole run."""
    if kept.is_whole or name == "links":
        return TABLES[name](kept.trace)
    if name in _BY_RANK:
        return _by_rank(kept, name)
    if name == "critical_path":
        columns = _critical_path(kept)
        return _taken(columns, _in_window(kept, columns))
    columns = TABLES[name](kept.trace)
    is_shown = _in_window(kept, columns)
    if name == "collectives":
        has_kept = [bool(kept.is_kept[list(group)].any()) for group in kept.trace.groups]
        is_shown &= np.array(has_kept, dtype=np.bool_)[kept.trace.collectives.group]
    return _taken(columns, is_shown)


def _by_rank(kept: Kept, name: str) -> dict[str, Column]:
    """Return a table whose rows belong to ranks, made of some replicas at a time."""
    ranks = kept.trace.ranks.rank[kept.is_kept]
    pieces: list[dict[str, Column]] = []
    first_message = _first_messages(kept) if name == "transfers" else np.zeros(0, dtype=np.int64)
    for part in kept.parts():
        columns = _numbered(kept, part, name, first_message)
        of_kept = [np.isin(_values(columns[key]), ranks) for key in _RANKS if key in columns]
        pieces.append(_taken(columns, np.logical_or.reduce(of_kept) & _in_window(kept, columns)))
    return {key: _joined([piece[key] for piece in pieces]) for key in pieces[0]}


def _numbered(kept: Kept, part: RunPart, name: str, first_message: Ints) -> dict[str, Column]:
    """Return a table of some replicas, whose ops and messages have the numbers that they have in the run."""
    columns, transfers = TABLES[name](part.trace), part.trace.transfers
    if name == "ops":
        columns["op"] = np.arange(len(part.trace.ops)) + _first_ops(kept, part)[part.trace.ops.rank_index]
    if name == "transfers":
        first_op = _first_ops(kept, part)
        columns["producer_op"] = transfers.producer + first_op[transfers.source]
        columns["consumer_op"] = transfers.consumer + first_op[transfers.destination]
        replica = part.trace.ranks.replica[transfers.source]
        columns["transfer"] = first_message[replica] + np.arange(len(transfers)) - np.searchsorted(replica, replica)
    return columns


def _first_ops(kept: Kept, part: RunPart) -> Ints:
    """Return by how much the numbers of a rank's ops in the run are above those in the part, for each rank."""
    return kept.trace.ranks.first_op[part.rows] - part.trace.ranks.first_op[:-1]


def _first_messages(kept: Kept) -> Ints:
    """Return the number of the first message of each replica of the run."""
    counts = np.zeros(int(kept.trace.ranks.replica.max()) + 1, dtype=np.int64)
    for part in kept.trace.parts():
        counts += np.bincount(part.ranks.replica[part.transfers.source], minlength=len(counts))
    return np.cumsum(counts) - counts


def _critical_path(kept: Kept) -> dict[str, Column]:
    """Return the path of the run, made of those replicas alone that it can pass."""
    trace = kept.trace
    if trace.split is None:
        return TABLES["critical_path"](trace)
    replicas = account_of(trace).replicas_to_follow(trace)
    followed = trace.of_replicas(replicas)
    columns = TABLES["critical_path"](followed)
    part = RunPart(followed, np.flatnonzero(np.isin(trace.ranks.replica, replicas)))
    for key, table in (("op", "ops"), ("transfer", "transfers")):
        numbers = _values(_numbered(kept, part, table, _first_messages(kept))[key])
        columns[key] = OrNothing(np.append(numbers, -1)[_values(columns[key])])  # -1 stays
    return columns


def _in_window(kept: Kept, columns: dict[str, Column]) -> Flags:
    """Return which rows reach into the window; all where a table has no times."""
    first, last = ("start_ps", "end_ps") if "start_ps" in columns else ("time_ps", "time_ps")
    if first not in columns:
        return np.ones(len(next(iter(columns.values()))), dtype=np.bool_)
    return kept.overlaps(_values(columns[first]), _values(columns[last]))


def _values(column: Column) -> Ints:
    if isinstance(column, Names):
        return column.index
    return column.values if isinstance(column, OrNothing) else column


def _like(column: Column, values: Ints) -> Column:
    """Return a column of the same kind with other values."""
    if isinstance(column, Names):
        return Names(values, column.names)
    return OrNothing(values) if isinstance(column, OrNothing) else values


def _taken(columns: dict[str, Column], is_shown: Flags) -> dict[str, Column]:
    return {name: _like(column, _values(column)[is_shown]) for name, column in columns.items()}


def _joined(columns: Sequence[Column]) -> Column:
    return _like(columns[0], np.concatenate([_values(column) for column in columns]))
