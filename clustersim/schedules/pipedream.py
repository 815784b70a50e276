"""PipeDream and PipeDream-2BW: 1F1B without a flush, so that nothing waits for the end of a training step.

The micro-batches of all steps are one stream, which fills the pipeline once and drains it once; a forward may use
weights that are some updates old, and its backward uses the same ones, of which a rank therefore keeps versions. In
between, a micro-batch leaves the pipeline as often as the slowest rank can take one: with three steps or more
``steady_step_time_s`` shows that pace, m times the longest F + B of a rank, without the filling and the draining.

References
----------
Narayanan et al., "PipeDream: Generalized Pipeline Parallelism for DNN Training", SOSP 2019, sections 3.2 and 3.3
(weight stashing), and "Memory-Efficient Pipeline-Parallel DNN Training", ICML 2021, section 3.1 (double buffering).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clustersim.errors import ScheduleError
from clustersim.ops import Schedule, Shape, StageCosts
from clustersim.schedules.one_f_one_b import one_by_one
from clustersim.schedules.placement import loop_schedule
from clustersim.schedules.rules import require_one_chunk


def pipedream(shape: Shape, costs: Sequence[StageCosts] | None = None) -> Schedule:  # noqa: ARG001
    """Return PipeDream's order: one stream of 1F1B over all steps; a rank updates its weights after each backward.

    Rank s keeps p - s versions of its weights, one for each micro-batch that may be between its forward and its
    backward there; they are set aside from the start. The cost of an update is the scenario's ``optimizer_step``, once
    a micro-batch. Any m will do.

    Examples
    --------
    >>> schedule = pipedream(Shape(2, 4, num_steps=2))
    >>> " ".join(map(str, schedule.orders[0])), schedule.weight_versions
    ('0F0 0F1 0B0 0F2 0B1 0F3 0B2 0B3', (2, 1))
    """
    stream = _stream("pipedream", shape)
    versions = tuple(shape.num_ranks - rank for rank in range(shape.num_ranks))
    return replace(stream, optimizer_after="microbatch", weight_versions=versions)


def pipedream_2bw(shape: Shape, costs: Sequence[StageCosts] | None = None) -> Schedule:  # noqa: ARG001
    """Return PipeDream-2BW's order: one stream of 1F1B over all steps; a rank updates its weights every m backwards.

    Every rank keeps two versions of its weights. That is enough if m >= p: when an update comes, the micro-batches that
    are under way began with one of the last two.

    Examples
    --------
    >>> pipedream_2bw(Shape(2, 4, num_steps=2)).weight_versions
    (2, 2)
    """
    p, m = shape.num_ranks, shape.num_microbatches // shape.num_steps
    if m < p:
        raise ScheduleError(
            f"pipedream-2bw: num_microbatches = {m} with pp = {p}: two versions of the weights are too few; "
            f"allowed: num_microbatches >= pp = {p}; take {p} micro-batches, or pipedream for any number"
        )
    return replace(_stream("pipedream-2bw", shape), weight_versions=(2,) * p)


def _stream(name: str, shape: Shape) -> Schedule:
    require_one_chunk(name, shape)
    return replace(loop_schedule(name, shape, one_by_one(shape)), flush=False)
