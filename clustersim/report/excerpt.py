"""Which part of a run a trace, a profile or tables hold: some ranks, some replicas, a window of time.

What is left out is never made, where replicas have nothing to do with one another: so the memory that writing takes
follows from what is kept, a few replicas at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from clustersim.analysis.waits import is_one_of
from clustersim.errors import Fault, InputError
from clustersim.ops import COMPUTE
from clustersim.report.quantities import count, picoseconds
from clustersim.trace import Flags, Ints, Trace


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What is asked for of a run; as it stands, all of it.

    Attributes
    ----------
    window_ps
        From when to when; what reaches beyond is cut off there. [ps]
    ranks
        Global ranks.
    every
        Of so many replicas the first is kept.
    max_slices
        Most slices of ops, messages and collectives: replicas are left out, spread evenly, and if one alone has more,
        the window ends earlier; what is under way when it begins stays.
    """

    window_ps: tuple[int, int] | None = None
    ranks: tuple[int, ...] | None = None
    every: int = 1
    max_slices: int | None = None


WHOLE = Excerpt()


class RunPart(NamedTuple):
    """Some replicas of a run, all where replicas are joined."""

    trace: Trace
    rows: Ints  # of each of their ranks: its row among the ranks of the run


@dataclass(frozen=True, slots=True)
class Kept:
    """The part of a run that an excerpt keeps."""

    trace: Trace
    is_kept: Flags  # of each row of Ranks
    window_ps: tuple[int, int] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out."""
        return self.window_ps is None and bool(self.is_kept.all())

    @property
    def span_ps(self) -> tuple[int, int]:
        """From when to when: the window, or the run. [ps]"""
        begin_ps, end_ps = self.window_ps or (0, self.trace.makespan_ps)
        return begin_ps, min(end_ps, self.trace.makespan_ps)

    @property
    def replicas(self) -> Ints:
        """The replicas that kept ranks belong to, in rising order."""
        return np.unique(self.trace.ranks.replica[self.is_kept])

    def parts(self) -> Iterator[RunPart]:
        """Yield the replicas with kept ranks, in rising order."""
        replica, replicas = self.trace.ranks.replica, self.replicas
        if len(replicas) == int(replica.max()) + 1:
            first = 0
            for part in self.trace.parts():
                yield RunPart(part, np.arange(first, first + len(part.ranks)))
                first += len(part.ranks)
            return
        for number in replicas.tolist():
            part = self.trace.of_replicas([number])
            if part is self.trace:
                yield RunPart(part, np.arange(len(replica)))
                return
            yield RunPart(part, np.flatnonzero(replica == number))

    def overlaps(self, start_ps: Ints, end_ps: Ints) -> Flags:
        """Return whether each interval reaches into the window, or begins in it and takes no time."""
        if self.window_ps is None:
            return np.ones(len(start_ps), dtype=np.bool_)
        begin_ps, until_ps = self.window_ps
        return (start_ps < until_ps) & ((end_ps > begin_ps) | (start_ps >= begin_ps))

    def clipped(self, start_ps: Ints, end_ps: Ints) -> tuple[Ints, Ints]:
        """Return what of intervals that reach into the window lies within it. [ps]"""
        if self.window_ps is None:
            return start_ps, end_ps
        return np.maximum(start_ps, self.window_ps[0]), np.minimum(end_ps, self.window_ps[1])

    def num_slices(self) -> Ints:
        """Return how many slices each row of Ranks has, 0 where it is left out."""
        counts = np.zeros(len(self.is_kept), dtype=np.int64)
        for row, _ in self._slices():
            counts += np.bincount(row, minlength=len(counts))
        return counts

    def starts_ps(self) -> Ints:
        """Return when the slices begin, in order. [ps]"""
        return np.sort(np.concatenate([start_ps for _, start_ps in self._slices()]))

    def _slices(self) -> Iterator[tuple[Ints, Ints]]:
        """Yield (row of Ranks, start) of slices, a kind at a time."""
        for part in self.parts():
            for rank_index, start_ps, end_ps in _intervals(part.trace):
                row = part.rows[rank_index]
                shown = np.flatnonzero(self.is_kept[row] & self.overlaps(start_ps, end_ps))
                yield row[shown], self.clipped(start_ps[shown], end_ps[shown])[0]


def keep(trace: Trace, excerpt: Excerpt = WHOLE) -> Kept:
    """Return the part of a run that an excerpt asks for.

    Raises
    ------
    InputError
        There are no such ranks, nothing of the run lies in the window, or nothing is left.
    """
    for name, number in (("every", excerpt.every), ("max_slices", excerpt.max_slices)):
        if number is not None and number < 1:
            raise InputError(Fault(name, f"got {number}; at least 1"))
    if excerpt.window_ps is not None and not 0 <= excerpt.window_ps[0] < min(excerpt.window_ps[1], trace.makespan_ps):
        begin, end, last = map(picoseconds, (*excerpt.window_ps, trace.makespan_ps))
        raise InputError(Fault("window", f"nothing of the run lies from {begin} to {end}; it ends after {last}"))
    kept = Kept(trace, _chosen(trace, excerpt), excerpt.window_ps)
    return kept if excerpt.max_slices is None else _thinned(kept, excerpt.max_slices)


def left_out(kept: Kept) -> str:
    """Return what is kept and of how much, in words; nothing where that is all.

    Examples
    --------
    >>> import clustersim as cs
    >>> trace = cs.simulate("gpipe-4x16").trace
    >>> left_out(keep(trace, Excerpt(window_ps=(10**10, 25 * 10**9), ranks=(0, 1))))
    '9 of 320 slices; 2 of 4 ranks; 10.00 ms to 25.00 ms of 570.0 ms'
    >>> left_out(keep(trace))
    ''
    """
    if kept.is_whole:
        return ""
    numbers = numbers_of(kept)
    said = [f"{count(numbers['slices'])} of {count(numbers['slices_of_run'])} slices"]
    if not kept.is_kept.all():
        said.append(f"{count(numbers['ranks'])} of {count(numbers['ranks_of_run'])} ranks")
    if kept.window_ps is not None:
        begin, end, last = map(picoseconds, (*kept.span_ps, kept.trace.makespan_ps))
        said.append(f"{begin} to {end} of {last}")
    return "; ".join(said)


def numbers_of(kept: Kept) -> dict[str, int]:
    """Return what is kept and of how much, as numbers; slices are those of ops, messages and collectives."""
    everything = replace(kept, is_kept=np.ones_like(kept.is_kept), window_ps=None)
    begin_ps, end_ps = kept.span_ps
    return {
        "slices": int(kept.num_slices().sum()),
        "slices_of_run": int(everything.num_slices().sum()),
        "ranks": int(kept.is_kept.sum()),
        "ranks_of_run": len(kept.is_kept),
        "start_ps": begin_ps,
        "end_ps": end_ps,
        "makespan_ps": kept.trace.makespan_ps,
    }


def computing_rows(trace: Trace) -> Ints:
    """Return the rows of Ops that compute, and take time for it."""
    return np.flatnonzero(is_one_of(trace.ops.kind, COMPUTE) & (trace.ops.end_ps > trace.ops.start_ps))


def members_of(trace: Trace, rows: Ints) -> tuple[Ints, Ints]:
    """Return (row of Collectives, rank_index) of each member of some collectives."""
    members = [np.array(group, dtype=np.int64) for group in trace.groups]
    groups = trace.collectives.group[rows].tolist()
    row = np.repeat(rows, [len(members[group]) for group in groups])
    return row, np.concatenate([np.zeros(0, dtype=np.int64), *(members[group] for group in groups)])


def _intervals(trace: Trace) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Yield (rank_index, start, end) of all that trace viewers show of ranks."""
    ops, sent, collectives = trace.ops, trace.transfers, trace.collectives
    rows = computing_rows(trace)
    yield ops.rank_index[rows], ops.start_ps[rows], ops.end_ps[rows]
    yield sent.source, sent.start_ps, sent.end_ps
    yield sent.destination, sent.start_ps, sent.end_ps
    row, rank_index = members_of(trace, np.arange(len(collectives)))
    yield rank_index, collectives.start_ps[row], collectives.end_ps[row]


def _chosen(trace: Trace, excerpt: Excerpt) -> Flags:
    ranks = trace.ranks
    unknown = sorted({*(excerpt.ranks or ())} - {*ranks.rank.tolist()})
    if unknown:
        what = f"there is no rank {unknown[0]}; the run has {len(ranks)}, 0 to {int(ranks.rank.max())}"
        raise InputError(Fault("ranks", what))
    chosen = np.asarray(ranks.replica % excerpt.every == 0)
    if excerpt.ranks is not None:
        chosen &= np.isin(ranks.rank, excerpt.ranks)
    if not chosen.any():
        raise InputError(
            Fault(
                "ranks",
                f"none of these ranks is of a replica that is kept: 0, and every one of {excerpt.every} after it",
            )
        )
    return chosen


def _thinned(kept: Kept, most: int) -> Kept:
    """Return `kept` with so many replicas that there are at most so many slices, or with an earlier end."""
    counts = kept.num_slices()
    if int(counts.sum()) <= most:
        return kept
    replica, replicas = kept.trace.ranks.replica, kept.replicas
    fitting = most // int(np.bincount(replica, counts).max())
    chosen = replicas[:: -(-len(replicas) // fitting)] if fitting else replicas[:1]
    fewer = replace(kept, is_kept=kept.is_kept & np.isin(replica, chosen))
    if fitting:
        return fewer
    starts_ps, begin_ps = fewer.starts_ps(), kept.span_ps[0]
    return (
        fewer
        if len(starts_ps) <= most
        else replace(fewer, window_ps=(begin_ps, max(int(starts_ps[most]), begin_ps + 1)))
    )
