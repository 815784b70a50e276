"""The calls that a rank makes to its groups, numbered while its rows are made, and then as columns of a pipeline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from clustersim.ops import Calls, Kind, Program


class Call(NamedTuple):
    """One call: a collective of a group, or several equal ones in a row."""

    axis: str
    operation: str
    size_bytes: int
    num_repeats: int
    kind: Kind  # the op that it belongs to; OPTIMIZER for a step's gradients and weights
    stage: int
    microbatch: int = -1


class RankCalls:
    """The calls of one rank in a step."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def __len__(self) -> int:
        return len(self.calls)

    def add(self, call: Call) -> int:
        """Return the number, within the step, of a further call."""
        self.calls.append(call)
        return len(self.calls) - 1


def columns_of_calls(books: Sequence[RankCalls], programs: Sequence[Program], num_steps: int) -> Calls:
    """Return the calls of all ranks and steps, each with the row that makes it and the row that waits for it."""
    step_calls = [(rank, call) for rank, book in enumerate(books) for call in book.calls]
    calls = [call for _, call in step_calls] * num_steps
    orders, producers, consumers = ([-1] * len(calls) for _ in range(3))
    for program in programs:
        seen: Counter[str] = Counter()
        for row, (joins, awaits) in enumerate(zip(program.joins, program.awaits, strict=True)):
            for number in joins:
                axis = calls[number].axis
                producers[number], orders[number] = row, seen[axis]
                seen[axis] += 1
            for number in awaits:
                consumers[number] = row
    axes, operations, sizes_bytes, num_repeats, kinds, stages, microbatches = (
        zip(*calls, strict=True) if calls else [()] * len(Call._fields)
    )
    return Calls(
        axes,
        operations,
        sizes_bytes,
        num_repeats,
        kinds,
        stages,
        microbatches,
        tuple(step for step in range(num_steps) for _ in step_calls),
        tuple(rank for rank, _ in step_calls) * num_steps,
        tuple(orders),
        tuple(producers),
        tuple(consumers),
    )


def calls_by_step(calls: Calls, programs: Sequence[Program], per_step: int) -> Calls:
    """Return the calls of a stream, whose rows have been given to steps of `per_step` micro-batches."""
    places = list(zip(calls.pp_ranks, calls.producers, strict=True))
    return replace(
        calls,
        steps=tuple(programs[rank].steps[row] for rank, row in places),
        microbatches=tuple(number % per_step if number >= 0 else number for number in calls.microbatches),
    )
