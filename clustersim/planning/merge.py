"""Stores of parts of one sweep put into one."""

from __future__ import annotations

from collections.abc import Sequence, Set
from contextlib import ExitStack
from pathlib import Path

from clustersim.errors import Fault, InputError
from clustersim.planning.identity import differences
from clustersim.planning.row import SweepRow
from clustersim.planning.store import KeyedRow, SweepStore

_MOST_TOLD = 5


def merged(paths: Sequence[Path], output: Path) -> SweepStore:
    """Return the store at `output` with the rows of all stores, written at once; what it had stays.

    Raises
    ------
    InputError
        Stores of different sweeps, or two that say different things of one point; nothing is written then.
    """
    there = [output] if output.exists() else []
    with ExitStack() as stack:
        stores = [stack.enter_context(SweepStore.open(path)) for path in dict.fromkeys([*there, *paths])]
        _check_same(stores)
        first, rows = stores[0], _agreed(stores)
    target = SweepStore.create(output, first.name, first.identity, first.axes, ())
    target.add_keyed(rows)
    return target


def missing_ranges(done: Set[int], num_points: int) -> str:
    """Return the positions that are not done, counted from 0, in few words; nothing if all are.

    Examples
    --------
    >>> missing_ranges({0, 1, 4, 6}, 8)
    '2-3, 5, 7'
    """
    ranges: list[tuple[int, int]] = []
    for position in range(num_points):
        if position in done:
            continue
        if ranges and ranges[-1][1] == position - 1:
            ranges[-1] = ranges[-1][0], position
        else:
            ranges.append((position, position))
    told = [str(first) if first == last else f"{first}-{last}" for first, last in ranges[:_MOST_TOLD]]
    return ", ".join(told) + (", ..." if len(ranges) > _MOST_TOLD else "")


def _check_same(stores: Sequence[SweepStore]) -> None:
    first = stores[0]
    for store in stores[1:]:
        if differ := differences(first.identity, store.identity):
            what = f"the store of another sweep than {first.path}: {'; '.join(differ)}"
            raise InputError(Fault(str(store.path), what, hint="merge stores of one sweep, as its shards are"))


def _agreed(stores: Sequence[SweepStore]) -> list[KeyedRow]:
    """Return the rows of all stores; a failed row gives way to one that did not fail."""
    kept: dict[int, tuple[SweepStore, KeyedRow]] = {}
    for store in stores:
        for found in store.keyed_rows():
            position, _, row = found
            known = kept.get(position)
            if known is None or known[1][2].status == "failed":
                kept[position] = store, found
            elif row.status != "failed" and row != known[1][2]:
                raise InputError(_conflict(known[0], known[1][2], store, row, position))
    return [found for _, (_, found) in sorted(kept.items())]


def _conflict(one: SweepStore, row: SweepRow, other: SweepStore, row_there: SweepRow, position: int) -> Fault:
    there, here = row_there.to_dict(), row.to_dict()
    differ = [f"{name} is {here[name]!r} and {there[name]!r}" for name in here if here[name] != there[name]]
    what = f"point {position} has another result than in {one.path}: {', '.join(differ)}"
    return Fault(str(other.path), what, hint="they were run with different budgets, or one was changed; run it again")
