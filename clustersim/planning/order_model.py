"""The search for the best order as a constraint problem, solved by OR-tools' CP-SAT.

Every F, I and W (or F and B) is an interval; a rank does one at a time, inputs come first, and what is alive stays
within the limit. Micro-batches are alike, so that each stage may take them in order: sorted, any other schedule starts
every op no later than its inputs allow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clustersim.errors import ClustersimError
from clustersim.footprint import Footprint
from clustersim.ops import Action, CostedSchedule, Kind, Order

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import CpModel, CpSolver, IntervalVar, IntVar

# Searches that take turns on one thread give the same answer every time.
_NUM_SEARCHES = 8
_ROUNDING = 1e-3  # the solver tells its whole-numbered bound as a float


@dataclass(frozen=True, slots=True)
class OrderProblem:
    """What is to be ordered: the ops of one training step, with their times, their ranks and the room on them."""

    costed: CostedSchedule
    parts_backward: bool  # into I and W
    optimizer_barrier: bool

    def duration_ps(self, action: Action) -> int:
        """Return how long an op occupies its rank, a recomputation before it included. [ps]"""
        cost = self.costed.costs[action.stage]
        return {
            Kind.F: cost.forward_ps,
            Kind.B: cost.recompute_ps + cost.backward_ps,
            Kind.I: cost.recompute_ps + cost.input_grad_ps,
            Kind.W: cost.weight_grad_ps,
        }[action.kind]

    def actions(self) -> Iterator[Action]:
        """Yield every op."""
        kinds = (Kind.F, Kind.I, Kind.W) if self.parts_backward else (Kind.F, Kind.B)
        for number, chain in zip(self.costed.num_microbatches, self.costed.schedule.chains, strict=True):
            for stage in chain:
                for microbatch in range(number):
                    yield from (Action(kind, stage, microbatch) for kind in kinds)

    def inputs(self, action: Action) -> Iterator[tuple[Action, int]]:
        """Yield the ops that must end before `action` may start, each with the time that its message takes. [ps]"""
        kind, stage, microbatch = action
        previous, following = self.costed.schedule.neighbours()
        costs = self.costed.costs
        if microbatch:
            yield Action(kind, stage, microbatch - 1), 0
        if kind is Kind.F and previous[stage] >= 0:
            yield Action(kind, previous[stage], microbatch), costs[previous[stage]].forward_hop_ps
        elif kind is Kind.W:
            yield Action(Kind.I, stage, microbatch), 0
        elif kind is not Kind.F:
            yield Action(Kind.F, stage, microbatch), 0
            if following[stage] >= 0:
                yield Action(kind, following[stage], microbatch), costs[following[stage]].backward_hop_ps

    def updates_ps(self) -> list[int]:
        """Return what follows the last op of each rank: its optimizer step, or with a barrier the longest one. [ps]"""
        updates = [0] * len(self.costed.schedule.orders)
        for stage, rank in enumerate(self.costed.schedule.rank_by_stage):
            updates[rank] += self.costed.costs[stage].optimizer_ps
        return [max(updates)] * len(updates) if self.optimizer_barrier else updates


@dataclass(frozen=True, slots=True)
class FoundOrder:
    """The best order found, None for none, and what no order of these ops can beat. [ps]"""

    orders: tuple[Order, ...] | None
    bound_ps: int


def search_order(
    problem: OrderProblem, hints_ps: Mapping[Action, int], bound_ps: int, makespan_ps: int, time_limit_s: float
) -> FoundOrder:
    """Return the best order that `time_limit_s` is enough for.

    Parameters
    ----------
    problem
        The ops.
    hints_ps
        When each op starts in a schedule that is known. [ps]
    bound_ps, makespan_ps
        What no order can beat, and what the known schedule takes. [ps]
    time_limit_s
        Wall time. [s]

    Raises
    ------
    ClustersimError
        OR-tools is not installed.
    """
    try:
        from ortools.sat.python import cp_model
    except ImportError as error:
        what = "optimize needs OR-tools, which is not installed; run: pip install 'clustersim[optimize]'"
        raise ClustersimError(what) from error
    model = _Model(cp_model.CpModel(), problem, bound_ps, makespan_ps)
    model.add_hints(hints_ps)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = time_limit_s
    solver.parameters.num_workers = _NUM_SEARCHES
    solver.parameters.interleave_search = True
    status = solver.solve(model.model)
    proven_ps = max(bound_ps, math.ceil(solver.best_objective_bound - _ROUNDING) * model.unit_ps)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return FoundOrder(None, bound_ps if status == cp_model.UNKNOWN else makespan_ps)
    return FoundOrder(model.orders(solver), proven_ps)


class _Model:
    """The constraint problem; times are counted in their greatest common divisor."""

    def __init__(self, model: CpModel, problem: OrderProblem, bound_ps: int, makespan_ps: int) -> None:
        self.model, self.problem = model, problem
        self.actions = list(problem.actions())
        hops = [hop_ps for action in self.actions for _, hop_ps in problem.inputs(action)]
        times = [problem.duration_ps(action) for action in self.actions] + hops + problem.updates_ps()
        self.unit_ps = math.gcd(*times) or 1
        self.horizon = makespan_ps // self.unit_ps
        self.starts: dict[Action, IntVar] = {
            action: model.new_int_var(0, self.horizon - self._length(action), str(action)) for action in self.actions
        }
        self.makespan = model.new_int_var(-(-bound_ps // self.unit_ps), self.horizon, "makespan")
        self._add_inputs()
        self._add_ranks()
        if problem.costed.room:
            for stage, footprint in enumerate(problem.costed.room):
                self._add_memory(stage, footprint)
        model.minimize(self.makespan)

    def _length(self, action: Action) -> int:
        return self.problem.duration_ps(action) // self.unit_ps

    def _end(self, action: Action) -> Any:
        return self.starts[action] + self._length(action)

    def _add_inputs(self) -> None:
        for action in self.actions:
            for needed, hop_ps in self.problem.inputs(action):
                self.model.add(self.starts[action] >= self._end(needed) + hop_ps // self.unit_ps)

    def _add_ranks(self) -> None:
        rank_by_stage = self.problem.costed.schedule.rank_by_stage
        for rank, update_ps in enumerate(self.problem.updates_ps()):
            mine = [action for action in self.actions if rank_by_stage[action.stage] == rank]
            self.model.add_no_overlap(
                self.model.new_fixed_size_interval_var(self.starts[action], self._length(action), str(action))
                for action in mine
            )
            for action in mine:
                self.model.add(self.makespan >= self._end(action) + update_ps // self.unit_ps)

    def _add_memory(self, stage: int, footprint: Footprint) -> None:
        """What a micro-batch takes changes at the end of F, at the start of its backward, and at the end of I."""
        backward_kind = Kind.I if self.problem.parts_backward else Kind.B
        unit = math.gcd(footprint.activation, footprint.kept, footprint.weight_grad) or 1
        alive: list[IntervalVar] = []
        demands: list[int] = []
        for forward in (action for action in self.actions if action.stage == stage and action.kind is Kind.F):
            backward = forward._replace(kind=backward_kind)
            times = [self.starts[forward], self._end(forward), self.starts[backward], self._end(backward)]
            taken = [footprint.activation, footprint.kept, footprint.activation]
            if self.problem.parts_backward:
                times.append(self._end(forward._replace(kind=Kind.W)))
                taken.append(footprint.weight_grad)
            for number, demand in enumerate(taken):
                name = f"{forward} {number}"
                length = self.model.new_int_var(0, self.horizon, name)
                alive.append(self.model.new_interval_var(times[number], length, times[number + 1], name))
                demands.append(demand // unit)
        self.model.add_cumulative(alive, demands, footprint.limit // unit)

    def add_hints(self, hints_ps: Mapping[Action, int]) -> None:
        """Tell the search where a known schedule starts each op."""
        for action, start in self.starts.items():
            if action in hints_ps:
                self.model.add_hint(start, hints_ps[action] // self.unit_ps)

    def orders(self, solver: CpSolver) -> tuple[Order, ...]:
        """Return the order of every rank in the solution."""
        schedule = self.problem.costed.schedule

        def place(action: Action) -> tuple[int, int, int, int]:
            start = solver.value(self.starts[action])
            stage = action.stage if action.kind is Kind.F else -action.stage
            return start, start + self._length(action), action.kind, stage

        orders: list[list[Action]] = [[] for _ in schedule.orders]
        for action in sorted(self.actions, key=place):
            orders[schedule.rank_by_stage[action.stage]].append(action)
        return tuple(map(tuple, orders))
