"""Shards: parts of a sweep that machines run without knowing of one another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from clustersim.errors import Fault, InputError

_WRITTEN = re.compile(r"(\d{1,9})/(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Shard:
    """Every `number`-th point from the `index`-th on, counted from 1: neighbours, which take as long, are dealt out."""

    index: int
    number: int

    @classmethod
    def parsed(cls, text: str) -> Self:
        """Return the shard that ``i/N`` names.

        Examples
        --------
        >>> Shard.parsed("2/3").positions(8)
        range(1, 8, 3)
        >>> Shard.parsed("0/3")
        Traceback (most recent call last):
        clustersim.errors.InputError: error: shard: got '0/3'; a shard is i/N, from 1/N to N/N, such as 1/4
        """
        match = _WRITTEN.fullmatch(text.strip())
        index, number = map(int, match.groups()) if match else (0, 0)
        if not 1 <= index <= number:
            raise InputError(Fault("shard", f"got {text!r}; a shard is i/N, from 1/N to N/N, such as 1/4"))
        return cls(index, number)

    def positions(self, num_points: int) -> range:
        """Return the positions of its points."""
        return range(self.index - 1, num_points, self.number)
