"""Links that are made when they are looked at, for fabrics that have too many to keep."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import overload

from clustersim.topology.cluster import Ints, Link


class LinkSequence(Sequence[Link]):
    """A sequence of links of which each is made by its number; slices follow from that."""

    __slots__ = ()

    @abstractmethod
    def link(self, index: int) -> Link:
        """Return the link of a number between 0 and the length, the latter left out."""

    def alike(self, numbers: Ints) -> Ints:
        """Return, for each link, the first one that is known to be like it, between like nodes: maybe itself."""
        return numbers

    @overload
    def __getitem__(self, index: int) -> Link: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Link]: ...
    def __getitem__(self, index: int | slice) -> Link | Sequence[Link]:
        numbers = range(len(self))[index]
        return tuple(map(self.link, numbers)) if isinstance(numbers, range) else self.link(numbers)
