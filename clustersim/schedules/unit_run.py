"""A schedule run in units of time: the picture that papers draw, and whether it can be run to its end at all."""

from __future__ import annotations

from collections.abc import Callable

from clustersim.errors import DeadlockError
from clustersim.ops import Action, Kind, Schedule, Slot, actions_in
from clustersim.schedules.window import render_window


def unit_starts(schedule: Schedule, units: Callable[[Slot], int] = lambda _slot: 1) -> list[list[int]]:
    """Return ``starts[pp_rank][position]`` when every slot lasts one unit, or ``units(slot)``, and messages take none.

    It is the picture that papers draw, and it exists only if no ranks wait for one another in a circle.

    Raises
    ------
    DeadlockError
        Ranks wait for one another for ever.
    """
    run = _UnitRun(schedule, units)
    run.run_to_end()
    if any(len(starts) < len(order) for starts, order in zip(run.starts, schedule.orders, strict=True)):
        raise run.cycle()
    return run.starts


class _UnitRun:
    """Runs every rank as far as its inputs allow, until none can go on."""

    def __init__(self, schedule: Schedule, units: Callable[[Slot], int]) -> None:
        self.schedule, self.units = schedule, units
        previous, following = schedule.neighbours()
        self.upstream = {Kind.F: previous, Kind.B: following, Kind.I: following}
        self.size = schedule.shape.num_microbatches
        self.ends = [-1] * (2 * schedule.num_stages * self.size)
        self.starts: list[list[int]] = [[] for _ in schedule.orders]

    def key(self, is_forward: bool, stage: int, microbatch: int) -> int:
        return (2 * stage + is_forward) * self.size + microbatch

    def run_to_end(self) -> None:
        waiting: dict[int, int] = {}
        ready = list(range(len(self.schedule.orders) - 1, -1, -1))
        while ready:
            rank = ready.pop()
            if (blocked_by := self._advance(rank, waiting, ready)) >= 0:
                waiting[blocked_by] = rank

    def _advance(self, rank: int, waiting: dict[int, int], ready: list[int]) -> int:
        """Run one rank on; return what it waits for, or -1 at its end."""
        ends, starts, size, order = self.ends, self.starts[rank], self.size, self.schedule.orders[rank]
        clock = starts[-1] + self.units(order[len(starts) - 1]) if starts else 0
        for position in range(len(starts), len(order)):
            actions = actions_in(order[position])
            for kind, stage, microbatch in actions:
                if kind is Kind.W or (source := self.upstream[kind][stage]) < 0:
                    continue
                key = (2 * source + (kind is Kind.F)) * size + microbatch
                if ends[key] < 0:
                    return key
                clock = max(clock, ends[key])
            starts.append(clock)
            clock += self.units(order[position])
            for kind, stage, microbatch in actions:
                if kind is not Kind.W:
                    key = (2 * stage + (kind is Kind.F)) * size + microbatch
                    ends[key] = clock
                    if key in waiting:
                        ready.append(waiting.pop(key))
        return -1

    def cycle(self) -> DeadlockError:
        """Return the error that walks from a stuck rank to the rank that it waits for, until one comes twice."""
        orders, starts = self.schedule.orders, self.starts
        rank = next(rank for rank, order in enumerate(orders) if len(starts[rank]) < len(order))
        visited: list[int] = []
        sentences: list[str] = []
        while rank not in visited:
            visited.append(rank)
            slot = orders[rank][len(starts[rank])]
            kind, source, microbatch = next(need for action in actions_in(slot) for need in self._unmet(action))
            owner = self.schedule.rank_by_stage[source]
            sentences.append(f"rank {rank} at {slot} waits for {source}{kind.name}{microbatch} on rank {owner}")
            rank = owner
        circle = ", which is stuck: ".join(sentences[visited.index(rank) :])
        grid = render_window(self.schedule, rank, len(starts[rank]))
        return DeadlockError(f"{self.schedule.name}: the order can't run to its end: {circle}\n{grid}")

    def _unmet(self, action: Action) -> list[Action]:
        if action.kind is Kind.W or (source := self.upstream[action.kind][action.stage]) < 0:
            return []
        key = self.key(action.kind is Kind.F, source, action.microbatch)
        return [action._replace(stage=source)] if self.ends[key] < 0 else []
