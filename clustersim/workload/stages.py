"""The stages of a scenario: the schedule that orders them, what they cost, and what they hold for the whole run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from clustersim.errors import Fault, OrderError, ScenarioError, ScheduleError, nearest
from clustersim.ops import Kind, Plugin, Policy, Schedule, Shape, StageCosts, StaticBytes, actions_in
from clustersim.scenario.costs import RankCosts
from clustersim.scenario.devices import Device
from clustersim.scenario.order_file import OrderFile, read_order
from clustersim.scenario.spec import Scenario
from clustersim.schedules.brought import plugin_schedule, require_shape
from clustersim.schedules.policies import POLICIES
from clustersim.schedules.table import build_schedule
from clustersim.workload.explicit import both_replicas, listed_stage_costs, placed_stage_costs, uniform_stage_costs
from clustersim.workload.host_gap import host_gap_ps, with_host_gap
from clustersim.workload.model_costs import model_costs


def stage_costs(scenario: Scenario, device: Device | None = None) -> tuple[StageCosts, ...]:
    """Return ``costs[stage]`` of a scenario; with a plugin, which has yet to place its stages, as in a loop.

    The times of a model follow from `device`, or else from the topology's.
    """
    given, parallelism, rules = scenario.stage_costs, scenario.parallelism, scenario.schedule.rules
    if given is None:
        costs = model_costs(scenario, rules.num_listed_stages(parallelism.pp, parallelism.vpp), device)
    elif isinstance(given, RankCosts):
        num_chunks = 1 if rules.is_bidirectional else rules.chunks.num_chunks(parallelism.vpp)
        costs = uniform_stage_costs(given, parallelism.pp, num_chunks)
    else:
        costs = listed_stage_costs(given.stages)
    costs = with_host_gap(costs, host_gap_ps(scenario, device))
    return both_replicas(costs) if rules.is_bidirectional else costs


def costs_on(scenario: Scenario, schedule: Schedule, devices: Sequence[Device | None]) -> tuple[StageCosts, ...]:
    """Return ``costs[stage]`` of a scenario under `schedule`, each stage on the device of its rank.

    Parameters
    ----------
    devices
        ``devices[pp_rank]``; None: the topology's.
    """
    by_device = {device: costs_of(scenario, schedule, device) for device in dict.fromkeys(devices)}
    return tuple(by_device[devices[rank]][stage] for stage, rank in enumerate(schedule.rank_by_stage))


def costs_of(scenario: Scenario, schedule: Schedule, device: Device | None = None) -> tuple[StageCosts, ...]:
    """Return ``costs[stage]`` of a scenario under `schedule`, which says where its stages live.

    The times of a model follow from `device`, or else from the topology's.

    Raises
    ------
    ScenarioError
        An order that a user brought has other stages than those that have costs, or parts I from W without costs.
    """
    if scenario.schedule.name is not None:
        return stage_costs(scenario, device)
    given, num_listed = scenario.stage_costs, len(schedule.chains[0])
    if not scenario.has_split_backward and _parts_backward(schedule):
        where = "profile" if given is None else "stage_costs.backward"
        what = f"{schedule.name} runs the two halves of the backward apart, and this gives only their sum"
        raise ScenarioError(Fault(where, what, hint="give `input_grad` and `weight_grad` in its place"))
    if given is None:
        costs = model_costs(scenario, num_listed, device) * len(schedule.chains)
    elif isinstance(given, RankCosts):
        costs = placed_stage_costs(given, schedule.rank_by_stage, schedule.chains)
    elif len(given.stages) == num_listed:
        costs = listed_stage_costs(given.stages) * len(schedule.chains)
    else:
        what = f"{len(given.stages)} stages; {schedule.name} has {num_listed} in a chain"
        raise ScenarioError(Fault("stage_costs.stages", what))
    return with_host_gap(costs, host_gap_ps(scenario, device))


def _parts_backward(schedule: Schedule) -> bool:
    """Return whether any backward is run as I and W."""
    return any(
        action.kind in (Kind.I, Kind.W) for order in schedule.orders for slot in order for action in actions_in(slot)
    )


def runs_halves_only(schedule: Schedule) -> bool:
    """Return whether every backward is run as I and W."""
    kinds = {action.kind for order in schedule.orders for slot in order for action in actions_in(slot)}
    return Kind.B not in kinds and Kind.I in kinds


def schedule_of(
    scenario: Scenario,
    num_microbatches: int,
    plugins: Mapping[str, Plugin] | None = None,
    costs: Sequence[StageCosts] | None = None,
) -> Schedule:
    """Return the schedule of a replica with so many micro-batches a step.

    A schedule that looks at costs sees `costs`, or else the scenario's own, in which messages take no time.

    Raises
    ------
    ScenarioError
        The schedule refuses the shape (the message names its rule), or a plugin is not bound, or failed.
    """
    choice, parallelism = scenario.schedule, scenario.parallelism
    num_steps = scenario.steps if choice.rules.is_continuous else 1
    torch_rounds = choice.rounds == "torch"
    shape = Shape(
        parallelism.pp,
        num_microbatches * num_steps,
        parallelism.vpp,
        choice.group_size,
        torch_rounds,
        choice.moe_overlap,
        num_steps,
        limit=choice.limit.as_op_limit() if choice.limit else None,
    )
    costs = stage_costs(scenario) if costs is None else costs
    try:
        if choice.csv is not None:
            schedule = order_of(scenario).schedule
            require_shape(schedule, shape)
            return schedule
        if choice.plugin is not None:
            function = _bound(choice.plugin, plugins or {})
            return plugin_schedule(choice.label, function, shape, costs)
        if choice.policy is not None:
            return build_schedule(_base_of_policy(scenario), shape)
        return build_schedule(choice.label, shape, costs)
    except OrderError as error:
        raise ScenarioError(error.faults) from error
    except ScheduleError as error:
        raise ScenarioError(Fault("schedule", str(error))) from error


def policy_of(scenario: Scenario) -> Policy | None:
    """Return the online policy of a scenario, if its order is made by one."""
    choice = scenario.schedule
    if choice.policy is None:
        return None
    return POLICIES[choice.policy](choice.limit.microbatches if choice.limit else None)


def _base_of_policy(scenario: Scenario) -> str:
    """Return the schedule whose ops a policy orders anew: with the backward parted where its halves are known."""
    return "interleaved-zb" if scenario.has_split_backward else "interleaved-1f1b"


def order_of(scenario: Scenario) -> OrderFile:
    """Return the order in the scenario's CSV file, as it was when the scenario was loaded."""
    origin = scenario.loaded_from
    return origin.order if origin and origin.order else read_order(scenario.schedule, Path())


def _bound(name: str, plugins: Mapping[str, Plugin]) -> Plugin:
    if name not in plugins:
        hint = f"bind it: --plugin {name}=module:function, or simulate(..., plugins={{'{name}': function}})"
        near = nearest(name, list(plugins))
        raise ScenarioError(Fault("schedule.plugin", f"no plugin is bound as '{name}'", hint=f"{near} {hint}".strip()))
    return plugins[name]


def static_bytes(
    schedule: Schedule, costs: Sequence[StageCosts], framework_bytes: int = 0, buffers_bytes: int | None = None
) -> tuple[StaticBytes, ...]:
    """Return what each rank holds of weights, gradients and optimizer state, buffers, and `framework_bytes`.

    The two replicas of a bidirectional schedule both keep their weights; gradients and optimizer state of a stage are
    shared between the two ranks that hold it, half each, rounded up. Versions of weights are all counted. The stages of
    a rank share buffers as large as the largest of them needs, or `buffers_bytes`.
    """
    num_copies = len(schedule.chains)
    totals, buffers = [[0, 0, 0] for _ in schedule.orders], [0] * len(schedule.orders)
    for stage, rank in enumerate(schedule.rank_by_stage):
        totals[rank][0] += costs[stage].weights_bytes
        totals[rank][1] += costs[stage].gradients_bytes
        totals[rank][2] += costs[stage].optimizer_bytes
        buffers[rank] = max(buffers[rank], costs[stage].buffers_bytes)
    versions = schedule.weight_versions or (1,) * len(totals)
    return tuple(
        StaticBytes(
            weights * num_versions,
            -(-gradients // num_copies),
            -(-optimizer // num_copies),
            held if buffers_bytes is None else buffers_bytes,
            framework_bytes,
        )
        for (weights, gradients, optimizer), num_versions, held in zip(totals, versions, buffers, strict=True)
    )
