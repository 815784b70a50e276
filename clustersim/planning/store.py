"""The store of a sweep: one SQLite file, which a sweep fills as its points are done.

Only the process that began the sweep writes, all rows that are there in one transaction. SQLite's rollback journal
makes a transaction whole or nothing whatever dies meanwhile, leaves a single file, and works where homes are on a
network, which its write-ahead log does not. The position of a point is the primary key: it is there once or not yet.

``results`` is a view for other programs: a column for each axis, status, reason, and a column for each measure.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self

from clustersim.errors import Fault, InputError
from clustersim.planning.identity import Identity, differences
from clustersim.planning.row import MEASURES, PlacedRow, SweepRow

SUFFIXES = (".db", ".sqlite", ".sqlite3")
STORE_SCHEMA = "clustersim/sweep-store/1"

_APPLICATION_ID = 0x636C7377  # "clsw", which `file` and SQLite itself show
_PATIENCE_S = 60.0  # how long another process may hold the file
_TABLES = """
CREATE TABLE sweep (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE points (
    position INTEGER PRIMARY KEY,
    point TEXT NOT NULL UNIQUE,
    axes TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    measures TEXT NOT NULL
);
"""

_ADD = """
INSERT INTO points VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (position) DO UPDATE
SET status = excluded.status, reason = excluded.reason, measures = excluded.measures WHERE status = 'failed'
"""

KeyedRow = tuple[int, str, SweepRow]
"""The position of a point, its key, and its row."""


class RowStore(Protocol):
    """What keeps the rows of a sweep."""

    axes: Mapping[str, tuple[Any, ...]]

    def positions(self, without_failed: bool = False) -> set[int]:
        """Return the positions of the points that are done; failed ones may count as not done."""

    def add(self, rows: Iterable[PlacedRow]) -> None:
        """Keep rows, all or none of them; points that are there stay as they are, unless they failed."""

    def rows(self) -> Iterator[PlacedRow]:
        """Yield the rows that are there, in the order of the points."""


class MemoryStore:
    """Rows of a sweep that no file gets."""

    def __init__(self, axes: Mapping[str, tuple[Any, ...]]) -> None:
        self.axes = axes
        self._rows: dict[int, SweepRow] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: there is nothing to close."""

    def positions(self, without_failed: bool = False) -> set[int]:  # noqa: ARG002
        """Return the positions of the points that are done."""
        return set(self._rows)

    def add(self, rows: Iterable[PlacedRow]) -> None:
        """Keep rows."""
        self._rows.update(rows)

    def rows(self) -> Iterator[PlacedRow]:
        """Yield the rows that are there, in the order of the points."""
        yield from sorted(self._rows.items())


class SweepStore:
    """An open store: a context, which closes the file."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, facts: Mapping[str, Any], keys: Sequence[str] = ()
    ) -> None:
        self.path = path
        self._connection = connection
        self._keys = keys
        self.name: str = facts["name"]
        self.identity: Identity = facts["identity"]
        self.axes: Mapping[str, tuple[Any, ...]] = {axis: tuple(values) for axis, values in facts["axes"].items()}

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return the store in a file.

        Raises
        ------
        InputError
            There is no such file, or it is no store of this version.
        """
        if not path.is_file():
            raise InputError(
                Fault(str(path), "no such file", hint="`clustersim sweep SCENARIO -o results.db` makes one")
            )
        return cls._opened(path, None, ())

    @classmethod
    def create(
        cls, path: Path, name: str, identity: Identity, axes: Mapping[str, Sequence[Any]], keys: Sequence[str]
    ) -> Self:
        """Return the store of a sweep: a new file, or the one that is there if it is of the same sweep.

        Parameters
        ----------
        path
            The file.
        name
            What the scenario is called.
        identity
            Which sweep it is.
        axes
            All values of each axis.
        keys
            The key of each point, by its position.

        Raises
        ------
        InputError
            The file is something else, or the store of another sweep.
        """
        facts = {"schema": STORE_SCHEMA, "name": name, "identity": identity, "axes": axes}
        store = cls._opened(path, facts, keys)
        if differ := differences(store.identity, identity):
            store.close()
            raise InputError(
                Fault(
                    str(path),
                    "the store of another sweep: " + "; ".join(differ),
                    hint="write to another file, or remove this one; a sweep resumes only as it began",
                )
            )
        return store

    @classmethod
    def _opened(cls, path: Path, facts: Mapping[str, Any] | None, keys: Sequence[str]) -> Self:
        with _told(path):
            connection = sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None)
            try:
                return cls(path, connection, _facts(connection, path, facts), keys)
            except BaseException:
                connection.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @property
    def num_points(self) -> int:
        """Points of the whole sweep, done or not."""
        return int(self.identity["points"]["number"])

    def positions(self, without_failed: bool = False) -> set[int]:
        """Return the positions of the points that are done; failed ones may count as not done."""
        which = "WHERE status <> 'failed'" if without_failed else ""
        return {position for (position,) in self._connection.execute(f"SELECT position FROM points {which}")}

    def add(self, rows: Iterable[PlacedRow]) -> None:
        """Write rows, all or none of them; points that are there stay as they are, unless they failed."""
        self.add_keyed((position, self._keys[position], row) for position, row in rows)

    def add_keyed(self, rows: Iterable[KeyedRow]) -> None:
        """Write rows of which the keys are known."""
        written = [
            (position, key, json_text(row.values), row.status, row.reason, json_text(row.measures))
            for position, key, row in rows
        ]
        if written:
            with _told(self.path), _transaction(self._connection):
                self._connection.executemany(_ADD, written)

    def rows(self) -> Iterator[PlacedRow]:
        """Yield the rows that are there, in the order of the points."""
        return ((position, row) for position, _, row in self.keyed_rows())

    def keyed_rows(self) -> Iterator[KeyedRow]:
        """Yield them with their keys."""
        found = self._connection.execute(
            "SELECT position, point, axes, status, reason, measures FROM points ORDER BY position"
        )
        for position, key, axes, status, reason, measures in found:
            yield position, key, SweepRow(json.loads(axes), status, reason, json.loads(measures))


def json_text(values: Any) -> str:
    """Return a value as JSON that keeps the order of keys and every digit of numbers."""
    return json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def is_store(path: Path) -> bool:
    """Return whether a file's name is that of a store."""
    return path.suffix.lower() in SUFFIXES


def require_store_name(path: Path) -> None:
    """Refuse a file whose name is not that of a store."""
    if not is_store(path):
        what = f"got the name {path.name!r}; a store is named {', '.join(SUFFIXES)}"
        raise InputError(Fault(str(path), what, hint="`clustersim export` writes a store as a table"))


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite itself ends those for which the disk has no room
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say which file SQLite can't use, and why."""
    try:
        yield
    except sqlite3.Error as error:
        raise InputError(Fault(str(path), f"can't be used as a store: {error}")) from None


def _facts(connection: sqlite3.Connection, path: Path, new: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a store says of its sweep; an empty file becomes the store of a new one."""
    with _transaction(connection):
        (number_of_tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if number_of_tables == 0 and new is not None:
            _make(connection, new)
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if application != _APPLICATION_ID:
            raise InputError(
                Fault(str(path), "no store of a sweep", hint="name a file that `clustersim sweep -o` wrote")
            )
        found = {key: json.loads(value) for key, value in connection.execute("SELECT key, value FROM sweep")}
    if found["schema"] != STORE_SCHEMA:
        raise InputError(Fault(str(path), f"a store of {found['schema']}; this version reads {STORE_SCHEMA}"))
    return found


def _make(connection: sqlite3.Connection, facts: Mapping[str, Any]) -> None:
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    for statement in _TABLES.split(";"):
        connection.execute(statement)
    columns = [f"json_extract(axes, {_path(axis)}) AS {_quoted(axis)}" for axis in facts["axes"]]
    columns += ["status", "reason"]
    columns += [f"json_extract(measures, {_path(measure)}) AS {_quoted(measure)}" for measure in MEASURES]
    connection.execute(f"CREATE VIEW results AS SELECT position, {', '.join(columns)} FROM points ORDER BY position")
    connection.executemany("INSERT INTO sweep VALUES (?, ?)", [(key, json_text(value)) for key, value in facts.items()])


def _path(key: str) -> str:
    return "'$.\"" + key.replace("'", "''") + "\"'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
