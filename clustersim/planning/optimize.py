"""The best order of one training step: proven for small shapes, or else the best found with how far off it may be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from clustersim.analysis.bound import makespan_bound_ps
from clustersim.errors import Fault, ScenarioError
from clustersim.limits import Limits
from clustersim.ops import Action, CostedSchedule, Kind, Plugin, Schedule, Shape, StageCosts
from clustersim.planning.order_model import OrderProblem, search_order
from clustersim.result import Result
from clustersim.scenario.load import vary
from clustersim.scenario.spec import Scenario
from clustersim.scenario.units import PS_PER_S
from clustersim.simulation import costed_schedules, simulate
from clustersim.workload.host_gap import host_gap_ps

OPTIMUM_SCHEMA = "clustersim/optimize/1"
_NAME = "optimized"


@dataclass(frozen=True, slots=True)
class Optimum:
    """The best order that was found, simulated, and what no order of the same ops can beat."""

    schedule: Schedule
    result: Result
    bound_ps: int

    @property
    def proven(self) -> bool:
        """Whether no order is better."""
        return self.result.trace.makespan_ps == self.bound_ps

    @property
    def gap(self) -> float | None:
        """Makespan over the bound, less one."""
        return self.result.trace.makespan_ps / self.bound_ps - 1 if self.bound_ps else None

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``optimize --json``, but for the order."""
        return {
            "schema": OPTIMUM_SCHEMA,
            "makespan_s": self.result.makespan_s,
            "span_s": self.result.span_s,
            "proven": self.proven,
            "bound_s": self.bound_ps / PS_PER_S,
            "gap": self.gap,
        }


def optimize(scenario: Scenario, time_limit_s: float = 60.0, limits: Limits | None = None) -> Optimum:
    """Return the order of one training step with the smallest makespan that is found within a time limit.

    The stages stay where the scenario's schedule places them, B is parted where the costs part it, and the limit of the
    schedule holds. The search takes links as free; what it found is then simulated as it is, and it counts as proven
    only if the simulation keeps to the bound.

    Parameters
    ----------
    scenario
        A loaded scenario; of several steps one is looked at.
    time_limit_s
        Wall time of the search. [s]
    limits
        Budgets of each simulation.

    Raises
    ------
    ScenarioError
        Replicas or micro-batches of different sizes, a schedule without a flush, overlapped pairs, or host gaps.
    ClustersimError
        OR-tools is not installed.
    """
    scenario = vary(scenario, {"steps": 1})
    costed = costed_schedules(scenario)
    _require_alike(scenario, costed)
    brought = vary(scenario, {"schedule": {"plugin": _NAME}})
    barrier = scenario.runtime.optimizer_barrier
    bound_ps = max(makespan_bound_ps(replica, optimizer_barrier=barrier) for replica in costed)
    first = costed[0]
    known = simulate(_start(scenario, first), limits=limits)
    best = Optimum(_schedule_in(known, first), known, bound_ps)
    if best.proven:
        return best
    problem = OrderProblem(first, scenario.has_split_backward, barrier)
    found = search_order(problem, _starts_ps(known), bound_ps, known.trace.makespan_ps, time_limit_s)
    best = replace(best, bound_ps=max(bound_ps, found.bound_ps))
    if found.orders is None:
        return best
    schedule = replace(first.schedule, name=_NAME, orders=found.orders)
    result = simulate(brought, limits=limits, plugins={_NAME: _always(schedule)})
    return Optimum(schedule, result, best.bound_ps) if result.makespan_s < known.makespan_s else best


def _require_alike(scenario: Scenario, costed: Sequence[CostedSchedule]) -> None:
    schedule = costed[0].schedule
    faults = []
    if not schedule.flush:
        faults.append(Fault("schedule", f"{schedule.name} has no flush: there is no single step to order"))
    if any(replica.last_fraction < 1 or replica.num_microbatches != costed[0].num_microbatches for replica in costed):
        hint = "take a global_batch_size that micro_batch_size * dp divides"
        faults.append(Fault("batch", "replicas or micro-batches differ in size; optimize orders equal ones", hint=hint))
    if any(cost.forward_backward_ps < cost.forward_ps + cost.backward_ps for cost in costed[0].costs):
        what = "shorter than forward and backward together; optimize does not order overlapped pairs"
        faults.append(Fault("stage_costs.forward_backward", what))
    if scenario.has_split_backward and host_gap_ps(scenario):
        what = "optimize orders I and W apart, and with a gap a whole backward has one op less"
        faults.append(Fault("runtime.host_gap", what, hint="set it to 0 us"))
    if scenario.runtime.p2p == "blocking":
        faults.append(Fault("runtime.p2p", "optimize orders asynchronous messages", hint="use `p2p: asynchronous`"))
    if faults:
        raise ScenarioError(faults)


def _start(scenario: Scenario, costed: CostedSchedule) -> Scenario:
    """Return the scenario under the schedule from which the search begins: the best known one for its placement."""
    schedule = costed.schedule
    has_one_stage_a_rank = schedule.rank_by_stage == tuple(range(len(schedule.orders)))
    if schedule.shape.limit or not has_one_stage_a_rank or not scenario.has_split_backward:
        return scenario
    return vary(scenario, {"schedule": {"name": "zb-auto", "limit": {"microbatches": costed.num_microbatches[0]}}})


def _starts_ps(result: Result) -> dict[Action, int]:
    """Return when the first replica starts each op; a backward is told in both forms, whole and parted."""
    starts_ps: dict[Action, int] = {}
    for _, action, start_ps in _first_replica(result):
        if action.kind is Kind.F or action.kind is Kind.W:
            starts_ps[action] = start_ps
        else:  # a recomputation comes first, and belongs to the backward
            for kind in (Kind.B, Kind.I):
                starts_ps.setdefault(action._replace(kind=kind), start_ps)
    return starts_ps


def _schedule_in(result: Result, costed: CostedSchedule) -> Schedule:
    """Return the order in which the first replica ran."""
    orders: list[list[Action]] = [[] for _ in costed.schedule.orders]
    for pp_rank, action, _ in _first_replica(result):
        if action.kind is not Kind.RECOMPUTE:
            orders[pp_rank].append(action)
    return replace(costed.schedule, name=_NAME, orders=tuple(map(tuple, orders)))


def _first_replica(result: Result) -> Iterator[tuple[int, Action, int]]:
    """Yield pp_rank, op and start of everything that belongs to a stage."""
    ops, ranks = result.trace.ops, result.trace.ranks
    columns = (ops.rank_index, ops.kind, ops.stage, ops.microbatch, ops.start_ps)
    for rank, kind, stage, microbatch, start_ps in zip(*(column.tolist() for column in columns), strict=True):
        if not ranks.replica[rank] and stage >= 0:
            yield int(ranks.pp_rank[rank]), Action(Kind(kind), stage, microbatch), start_ps


def _always(schedule: Schedule) -> Plugin:
    def function(_shape: Shape, _costs: Sequence[StageCosts] | None) -> Schedule:
        return schedule

    return function
