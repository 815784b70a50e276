"""What would make a job fit in memory: changes that do, found by trying them, and what they cost in time.

Whether a change fits is read off its programs; only those that are worth telling are simulated, one replica for all.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from clustersim.errors import ClustersimError, InvariantError
from clustersim.limits import Limits
from clustersim.ops import Plugin
from clustersim.planning.fit_changes import Change, changes_of
from clustersim.result import FitAdvice, Result
from clustersim.scenario.load import vary
from clustersim.scenario.spec import Scenario
from clustersim.scenario.units import PS_PER_S
from clustersim.simulation import peak_bytes_by_rank, simulate_representatives

NUM_ADVICE = 3
_MOST_COMBINED = 6  # families whose changes are tried together, those that save most
_MOST_TOGETHER = 3  # changes of one combination
_MOST_OF_FAMILIES = 16  # combinations of the changes of given families
_MOST_TIMED = 8  # changes or combinations of each size that are simulated


@dataclass(frozen=True, slots=True)
class _Tried:
    """Changes made together, and the peak that the job has with them. [bytes]"""

    changes: tuple[Change, ...]
    peak_bytes: int

    @property
    def families(self) -> tuple[str, ...]:
        """What they are changes of."""
        return tuple(sorted(change.family for change in self.changes))


def with_advice(result: Result, limits: Limits | None = None, plugins: Mapping[str, Plugin] | None = None) -> Result:
    """Return `result` with what would make its job fit; as it is if it fits, or nobody knows the capacity."""
    memory = result.memory
    if memory.fits is not False or memory.capacity_bytes is None or result.scenario.loaded_from is None:
        return result
    advice = fit_advice(result.scenario, memory.capacity_bytes, limits, plugins)
    return replace(result, memory=replace(memory, advice=advice))


def fit_advice(
    scenario: Scenario,
    capacity_bytes: int,
    limits: Limits | None = None,
    plugins: Mapping[str, Plugin] | None = None,
) -> tuple[FitAdvice, ...]:
    """Return up to three changes with which `scenario` fits into `capacity_bytes`, the shortest step first.

    Single changes come before combinations of two, and those before three; of several of one family (three ZeRO
    stages, say) only the fastest is told.

    Notes
    -----
    Step times are those of :func:`simulate_representatives`, with the change and without it, so that they compare. The
    batch and the number of GPUs stay.
    """
    search = _Search(scenario, capacity_bytes, limits, plugins)
    base_s = search.step_time_s(())
    if base_s is None:
        return ()
    found: list[FitAdvice] = []
    for tried in search.fitting():
        timed = [(time_s, one) for one in tried if (time_s := search.step_time_s(one.changes)) is not None]
        best: dict[tuple[str, ...], tuple[float, _Tried]] = {}
        for time_s, one in sorted(timed, key=lambda entry: (entry[0], entry[1].peak_bytes)):
            best.setdefault(one.families, (time_s, one))
        found += [_advice(one, time_s, base_s) for time_s, one in best.values()]
        if len(found) >= NUM_ADVICE:
            break
    return tuple(found[:NUM_ADVICE])


def _advice(tried: _Tried, step_time_s: float, base_s: float) -> FitAdvice:
    return FitAdvice(_values(tried.changes), tried.peak_bytes, step_time_s, step_time_s / base_s - 1 if base_s else 0.0)


def _values(changes: Iterable[Change]) -> dict[str, object]:
    return {key: value for change in changes for key, value in change.values.items()}


class _Search:
    """Tries changes of one scenario."""

    def __init__(
        self,
        scenario: Scenario,
        capacity_bytes: int,
        limits: Limits | None,
        plugins: Mapping[str, Plugin] | None,
    ) -> None:
        self._scenario, self._capacity_bytes = scenario, capacity_bytes
        self._limits, self._plugins = limits, plugins

    def fitting(self) -> Iterator[list[_Tried]]:
        """Yield the changes that fit: single ones, then combinations of two, of three."""
        singles = [tried for change in changes_of(self._scenario) if (tried := self._try((change,)))]
        yield self._that_fit(singles)
        families: dict[str, list[Change]] = {}
        for one in sorted(singles, key=lambda one: one.peak_bytes):
            if not self._fits(one):
                families.setdefault(one.families[0], []).append(one.changes[0])
        enough: list[set[str]] = []  # families that suffice together: with others they are not tried again
        for size in range(2, _MOST_TOGETHER + 1):
            fitting: list[_Tried] = []
            for names in itertools.combinations(list(families)[:_MOST_COMBINED], size):
                if not any(some <= set(names) for some in enough):
                    fitting += (found := self._together([families[name] for name in names]))
                    enough += [set(names)] if found else []
            yield self._that_fit(fitting)

    def _together(self, families: Sequence[Sequence[Change]]) -> list[_Tried]:
        """Return what fits of one change of each family; nothing if the leanest of all do not."""
        leanest, *others = itertools.product(*families)
        first = self._try(leanest)
        if first is None or not self._fits(first):
            return []
        chosen = others[:: max(1, -(-len(others) // _MOST_OF_FAMILIES))]
        tried = (self._try(changes) for changes in chosen)
        return [first, *(one for one in tried if one and self._fits(one))]

    def step_time_s(self, changes: Sequence[Change]) -> float | None:
        """Return how long a step takes with `changes`, None if it can't be run. [s]"""
        try:
            trace = simulate_representatives(self._varied(changes), limits=self._limits, plugins=self._plugins)
        except InvariantError:
            raise
        except ClustersimError:
            return None
        return trace.makespan_ps / (PS_PER_S * trace.num_steps)

    def _that_fit(self, tried: Iterable[_Tried]) -> list[_Tried]:
        return sorted((one for one in tried if self._fits(one)), key=lambda one: -one.peak_bytes)[:_MOST_TIMED]

    def _fits(self, tried: _Tried) -> bool:
        return tried.peak_bytes <= self._capacity_bytes

    def _varied(self, changes: Sequence[Change]) -> Scenario:
        return vary(self._scenario, _values(changes)) if changes else self._scenario

    def _try(self, changes: tuple[Change, ...]) -> _Tried | None:
        """Return `changes` with the peak that they lead to; None where the job can't be so."""
        try:
            return _Tried(changes, max(peak_bytes_by_rank(self._varied(changes), self._plugins)))
        except InvariantError:
            raise
        except ClustersimError:
            return None
