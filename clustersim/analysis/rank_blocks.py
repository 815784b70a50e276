"""The ranks of a trace a few at a time, for what follows from their own ops and from what arrived for them.

So nothing of the size of all ops is made on the way, and what is looked at stays in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np

from clustersim.trace import Ints, Ops, Ranks, Trace

_OPS_OF_A_BLOCK = 2**17


def rank_blocks(trace: Trace) -> Iterator[Trace]:
    """Yield a trace a few ranks at a time, in their order; one that is small, as it is."""
    first_op = trace.ranks.first_op
    if len(trace.ops) <= _OPS_OF_A_BLOCK:
        yield trace
        return
    first, num_ranks = 0, len(trace.ranks)
    while first < num_ranks:
        end = int(np.searchsorted(first_op, first_op[first] + _OPS_OF_A_BLOCK, side="right")) - 1
        end = min(max(end, first + 1), num_ranks)
        yield of_ranks(trace, first, end)
        first = end


def of_ranks(trace: Trace, first: int, end: int) -> Trace:
    """Return the trace of some ranks: these and their ops are numbered from 0, and all else is that of the whole."""
    copies = trace.copies
    return replace(
        trace,
        ranks=_ranks(trace.ranks, first, end),
        ops=_ops(trace, first, end),
        split=None,
        shared=None if trace.shared is None else trace.once(f"ranks {first} to {end}", lambda _: dict[str, Any]()),
        copies=None if copies is None else replace(copies, ranks=copies.ranks[first:end]),
    )


def _ranks(ranks: Ranks, first: int, end: int) -> Ranks:
    own = {column.name: getattr(ranks, column.name)[first:end] for column in fields(ranks)}
    return Ranks(**own | {"first_op": ranks.first_op[first : end + 1] - ranks.first_op[first]})


def _ops(trace: Trace, first: int, end: int) -> Ops:
    ops, first_op = trace.ops, trace.ranks.first_op[first : end + 1]
    rows = slice(int(first_op[0]), int(first_op[-1]))

    def own(name: str) -> Callable[[], Ints]:
        return lambda: getattr(ops, name)[rows]

    def first_of(name: str) -> Callable[[], Ints]:
        return lambda: getattr(ops, name)[rows.start : rows.stop + 1] - getattr(ops, name)[rows.start]

    def joined(name: str, first_name: str) -> Callable[[], Ints]:
        return lambda: getattr(ops, name)[slice(*getattr(ops, first_name)[[rows.start, rows.stop]].tolist())]

    columns = {column.name: own(column.name) for column in fields(ops)}
    for name, first_name in (("needs", "first_need"), ("awaits", "first_await"), ("joins", "first_join")):
        columns |= {name: joined(name, first_name), first_name: first_of(first_name)}
    return Ops.made_by(**columns | {"rank_index": lambda: np.repeat(np.arange(end - first), np.diff(first_op))})
