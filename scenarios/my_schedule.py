"""A schedule of your own; `plugin-example.yaml` beside this file runs it.

clustersim asks the function for the order of every rank and measures what comes of it. The order holds no times and no
idle slots: a rank waits where its inputs are not there yet. `clustersim schedule` draws it before you run anything:

    clustersim schedule eager --plugin eager=my_schedule:eager_1f1b --pp 4 --microbatches 8

The function may return, for each rank, a list of actions as PyTorch writes them (`2F0` is the forward of micro-batch 0
on stage 2; B, I and W are its backward and the two halves of it), or a `clustersim.ops.Schedule`. What it returns is
checked: each stage runs each micro-batch forward and then backward once, and ranks never wait for one another in a
circle. A mistake is shown in the grid of the order.
"""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.errors import ScheduleError
from clustersim.ops import Shape, StageCosts


def eager_1f1b(shape: Shape, costs: Sequence[StageCosts] | None = None) -> list[list[str]]:  # noqa: ARG001
    """Return 1F1B with twice its warm-up: more micro-batches alive, so that slow messages are hidden."""
    p, m = shape.num_ranks, shape.num_microbatches
    if shape.num_chunks != 1:
        raise ScheduleError("vpp must be 1")  # how to refuse a shape
    orders = []
    for rank in range(p):
        num_warmup = min(2 * (p - rank - 1), m)
        order = [f"{rank}F{microbatch}" for microbatch in range(num_warmup)]
        for microbatch in range(m - num_warmup):
            order += [f"{rank}F{microbatch + num_warmup}", f"{rank}B{microbatch}"]
        order += [f"{rank}B{microbatch}" for microbatch in range(m - num_warmup, m)]
        orders.append(order)
    return orders
