"""Programs and messages of one replica as numpy columns: what the engine and the trace go through all at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from clustersim.later import Lazy, later

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Lists(Lazy):
    """Short lists of numbers, one a row, joined."""

    count: Numbers  # of each row
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
        return cls(later(lambda: (only >= 0).astype(np.int64)), later(lambda: np.compress(only >= 0, only)), only)

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
        only[rows] = self.joined[(np.cumsum(self.count) - self.count)[rows]]
        return only

    def has_several(self) -> Flags:
        """Return whether each row has more than one number."""
        return self.count > 1 if self.known_only is None else np.zeros(len(self.known_only), dtype=np.bool_)

    def of(self, rows: Numbers) -> list[tuple[int, ...]]:
        """Return the lists of some rows."""
        if self.known_only is not None:
            return [(number,) if number >= 0 else () for number in self.known_only[rows].tolist()]
        end = np.cumsum(self.count)[rows]
        first = end - self.count[rows]
        return [tuple(self.joined[a:b].tolist()) for a, b in zip(first.tolist(), end.tolist(), strict=True)]


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


def distinct(column: Numbers) -> Numbers:
    """Return the values of a column, each once and in order; as a rule it has one, which is soon seen.

    Examples
    --------
    >>> distinct(np.array([3, 3])).tolist(), distinct(np.array([3, 1, 3])).tolist()
    ([3], [1, 3])
    """
    return column[:1] if len(column) and column.min() == column.max() else np.unique(column)
