"""Limits on activations: what each op of a stage takes and leaves, in the unit in which its rank is limited."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.errors import ScheduleError
from clustersim.footprint import ActivationLimit, Footprint
from clustersim.ops import StageCosts


def footprints(name: str, limit: ActivationLimit, costs: Sequence[StageCosts]) -> tuple[Footprint, ...]:
    """Return the footprint of each stage, one a rank, under `limit`.

    Raises
    ------
    ScheduleError
        Not even one micro-batch fits, or the limit has a unit of no size.

    Examples
    --------
    >>> cost = StageCosts(1, 1, 1, 3, activation_bytes=10, weight_grad_activation_bytes=4)
    >>> footprints("zb-auto", ActivationLimit(size_bytes=25), [cost])
    (Footprint(activation=10, kept=10, weight_grad=4, limit=25),)
    """
    return tuple(_footprint(name, limit, stage, cost) for stage, cost in enumerate(costs))


def _footprint(name: str, limit: ActivationLimit, stage: int, cost: StageCosts) -> Footprint:
    if (fault := limit_fault(limit, cost.activation_bytes)) is not None:
        raise ScheduleError(f"{name}: limit: stage {stage}: {fault}")
    if limit.microbatches is not None:
        return Footprint(1, 1, 1, limit.microbatches)
    if limit.activations is not None:
        limit_bytes = int(limit.activations * cost.activation_bytes)
    else:
        limit_bytes = limit.size_bytes or 0
    return Footprint(cost.activation_bytes, cost.kept_bytes, cost.weight_grad_activation_bytes, limit_bytes)


def limit_fault(limit: ActivationLimit, activation_bytes: int) -> str | None:
    """Return why not one micro-batch of `activation_bytes` can be run within `limit`; None if one can."""
    if limit.microbatches is not None and limit.microbatches < 1:
        return f"{limit.microbatches} micro-batches; allowed: at least 1"
    if limit.activations is not None and limit.activations < 1:
        return f"{float(limit.activations):g} activations; allowed: at least 1"
    if limit.activations is not None and not activation_bytes:
        return "it counts in units of `activation`, which is 0 B; give that a size, or limit `microbatches`"
    if limit.size_bytes is not None and limit.size_bytes < activation_bytes:
        return (
            f"{limit.size_bytes} B, and one micro-batch takes {activation_bytes} B; allowed: at least one `activation`"
        )
    return None
