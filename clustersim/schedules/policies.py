"""Online policies: which ready op a GPU starts when it falls idle.

A policy is a function of a :class:`~clustersim.ops.GpuView`, which holds only what that GPU could know; it returns one
of the ready ops, or None to wait for the next arrival. Ready ops come sorted by kind, then micro-batch, then stage.
"""

from __future__ import annotations

from collections.abc import Callable

from clustersim.ops import Action, GpuView, Kind, Policy

_BACKWARD_FIRST = (Kind.B, Kind.I, Kind.F, Kind.W)
_FORWARD_FIRST = (Kind.F, Kind.B, Kind.I, Kind.W)


def forward_first(view: GpuView) -> Action | None:
    """Return the oldest ready forward, or else backward, or else weight gradient: GPipe's appetite for memory."""
    return min(view.ready, key=lambda action: _FORWARD_FIRST.index(action.kind))


def backward_first(view: GpuView) -> Action | None:
    """Return the oldest ready backward, or else forward; weight gradients fill the time in which neither is ready."""
    return min(view.ready, key=lambda action: _BACKWARD_FIRST.index(action.kind))


def memory_bounded(max_live_microbatches: int) -> Policy:
    """Return the backward-first policy that starts no forward beyond so many live stage-micro-batches.

    A bound of less than the chunks of a rank can starve a pipeline for ever; such a run ends with a DeadlockError.
    """

    def policy(view: GpuView) -> Action | None:
        full = view.live_microbatches >= max_live_microbatches
        allowed = [action for action in view.ready if not (full and action.kind is Kind.F)]
        return min(allowed, key=lambda action: _BACKWARD_FIRST.index(action.kind), default=None)

    return policy


POLICIES: dict[str, Callable[[int | None], Policy]] = {
    "forward-first": lambda _limit: forward_first,
    "backward-first": lambda _limit: backward_first,
    "memory-bounded": lambda limit: memory_bounded(limit or 1),
}
