"""Orders of V schedules from a stable pattern: six units of time that repeat for every micro-batch.

References
----------
Qi et al., "Pipeline Parallelism with Controllable Memory", NeurIPS 2024, sections 3 and 4 (building blocks, and how the
warm-up and the cool-down are reordered without more memory).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from clustersim.ops import Action, Kind, Order, Schedule, Shape
from clustersim.schedules.placement import zigzag_schedule, zigzag_stage

INTERVAL = 6  # two chunks of F, I and W each

# The warm-up goes on two units longer: where p is divisible by three, and the pattern has a gap of two, it saves one.
_SETTLING = 2

# Unit times of one micro-batch on a rank: F of chunks 0 and 1, then I of chunks 1 and 0; W takes what is left.
Offsets = tuple[int, int, int, int]


def pattern_schedule(name: str, shape: Shape, offsets: Sequence[Offsets]) -> Schedule:
    """Return the V schedule that repeats ``offsets[pp_rank]`` every six units, its two ends drawn together.

    The steady state is the pattern itself. In the warm-up (up to rank 0's first I of chunk 0) and the cool-down (from
    its last F of chunk 0 on), each op in turn moves to the earliest free unit that its inputs and the pattern's peak
    of memory allow. W always fills free units, the oldest first.
    """
    p, m = shape.num_ranks, shape.num_microbatches
    grids = [_Grid(_pattern_cells(p, rank, m, offsets[rank])) for rank in range(p)]
    limit = max(grid.peak() for grid in grids)
    steady = range(offsets[0][3] + _SETTLING, INTERVAL * (m - 1))
    ends: dict[Action, int] = {}
    for time, rank in sorted((time, rank) for rank, grid in enumerate(grids) for time in grid.times()):
        grid = grids[rank]
        action = grid.action(time)
        if time not in steady:
            earliest = max((ends[needed] for needed in _needed_before(action, 2 * p - 1)), default=0)
            time = grid.moved_ahead(time, earliest, limit)
        ends[action] = time + 1
    return zigzag_schedule(name, shape, tuple(grid.order() for grid in grids))


def _pattern_cells(num_ranks: int, rank: int, num_microbatches: int, offsets: Offsets) -> list[Action | None]:
    down, back = zigzag_stage(num_ranks, 0, rank), zigzag_stage(num_ranks, 1, rank)
    ops = ((Kind.F, down), (Kind.F, back), (Kind.I, back), (Kind.I, down))
    cells: list[Action | None] = [None] * (offsets[3] + INTERVAL * (num_microbatches - 1) + 1)
    for microbatch in range(num_microbatches):
        for (kind, stage), offset in zip(ops, offsets, strict=True):
            cells[offset + INTERVAL * microbatch] = Action(kind, stage, microbatch)
    return cells


def _needed_before(action: Action, last_stage: int) -> Iterator[Action]:
    """Yield the inputs of an action, and the same action of the micro-batch before: a stage takes them in order."""
    kind, stage, microbatch = action
    if microbatch > 0:
        yield Action(kind, stage, microbatch - 1)
    if kind is Kind.F:
        if stage > 0:
            yield Action(Kind.F, stage - 1, microbatch)
    elif stage < last_stage:
        yield Action(Kind.I, stage + 1, microbatch)
    else:
        yield Action(Kind.F, stage, microbatch)


class _Grid:
    """The units of time of one rank: F and I where they are put, W wherever a unit is left."""

    def __init__(self, cells: list[Action | None]) -> None:
        self._cells = cells
        # before each unit: activations alive from the start of F to the end of W, and W that could run
        self._states: list[tuple[int, int]] = [(0, 0)] * len(cells)
        self._states = self._walk(0, len(cells))

    def times(self) -> list[int]:
        return [time for time, action in enumerate(self._cells) if action]

    def action(self, time: int) -> Action:
        action = self._cells[time]
        if action is None:
            raise LookupError(f"unit {time} is free")
        return action

    def peak(self) -> int:
        """Return the most activations that are alive at once."""
        return max(live for live, _ in self._states)

    def moved_ahead(self, time: int, earliest: int, limit: int) -> int:
        """Move an action to the earliest free unit that keeps the peak within `limit`; return where it stands then."""
        cells = self._cells
        for target in range(earliest, time):
            if cells[target] is None:
                cells[target], cells[time] = cells[time], None
                states = self._walk(target, time)
                if max(live for live, _ in states) <= limit:
                    self._states[target : target + len(states)] = states
                    return target
                cells[target], cells[time] = None, cells[target]
        return time

    def _walk(self, first: int, last_changed: int) -> list[tuple[int, int]]:
        """Return the states from unit `first` on, until they agree with the known ones again."""
        live, pending = self._states[first]
        states = []
        for time in range(first, len(self._cells)):
            if time > last_changed and self._states[time] == (live, pending):
                break
            states.append((live, pending))
            action = self._cells[time]
            if action is None:
                done = min(pending, 1)
                live, pending = live - done, pending - done
            elif action.kind is Kind.F:
                live += 1
            else:
                pending += 1
        return states

    def order(self) -> Order:
        order: list[Action] = []
        weights: deque[Action] = deque()
        for action in self._cells:
            if action:
                order.append(action)
                if action.kind is Kind.I:
                    weights.append(action._replace(kind=Kind.W))
            elif weights:
                order.append(weights.popleft())
        return (*order, *weights)
