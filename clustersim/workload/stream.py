"""Schedules without a flush: the micro-batches of all steps as one stream, with weight updates in the middle of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from clustersim.errors import ScheduleError
from clustersim.ops import Kind, Messages, Pipeline, Program, Schedule
from clustersim.workload.calls import calls_by_step
from clustersim.workload.rows import Row


def microbatches_per_step(schedule: Schedule, num_steps: int) -> int:
    """Return how many of a schedule's micro-batches belong to each of the steps that are run.

    Raises
    ------
    ScheduleError
        A stream was made for another number of steps.
    """
    shape = schedule.shape
    if not schedule.flush and (shape.num_steps != num_steps or shape.num_microbatches % num_steps):
        raise ScheduleError(
            f"{schedule.name}: a stream of {shape.num_microbatches} micro-batches in {shape.num_steps} steps "
            f"can't be run as {num_steps} steps"
        )
    return shape.num_microbatches // shape.num_steps


def with_updates(schedule: Schedule, rows: Sequence[Row], update: Callable[[], list[Row]], per_step: int) -> list[Row]:
    """Return the `rows` of a rank with an `update` after every backward, or after the last one of each step.

    A rank takes its backwards in the order of micro-batches, so that the last one of a step is that of its last
    micro-batch.
    """
    result: list[Row] = []
    for row in rows:
        result.append(row)
        ends_step = row.microbatch % per_step == per_step - 1
        if row.kind is Kind.B and (ends_step or schedule.optimizer_after == "microbatch"):
            result += update()
    return result


def numbered_by_step(pipeline: Pipeline, per_step: int) -> Pipeline:
    """Return a lowered stream with its micro-batches numbered anew in each step, `per_step` of them."""
    programs = tuple(_program_by_step(program, per_step) for program in pipeline.programs)
    return replace(
        pipeline,
        programs=programs,
        messages=_messages_by_step(pipeline.messages, per_step),
        calls=calls_by_step(pipeline.calls, programs, per_step),
    )


def _program_by_step(program: Program, per_step: int) -> Program:
    steps: list[int] = []
    for microbatch in program.microbatches:
        steps.append(microbatch // per_step if microbatch >= 0 else steps[-1])  # an update follows its backward
    return replace(program, steps=tuple(steps), microbatches=_within_step(program.microbatches, per_step))


def _messages_by_step(messages: Messages, per_step: int) -> Messages:
    return replace(
        messages,
        steps=tuple(microbatch // per_step for microbatch in messages.microbatches),
        microbatches=_within_step(messages.microbatches, per_step),
    )


def _within_step(microbatches: Sequence[int], per_step: int) -> tuple[int, ...]:
    return tuple(microbatch % per_step if microbatch >= 0 else microbatch for microbatch in microbatches)
