"""Runs of actions, made all at once."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat

from clustersim.ops import Action, Kind


def actions(kind: Kind, stage: int, microbatches: Iterable[int]) -> list[Action]:
    """Return the same action for several micro-batches.

    Examples
    --------
    >>> from clustersim.ops import Kind
    >>> " ".join(map(str, actions(Kind.F, 2, range(3))))
    '2F0 2F1 2F2'
    """
    # What Action(...) does, without a call in Python for each.
    return list(map(tuple.__new__, repeat(Action), zip(repeat(kind), repeat(stage), microbatches, strict=False)))
