"""The one checker of all schedules: every order is complete, lives on the right rank, and can be run to its end."""

from __future__ import annotations

from clustersim.errors import ScheduleError
from clustersim.ops import Action, Kind, Order, Schedule, actions_in
from clustersim.schedules.certificate import can_be_run
from clustersim.schedules.places import Places
from clustersim.schedules.unit_run import unit_starts
from clustersim.schedules.window import render_window

# What a stage has done with a micro-batch, and what each action makes of it: F, then B, or I and W.
_NOTHING, _FORWARD, _INPUT_GRAD, _DONE = range(4)
_AFTER = {
    (_NOTHING, Kind.F): _FORWARD,
    (_FORWARD, Kind.B): _DONE,
    (_FORWARD, Kind.I): _INPUT_GRAD,
    (_INPUT_GRAD, Kind.W): _DONE,
}


def check_schedule(schedule: Schedule, places: Places | None = None) -> None:
    """Raise if an order could not be trained with.

    Each micro-batch of a stage has exactly one F, then exactly one B, or one I and one W after it, on the rank where
    the stage lives; and the ranks, each in its own order, never wait for one another in a circle.

    Parameters
    ----------
    schedule
        The schedule.
    places
        What its actions wait for and make, if there is something that finds it: then a schedule without faults is done
        with sooner.

    Raises
    ------
    ScheduleError
        An action is missing, doubled, misplaced or out of order; the message shows the rank x step grid with it marked.
    DeadlockError
        Ranks wait for one another for ever; the message names the cycle.
    """
    if places is not None and can_be_run(places):
        return
    num_microbatches = [0] * schedule.num_stages
    for chain, number in zip(schedule.chains, microbatches_by_chain(schedule), strict=True):
        for stage in chain:
            num_microbatches[stage] = number
    states = [bytearray(number) for number in num_microbatches]
    for rank, order in enumerate(schedule.orders):
        _check_rank(schedule, rank, order, states)
    for stage, state in enumerate(states):
        for microbatch in range(len(state)):
            if state[microbatch] != _DONE:
                raise _missing(schedule, stage, microbatch, state[microbatch])
    unit_starts(schedule)


def microbatches_by_chain(schedule: Schedule) -> list[int]:
    """Return how many micro-batches pass each chain: all of them, or as the two directions of the orders share them.

    Raises
    ------
    ScheduleError
        The two directions together have more or fewer micro-batches than the shape.
    """
    m = schedule.shape.num_microbatches
    if len(schedule.chains) == 1:
        return [m]
    chain_by_stage = {stage: number for number, chain in enumerate(schedule.chains) for stage in chain}
    numbers = [0] * len(schedule.chains)
    for order in schedule.orders:
        for slot in order:
            for _, stage, microbatch in actions_in(slot):
                if (chain := chain_by_stage.get(stage)) is not None:
                    numbers[chain] = max(numbers[chain], microbatch + 1)
    if sum(numbers) != m:
        shares = " + ".join(map(str, numbers))
        raise ScheduleError(f"{schedule.name}: the directions have {shares} micro-batches; {m} are to be run")
    return numbers


def _check_rank(schedule: Schedule, rank: int, order: Order, states: list[bytearray]) -> None:
    rank_by_stage, num_stages = schedule.rank_by_stage, schedule.num_stages
    for cell, slot in enumerate(order):
        for action in actions_in(slot):
            kind, stage, microbatch = action
            if not 0 <= stage < num_stages or rank_by_stage[stage] != rank:
                raise _fault(schedule, rank, cell, f"{action} is on rank {rank}, but stage {stage} does not live there")
            state = states[stage]
            if not 0 <= microbatch < len(state):
                what = f"{action}: stage {stage} has micro-batches 0 to {len(state) - 1} only"
                raise _fault(schedule, rank, cell, what)
            after = _AFTER.get((state[microbatch], kind))
            if after is None:
                raise _fault(schedule, rank, cell, _out_of_order(action, state[microbatch]))
            state[microbatch] = after


def _out_of_order(action: Action, state: int) -> str:
    kind, stage, microbatch = action
    if state == _NOTHING:
        return f"{action} comes before its forward {stage}F{microbatch}"
    if state == _FORWARD and kind is Kind.W:
        return f"{action} comes before its input gradient {stage}I{microbatch}"
    return f"{action} repeats work that stage {stage} has already done"


def _missing(schedule: Schedule, stage: int, microbatch: int, state: int) -> ScheduleError:
    absent = {
        _NOTHING: f"{stage}F{microbatch} is missing",
        _FORWARD: f"{stage}B{microbatch} (or its I and W) is missing",
        _INPUT_GRAD: f"{stage}W{microbatch} is missing",
    }
    return _fault(schedule, schedule.rank_by_stage[stage], None, absent[state])


def _fault(schedule: Schedule, rank: int, cell: int | None, what: str) -> ScheduleError:
    where = f"rank {rank}" if cell is None else f"rank {rank}, step {cell}"
    shown = len(schedule.orders[rank]) if cell is None else cell
    return ScheduleError(f"{schedule.name}: {where}: {what}\n{render_window(schedule, rank, shown)}")
