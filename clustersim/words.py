"""A column of words, of which there are few: each row says which of them it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray


class Words(Sequence[str]):
    """A sequence of words that is kept as numbers.

    Parameters
    ----------
    words
        Those that there are.
    number
        Which of them each row has.

    Examples
    --------
    >>> column = Words(("all-reduce", "all-gather"), np.array([1, 0, 1]))
    >>> column[0], len(column), column == ("all-gather", "all-reduce", "all-gather")
    ('all-gather', 3, True)
    """

    __slots__ = ("number", "words")

    def __init__(self, words: Sequence[str], number: NDArray[np.int64]) -> None:
        self.words, self.number = tuple(words), number

    def __len__(self) -> int:
        return len(self.number)

    @overload
    def __getitem__(self, row: int) -> str: ...

    @overload
    def __getitem__(self, row: slice) -> Words: ...

    def __getitem__(self, row: int | slice) -> str | Words:
        return Words(self.words, self.number[row]) if isinstance(row, slice) else self.words[self.number[row]]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and not isinstance(other, str) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))
