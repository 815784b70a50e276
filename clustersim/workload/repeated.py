"""One step of a pipeline, in arrays, run several times."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clustersim.columns import CallColumns, Lists, Numbers, PipelineColumns


def repeated(step: PipelineColumns, calls: CallColumns, num_steps: int) -> tuple[PipelineColumns, CallColumns]:
    """Return the columns of all steps: each rank's, one after the other; messages and calls are numbered on."""
    if num_steps == 1:
        return step, calls
    lengths = np.diff(step.first_op)
    ranks = [np.arange(first, first + length) for first, length in zip(step.first_op, lengths, strict=False)]
    order = np.concatenate([np.tile(rows, num_steps) for rows in ranks])  # rows of a step, as they follow in all steps
    number = np.concatenate([np.repeat(np.arange(num_steps), length) for length in lengths])
    first_op = step.first_op * num_steps

    def in_all_steps(row: Numbers, rank: Numbers) -> Numbers:
        within = row - step.first_op[rank]
        return np.concatenate([first_op[rank] + n * lengths[rank] + within for n in range(num_steps)])

    messages = {
        name: np.tile(getattr(step, name), num_steps)
        for name in ("sent_kind", "sent_microbatch", "source", "destination", "size_bytes")
    }
    rows = {
        name: getattr(step, name)[order]
        for name in (
            "kind",
            "stage",
            "microbatch",
            "duration_ps",
            "start_bytes",
            "end_bytes",
            "backward_stage",
            "backward_microbatch",
        )
    }
    columns = PipelineColumns(
        first_op,
        step=number,
        needs=_numbered_on(step.needs, order, number * step.num_messages),
        sends=_numbered_on(step.sends, order, number * step.num_messages),
        joins=_numbered_on(step.joins, order, number * len(calls.axis)),
        awaits=_numbered_on(step.awaits, order, number * len(calls.axis)),
        sent_step=np.repeat(np.arange(num_steps), step.num_messages),
        producer=in_all_steps(step.producer, step.source),
        consumer=in_all_steps(step.consumer, step.destination),
        **messages,
        **rows,
    )
    return columns, _repeated_calls(calls, lengths, num_steps)


def _numbered_on(lists: Lists, order: Numbers, offset: Numbers) -> Lists:
    """Return the lists of some rows, with the numbers of each so much higher."""
    if lists.known_only is not None:
        only = lists.known_only[order]
        return Lists.of_only(np.where(only >= 0, only + offset, -1))
    taken = lists.taken(order)
    return Lists(taken.count, taken.joined + np.repeat(offset, taken.count))


def _repeated_calls(calls: CallColumns, lengths: Numbers, num_steps: int) -> CallColumns:
    """Return the calls of all steps, given how many rows each rank has in one."""
    place = calls.axis + len(calls.axes) * calls.pp_rank
    per_step = np.bincount(place, minlength=1)[place]  # calls of the same rank on the same axis
    step = np.repeat(np.arange(num_steps), len(place))

    def tiled(column: Numbers) -> Numbers:
        return np.tile(column, num_steps)

    return replace(
        calls,
        axis=tiled(calls.axis),
        what=tiled(calls.what),
        kind=tiled(calls.kind),
        stage=tiled(calls.stage),
        microbatch=tiled(calls.microbatch),
        step=step,
        pp_rank=tiled(calls.pp_rank),
        order=tiled(calls.order) + step * tiled(per_step),
        producer=tiled(calls.producer) + step * tiled(lengths[calls.pp_rank]),
        consumer=tiled(calls.consumer) + step * tiled(lengths[calls.pp_rank]),
    )
