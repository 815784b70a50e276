"""The rows of one rank in one step, one by one: what its ops are, and what surrounds them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from clustersim.ops import Action, Kind, Schedule, Slot, StageCosts, actions_in
from clustersim.workload.calls import RankCalls
from clustersim.workload.data_parallel import DataParallel, closing_rows, with_gathers, with_reductions
from clustersim.workload.group_rows import GroupOptions
from clustersim.workload.opcost import OpCosts
from clustersim.workload.rows import Row
from clustersim.workload.stream import with_updates


@dataclass(frozen=True, slots=True)
class StepOptions:
    """What surrounds the schedule in each training step."""

    num_steps: int = 1
    optimizer_barrier: bool = True
    blocking: bool = False
    groups: GroupOptions = field(default_factory=GroupOptions)
    data_parallel: DataParallel | None = None  # None: there is one replica only


def stages_by_rank(schedule: Schedule) -> list[list[int]]:
    """Return the stages of each rank."""
    stages: list[list[int]] = [[] for _ in range(len(schedule.orders))]  # orders may have yet to be made
    for stage, rank in enumerate(schedule.rank_by_stage):
        stages[rank].append(stage)
    return stages


def rows_of_ops(order: Iterable[Slot], awaited: Iterable[int], sent: Iterable[int], op_costs: OpCosts) -> list[Row]:
    """Return the rows of a rank's ops, recomputations before their backwards.

    Parameters
    ----------
    order
        Slots of the rank.
    awaited, sent
        Message that each of their actions waits for, and sends; -1: none.
    op_costs
        What they cost.
    """
    rows: list[Row] = []
    messages = zip(awaited, sent, strict=False)
    for slot in order:
        waits: tuple[int, ...] = ()
        sends: tuple[int, ...] = ()
        for kind, stage, microbatch in actions_in(slot):
            coming, going = next(messages)
            needs = (coming,) if coming >= 0 else ()
            if kind in (Kind.B, Kind.I) and op_costs.has_recompute[stage]:
                # Recomputation is part of the backward: it starts when the gradient is there.
                rows.append(Row(Kind.RECOMPUTE, stage, microbatch, op_costs.recompute(stage, microbatch), needs))
            else:
                waits += needs
            if going >= 0:
                sends += (going,)
        if isinstance(slot, Action):
            rows.append(Row(slot.kind, slot.stage, slot.microbatch, op_costs.action(slot), waits, sends))
        else:
            _, stage, microbatch = slot.forward
            rows.append(Row(Kind.FB, stage, microbatch, op_costs.overlap(slot), waits, sends, slot.backward))
    return rows


def with_update(
    schedule: Schedule,
    stages: Sequence[int],
    rows: Sequence[Row],
    costs: Sequence[StageCosts],
    options: StepOptions,
    per_step: int,
    calls: RankCalls,
) -> list[Row]:
    """Return the rows of a rank with what makes its weights new: reductions, the barrier, the optimizer, gathers.

    Parameters
    ----------
    schedule
        The schedule.
    stages
        Stages of the rank.
    rows
        Rows of its ops.
    costs
        ``costs[stage]``.
    options
        What surrounds the schedule.
    per_step
        Micro-batches of a step.
    calls
        Those of the rank, to which further ones are added.
    """
    duration_ps = schedule.update_ps(stages, costs)
    update = [Row(Kind.OPTIMIZER, cost=(duration_ps, 0, 0))] if duration_ps else []
    if not schedule.flush:

        def updated() -> list[Row]:
            return closing_rows(stages, schedule, costs, update, options.data_parallel, calls, beside=False)

        return with_updates(schedule, rows, updated, per_step)
    barrier = [Row(Kind.BARRIER)] if options.optimizer_barrier else []
    reduced, reductions = with_reductions(rows, stages, costs, options.data_parallel, calls)
    gathered = with_gathers(reduced, stages, costs, options.data_parallel, calls)
    closing = closing_rows(stages, schedule, costs, [*barrier, *update], options.data_parallel, calls, reductions)
    return [*gathered, *closing]
