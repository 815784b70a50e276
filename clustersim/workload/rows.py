"""Rows of one step, and how steps in a row become the columns of a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from clustersim.ops import Action, Kind, Program


class OpCost(NamedTuple):
    """What one row costs."""

    duration_ps: int
    start_bytes: int  # memory taken when it starts
    end_bytes: int  # memory change when it ends


NO_COST = OpCost(0, 0, 0)


class Row(NamedTuple):
    """One row of a rank's step; the columns of :class:`~clustersim.ops.Program` are made of these."""

    kind: Kind
    stage: int = -1
    microbatch: int = -1
    cost: OpCost | tuple[int, int, int] = NO_COST
    waits_for: tuple[int, ...] = ()
    sends: tuple[int, ...] = ()
    backward: Action | None = None
    joins: tuple[int, ...] = ()  # calls of the rank, numbered within a step
    awaits: tuple[int, ...] = ()


class Numbering(NamedTuple):
    """How messages and calls of a step are numbered on from one step to the next."""

    messages_per_step: int
    calls_per_step: int = 0
    first_call: int = 0  # of this rank


def as_program(rows: Sequence[Row], num_steps: int, numbering: Numbering) -> Program:
    """Return the program that does `rows` in every step, with the messages and calls of each step numbered on."""
    kinds, stages, microbatches, costs, waits_for, sends, backwards, joins, awaits = zip(*rows, strict=True)
    durations_ps, start_bytes, end_bytes = zip(*costs, strict=True)
    return Program(
        kinds * num_steps,
        stages * num_steps,
        microbatches * num_steps,
        tuple(step for step in range(num_steps) for _ in rows),
        durations_ps * num_steps,
        _numbered_on(waits_for, num_steps, numbering.messages_per_step),
        _numbered_on(sends, num_steps, numbering.messages_per_step),
        start_bytes * num_steps,
        end_bytes * num_steps,
        {
            step * len(rows) + number: backward
            for step in range(num_steps)
            for number, backward in enumerate(backwards)
            if backward is not None
        },
        _numbered_on(joins, num_steps, numbering.calls_per_step, numbering.first_call),
        _numbered_on(awaits, num_steps, numbering.calls_per_step, numbering.first_call),
    )


def _numbered_on(
    batches: tuple[tuple[int, ...], ...], num_steps: int, per_step: int, first: int = 0
) -> tuple[tuple[int, ...], ...]:
    numbered: list[tuple[int, ...]] = []
    for step in range(num_steps):
        offset = first + step * per_step
        numbered += [tuple([number + offset for number in batch]) if batch else batch for batch in batches]
    return tuple(numbered)
