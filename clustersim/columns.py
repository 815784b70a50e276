"""Programs and messages of one replica as numpy columns: what the engine and the trace go through all at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from clustersim.later import Lazy, later

T = TypeVar("T")
Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Lists(Lazy):
    """Short lists of numbers, one a row, joined."""

    count: NDArray[np.signedinteger]  # of each row
    joined: Numbers
    known_only: Numbers | None = None  # what `only` returns, where no row has several

    @classmethod
    def of_only(cls, only: Numbers) -> Lists:
        """Return the lists of rows that have one number or none, which is -1.

        Examples
        --------
        >>> Lists.of_only(np.array([7, -1])).joined.tolist()
        [7]
        """
        return cls(later(lambda: (only >= 0).view(np.int8)), later(lambda: np.compress(only >= 0, only)), only)

    def only(self) -> Numbers:
        """Return the number of each row that has one, the first of several, and -1 where there is none.

        Examples
        --------
        >>> Lists(np.array([1, 0, 2]), np.array([7, 8, 9])).only().tolist()
        [7, -1, 8]
        """
        if self.known_only is not None:
            return self.known_only
        only = np.full(len(self.count), -1, dtype=np.int64)
        rows = np.flatnonzero(self.count)
        only[rows] = self.joined[self._end[rows] - self.count[rows]]
        return only

    def has_several(self) -> Flags:
        """Return whether each row has more than one number."""
        return self.count > 1 if self.known_only is None else np.zeros(len(self.known_only), dtype=np.bool_)

    def of(self, rows: Numbers | slice) -> tuple[tuple[int, ...], ...]:
        """Return the lists of some rows.

        Examples
        --------
        >>> Lists(np.array([1, 0, 2]), np.array([7, 8, 9])).of(np.array([2, 1]))
        ((8, 9), ())
        """
        taken = self.taken(rows)
        lists: list[tuple[int, ...]] = [(number,) if number >= 0 else () for number in taken.only().tolist()]
        for row in np.flatnonzero(taken.has_several()).tolist():
            end = taken._end[row]
            lists[row] = tuple(taken.joined[end - taken.count[row] : end].tolist())
        return tuple(lists)

    def taken(self, rows: Numbers | slice) -> Lists:
        """Return the lists of some rows, as a column of theirs.

        Examples
        --------
        >>> taken = Lists(np.array([1, 0, 2]), np.array([7, 8, 9])).taken(np.array([2, 0, 2]))
        >>> taken.count.tolist(), taken.joined.tolist()
        ([2, 1, 2], [8, 9, 7, 8, 9])
        """
        if self.known_only is not None:
            return Lists.of_only(self.known_only[rows])
        count = self.count[rows]
        end = np.cumsum(count)
        first = (self._end[rows] - end).repeat(count)  # less how many there are before, of those that are taken
        return Lists(count, self.joined[first + np.arange(len(first))])

    @cached_property
    def _end(self) -> Numbers:
        return np.cumsum(self.count)


CallKind = tuple[str, int, int]  # operation, size [bytes], repeats


@dataclass(frozen=True, eq=False)
class CallColumns:
    """The calls of all ranks to their groups, as :class:`~clustersim.ops.Calls` has them."""

    axes: tuple[str, ...]  # that there are
    axis: Numbers  # of each call, which of them
    whats: tuple[CallKind, ...]  # that there are
    what: Numbers  # of each call, which of them
    kind: Numbers
    stage: Numbers
    microbatch: Numbers
    step: Numbers
    pp_rank: Numbers
    order: Numbers
    producer: Numbers  # row of the rank's program
    consumer: Numbers

    @classmethod
    def of(
        cls,
        axes: Sequence[str],
        operations: Sequence[str],
        sizes_bytes: Sequence[int],
        num_repeats: Sequence[int],
        *rest: Sequence[int],
    ) -> CallColumns:
        """Return the columns of these calls, given what `Calls` has of them."""
        whats, what = numbered(zip(operations, sizes_bytes, num_repeats, strict=True))
        numbers = [np.array(column, dtype=np.int64) for column in rest]
        return cls(*numbered(axes), whats, what, *numbers)

    @cached_property
    def by_rank(self) -> dict[tuple[str, int], Numbers]:
        """The calls of each pp_rank on each axis, in their order; those who make none are left out."""
        num_ranks = int(self.pp_rank.max(initial=-1)) + 1
        place = self.axis * num_ranks + self.pp_rank
        count = np.bincount(place, minlength=len(self.axes) * num_ranks)
        end = np.cumsum(count)
        calls = np.empty(len(place), dtype=np.int64)
        calls[(end - count)[place] + self.order] = np.arange(len(place))  # orders have no gaps
        return {
            (self.axes[number // num_ranks], number % num_ranks): calls[end[number] - count[number] : end[number]]
            for number in np.flatnonzero(count).tolist()
        }

    def kinds(self, axis: str, pp_rank: int) -> list[CallKind]:
        """Return what a pp_rank calls for on an axis, in order."""
        return list(map(self.whats.__getitem__, self._whats_of(axis, pp_rank)))

    def different_kinds(self, axis: str, pp_rank: int) -> list[CallKind]:
        """Return what a pp_rank calls for on an axis, each once."""
        return list(map(self.whats.__getitem__, dict.fromkeys(self._whats_of(axis, pp_rank))))

    def _whats_of(self, axis: str, pp_rank: int) -> list[int]:
        calls = self.by_rank.get((axis, pp_rank))
        return [] if calls is None else self.what[calls].tolist()


@dataclass(frozen=True, eq=False)
class PipelineColumns:
    """The rows of all ranks, rank after rank, and the messages; numbered within the replica."""

    first_op: Numbers  # first row of each rank; one more entry than ranks
    kind: Numbers
    stage: Numbers
    microbatch: Numbers
    step: Numbers
    duration_ps: Numbers
    start_bytes: Numbers
    end_bytes: Numbers
    backward_stage: Numbers  # of an overlapped slot, else -1
    backward_microbatch: Numbers
    needs: Lists  # messages that each row waits for
    sends: Lists  # messages that leave when it ends
    joins: Lists  # calls that it makes then
    awaits: Lists  # calls that it waits for
    sent_kind: Numbers
    sent_microbatch: Numbers
    sent_step: Numbers
    source: Numbers  # pp_rank
    destination: Numbers
    size_bytes: Numbers
    producer: Numbers  # row
    consumer: Numbers

    @property
    def num_ranks(self) -> int:
        """Ranks of the pipeline."""
        return len(self.first_op) - 1

    @property
    def num_rows(self) -> int:
        """Rows of all ranks."""
        return len(self.kind)

    @property
    def num_messages(self) -> int:
        """Messages between them."""
        return len(self.source)

    @property
    def rank_index(self) -> Numbers:
        """Rank of each row."""
        return np.repeat(np.arange(self.num_ranks), np.diff(self.first_op))

    @cached_property
    def kinds_of_messages(self) -> tuple[list[tuple[int, int, int]], Numbers]:
        """Each (source, destination, size [bytes]) that there is, in order, and which of them each message is."""
        sizes = distinct(self.size_bytes)
        width = max(1, len(sizes))
        code = self.source * self.num_ranks + self.destination
        if width > 1:
            code = code * width + np.searchsorted(sizes, self.size_bytes)
        # There are few codes: to count them is faster than to sort messages.
        codes = np.flatnonzero(np.bincount(code, minlength=1))
        number = np.zeros(self.num_ranks**2 * width, dtype=np.int64)
        number[codes] = np.arange(len(codes))
        pair, size = np.divmod(codes, width)
        source, destination = np.divmod(pair, self.num_ranks)
        return list(zip(source.tolist(), destination.tolist(), sizes[size].tolist(), strict=True)), number[code]


def numbered(values: Iterable[T]) -> tuple[tuple[T, ...], Numbers]:
    """Return the values that there are, in the order in which they come up, and which of them each is.

    Examples
    --------
    >>> values, numbers = numbered("tp dp tp".split())
    >>> values, numbers.tolist()
    (('tp', 'dp'), [0, 1, 0])
    """
    number_of: dict[T, int] = {}
    numbers = [number_of.setdefault(value, len(number_of)) for value in values]
    return tuple(number_of), np.array(numbers, dtype=np.int64)


def starts(count: Numbers) -> Numbers:
    """Return where each of so many entries begin, one after the other, and where the last ones end.

    Examples
    --------
    >>> starts(np.array([2, 0, 1])).tolist()
    [0, 2, 2, 3]
    """
    first = np.zeros(len(count) + 1, dtype=np.int64)
    np.cumsum(count, out=first[1:])
    return first


def taken(values: Numbers, places: Numbers) -> Numbers:
    """Return the values at places; if all values are the same, as one number throughout, which takes no memory.

    Examples
    --------
    >>> taken(np.array([5, 5]), np.array([0, 1, 1])).strides
    (0,)
    """
    if len(values) and (values == values[0]).all():
        return np.broadcast_to(values[0], len(places))
    return values.take(places)


def joined(columns: Sequence[Numbers]) -> Numbers:
    """Return columns one after the other; those that are one number throughout stay so, and one is its own join.

    Examples
    --------
    >>> joined([np.broadcast_to(np.int64(7), 2), np.broadcast_to(np.int64(7), 1)]).strides
    (0,)
    """
    if len(columns) == 1:
        return columns[0]
    different = {id(column): column for column in columns}.values()
    values = {int(column[0]) for column in different if column.strides == (0,) and len(column)}
    if len(values) == 1 and all(column.strides == (0,) for column in different):
        return np.broadcast_to(np.int64(*values), sum(map(len, columns)))
    return np.concatenate(columns)


def distinct(column: Numbers) -> Numbers:
    """Return the values of a column, each once and in order; as a rule it has one, which is soon seen.

    Examples
    --------
    >>> distinct(np.array([3, 3])).tolist(), distinct(np.array([3, 1, 3])).tolist()
    ([3], [1, 3])
    """
    return column[:1] if len(column) and column.min() == column.max() else np.unique(column)
