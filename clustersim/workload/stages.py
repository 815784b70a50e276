"""The stages of a scenario: the schedule that orders them, what they cost, and what they hold for the whole run."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.errors import Fault, ScenarioError, ScheduleError
from clustersim.ops import Schedule, Shape, StageCosts, StaticBytes
from clustersim.scenario.costs import RankCosts
from clustersim.scenario.spec import Scenario
from clustersim.schedules.table import build_schedule
from clustersim.workload.explicit import both_replicas, listed_stage_costs, uniform_stage_costs


def stage_costs(scenario: Scenario) -> tuple[StageCosts, ...]:
    """Return ``costs[stage]`` of a scenario."""
    given, parallelism, rules = scenario.stage_costs, scenario.parallelism, scenario.schedule.rules
    if isinstance(given, RankCosts):
        num_chunks = 1 if rules.is_bidirectional else rules.chunks.num_chunks(parallelism.vpp)
        costs = uniform_stage_costs(given, parallelism.pp, num_chunks)
    else:
        costs = listed_stage_costs(given.stages)
    return both_replicas(costs) if rules.is_bidirectional else costs


def schedule_of(scenario: Scenario, num_microbatches: int) -> Schedule:
    """Return the schedule of a replica with so many micro-batches.

    Raises
    ------
    ScenarioError
        The schedule refuses the shape; the message names its rule.
    """
    choice, parallelism = scenario.schedule, scenario.parallelism
    torch_rounds = choice.rounds == "torch"
    shape = Shape(parallelism.pp, num_microbatches, parallelism.vpp, choice.group_size, torch_rounds)
    try:
        return build_schedule(choice.name, shape, stage_costs(scenario))
    except ScheduleError as error:
        raise ScenarioError(Fault("schedule", str(error))) from error


def static_bytes(schedule: Schedule, costs: Sequence[StageCosts]) -> tuple[StaticBytes, ...]:
    """Return what each rank holds of weights, gradients and optimizer state.

    The two replicas of a bidirectional schedule both keep their weights; gradients and optimizer state of a stage are
    shared between the two ranks that hold it, half each, rounded up.
    """
    num_copies = len(schedule.chains)
    totals = [[0, 0, 0] for _ in schedule.orders]
    for stage, rank in enumerate(schedule.rank_by_stage):
        totals[rank][0] += costs[stage].weights_bytes
        totals[rank][1] += costs[stage].gradients_bytes
        totals[rank][2] += costs[stage].optimizer_bytes
    return tuple(
        StaticBytes(weights, -(-gradients // num_copies), -(-optimizer // num_copies))
        for weights, gradients, optimizer in totals
    )
