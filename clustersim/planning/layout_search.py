"""The fastest layout of a job, found without simulating all: bounds from quick ones to exact times, best first.

Every layout stands in one queue under the best bound that is known for it. The lowest is taken and looked at more
closely: from a quick bound of a whole family, over one of its own, the path through its order, and the simulation of
one replica alone, to that of the whole job. None of these is above the next. So once a layout that was simulated as a
whole stands first, every other one takes as long at least. The search then goes on among the layouts of other shapes,
until one of these stands first: recomputation and ZeRO make no other shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, NamedTuple

from clustersim.planning.layout_bounds import Bounds
from clustersim.planning.layout_work import Simulated, Workers
from clustersim.planning.layouts import RECOMPUTES, Frame, Layout, LayoutShape, Space, frames, variants
from clustersim.workload.alone import OrderKey

_FIRST_BATCH = 64
_BATCH = 512  # layouts whose paths are found at once: they share orders


@dataclass(slots=True)
class Counts:
    """What became of the layouts of a search."""

    legal: int = 0
    too_large: int = 0  # of those that were looked at, the ones that do not fit in memory
    evaluated: int = 0  # whose path was found
    alone: int = 0  # of these, simulated with one replica alone
    simulated: int = 0  # of these, simulated as a whole
    refused: int = 0  # of the evaluated ones, those that a simulation refused to run
    refusal: str = ""  # why, for the first of these

    def plus(self, other: Counts) -> Counts:
        """Return the counts of both searches together."""
        numbers = (name for name in self.__slots__ if name != "refusal")
        sums = {name: getattr(self, name) + getattr(other, name) for name in numbers}
        return Counts(**sums, refusal=self.refusal or other.refusal)

    @property
    def pruned(self) -> int:
        """Layouts that were not evaluated: too large, or proven to be no faster than the best."""
        return self.legal - self.evaluated

    @property
    def outrun(self) -> int:
        """Layouts of which a bound says that they are no faster than the best."""
        return self.pruned - self.too_large


class Candidate(NamedTuple):
    """A layout whose path was found, and the peak of its memory. [ps, bytes]"""

    step_ps: int
    peak_bytes: int
    layout: Layout


@dataclass(slots=True)
class Found:
    """The outcome of a search."""

    counts: Counts
    best: list[Simulated]  # those with the shortest step, of equal ones the leanest first
    others: list[Simulated]  # of the layouts of other shapes than the best, those with the shortest step
    candidates: list[Candidate]  # that fit in memory, by their times
    leanest: tuple[int, Layout] | None  # if none fits, the lowest peak, and the layout that has it


class _Family(NamedTuple):
    """Layouts of a frame that differ in their ZeRO stage, but not in their times."""

    frame: Frame
    recompute: str
    zero_stages: tuple[int, ...]


_FRAME, _FAMILY, _PATH, _ALONE, _DONE = range(5)
_BOUND, _SHALLOW, _EXACT = range(3)  # what is known of the peak of a layout's memory


class Search:
    """One search, on all GPUs of one cluster.

    Parameters
    ----------
    space
        What is searched.
    workers
        Evaluate paths and simulations, several at a time.
    capacity_bytes
        Memory of a GPU; None: nobody knows.
    """

    def __init__(self, space: Space, workers: Workers, capacity_bytes: int | None) -> None:
        self.space, self.workers, self.capacity_bytes = space, workers, capacity_bytes
        self.bounds = Bounds(workers.own.alone)
        self.counts = Counts()
        self._too_large: list[tuple[int, Layout]] = []
        self._queue: list[tuple[int, int, int, Any]] = []  # bound, number, level, what it is the bound of
        self._numbers = count()
        self._candidates: list[Candidate] = []
        self._known_ps: int | None = None  # the shortest step of those that were simulated
        self._shape: LayoutShape | None = None  # of the best, once it is known: the search is then for other ones

    def run(self) -> Found:
        """Return the fastest layouts, and the fastest ones of other shapes."""
        recomputes = self.space.allowed("recompute", RECOMPUTES)
        lightest = min(recomputes, key=RECOMPUTES.index)
        for frame in frames(self.space):
            self.counts.legal += len(variants(self.space, frame))
            self._push(self.bounds.step_ps(frame, lightest, is_sharded=False, coarse=True), _FRAME, frame)
        best = self._first()
        others: list[Simulated] = []
        if best:
            self._shape, self._known_ps = best[0].layout.shape, None
            others = [one for one in best if one.layout.shape != self._shape] or self._first()
        return Found(self.counts, best, others, sorted(self._candidates), self._leanest())

    def _first(self) -> list[Simulated]:
        """Return the fastest of what is in the queue, of equal ones the leanest first."""
        found: list[Simulated] = []
        while self._queue and not (found and self._queue[0][0] > found[0].makespan_ps):
            level, what = self._queue[0][2:]
            if self._shape is not None and _shape_of(what) == self._shape:
                heappop(self._queue)
            elif level == _DONE:
                found.append(heappop(self._queue)[3])
            elif level == _ALONE:
                self._simulate_whole()
            elif level == _PATH:
                self._simulate_alone()
            else:
                self._find_paths()
        return sorted(found, key=lambda one: one[:3])

    def _push(self, bound_ps: int, level: int, what: Any) -> None:
        heappush(self._queue, (bound_ps, next(self._numbers), level, what))

    def _find_paths(self) -> None:
        """Find the paths of the layouts with the lowest bounds, a batch of them: many share an order."""
        known_ps = self._known_ps
        if known_ps is None:
            searched = (one for one in self._candidates if one.layout.shape != self._shape)
            known_ps = min((one.step_ps for one in searched), default=None)
        size = _FIRST_BATCH if known_ps is None else _BATCH
        limit_ps = None if known_ps is None else max(known_ps, self._queue[0][0])  # the first one is taken in any case
        batch: list[Layout] = []
        while self._queue and len(batch) < size and (limit_ps is None or self._queue[0][0] <= limit_ps):
            level, what = self._queue[0][2:]
            if level not in (_FRAME, _FAMILY):
                break
            heappop(self._queue)
            if _shape_of(what) == self._shape:
                continue
            if level == _FRAME:
                self._push_families(what)
            else:
                batch += self._that_may_fit(what)
        self._estimate(batch)

    def _push_families(self, frame: Frame) -> None:
        families: dict[tuple[str, bool], list[int]] = {}
        for recompute, zero_stage in variants(self.space, frame):
            families.setdefault((recompute, zero_stage == 3), []).append(zero_stage)
        for (recompute, is_sharded), zero_stages in families.items():
            family = _Family(frame, recompute, tuple(zero_stages))
            self._push(self.bounds.step_ps(frame, recompute, is_sharded), _FAMILY, family)

    def _that_may_fit(self, family: _Family) -> Iterator[Layout]:
        for zero_stage in family.zero_stages:
            layout = family.frame.layout(family.recompute, zero_stage)
            peak_bytes = self.bounds.peak_bytes(family.frame, family.recompute, zero_stage)
            if self.capacity_bytes is None or peak_bytes <= self.capacity_bytes:
                yield layout
            else:
                self.counts.too_large += 1
                self._note_peak(peak_bytes, layout)

    def _estimate(self, batch: Sequence[Layout]) -> None:
        by_order: dict[OrderKey, list[Layout]] = {}
        usual, samples = self.space.parallelism, self.space.global_batch_size
        for layout in batch:
            by_order.setdefault(layout.alternative(usual).order(samples), []).append(layout)
        groups = sorted(by_order.items(), key=lambda entry: -entry[0].num_ops)  # the longest first, for even loads
        for (_, layouts), estimates in zip(groups, self.workers.call("estimates", groups), strict=True):
            for layout, estimate in zip(layouts, estimates, strict=True):
                if estimate.step_ps is None:
                    self.counts.too_large += 1
                    self._note_peak(estimate.peak_bytes, layout)
                    continue
                self.counts.evaluated += 1
                candidate = Candidate(estimate.step_ps, estimate.peak_bytes, layout)
                self._candidates.append(candidate)
                self._push(estimate.step_ps, _PATH, candidate)

    def _simulate_alone(self) -> None:
        """Simulate one replica of each of the layouts that stand first."""
        taken = self._taken(_PATH, self.workers.num_jobs)
        found = self.workers.call("alone_ps", [(one.layout,) for one in taken])
        for candidate, time_ps in zip(taken, found, strict=True):
            if isinstance(time_ps, str):
                self.counts.refused += 1
                self.counts.refusal = self.counts.refusal or time_ps
                continue
            self.counts.alone += 1
            self._known_ps = time_ps if self._known_ps is None else min(self._known_ps, time_ps)
            self._push(time_ps, _ALONE, candidate)

    def _simulate_whole(self) -> None:
        taken = self._taken(_ALONE, self.workers.num_jobs)
        found = self.workers.call("simulated", [(one.layout,) for one in taken])
        for simulated in found:
            self.counts.simulated += 1
            self._push(simulated.makespan_ps, _DONE, simulated)

    def _taken(self, level: int, most: int) -> list[Candidate]:
        taken: list[Candidate] = []
        while self._queue and self._queue[0][2] == level and len(taken) < most:
            candidate = heappop(self._queue)[3]
            if candidate.layout.shape != self._shape:
                taken.append(candidate)
        return taken

    def _note_peak(self, peak_bytes: int, layout: Layout) -> None:
        """Note what a layout holds at least that does not fit, in case that none does."""
        if not self._candidates:
            self._too_large.append((peak_bytes, layout))

    def _leanest(self) -> tuple[int, Layout] | None:
        """Return the layout with the lowest peak, if none fits in memory. [bytes]"""
        if self._candidates or not self._too_large:
            return None
        queue = [(peak_bytes, _BOUND, layout) for peak_bytes, layout in self._too_large]
        heapify(queue)
        while True:
            peak_bytes, level, layout = heappop(queue)
            if level == _EXACT:
                return peak_bytes, layout
            exact = level == _SHALLOW
            peak_bytes = self.workers.own.peak_bytes(layout, exact)
            heappush(queue, (peak_bytes, _EXACT if exact else _SHALLOW, layout))


def _shape_of(what: Frame | _Family | Candidate | Simulated) -> LayoutShape:
    """Return the shape of whatever stands in the queue."""
    if isinstance(what, Frame):
        return what.shape
    return what.frame.shape if isinstance(what, _Family) else what.layout.shape
