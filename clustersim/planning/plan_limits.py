"""Limits of a plan, and by how much an option misses them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from clustersim.scenario.plan import PlanLimits
from clustersim.scenario.units import PS_PER_S

if TYPE_CHECKING:
    from clustersim.planning.plan import Option

_GIB = 2**30
_DAY_S = 86_400


class Violation(NamedTuple):
    """A limit that an option does not keep to."""

    excess: float  # the value over the limit, less one
    text: str


def violations_of(option: Option, limits: PlanLimits, num_steps: int | None) -> Iterator[Violation]:
    """Yield the limits that an option misses; those of the whole training count `num_steps` steps."""
    if option.capacity_bytes is not None and option.peak_bytes > option.capacity_bytes:
        peak, capacity = option.peak_bytes / _GIB, option.capacity_bytes / _GIB
        yield _violation("memory", option.peak_bytes, option.capacity_bytes, f"{capacity:.4g} GiB", f"{peak:.4g} GiB")
    if limits.gpus is not None and option.gpus > limits.gpus:
        yield _violation("gpus", option.gpus, limits.gpus, f"{limits.gpus} GPUs", str(option.gpus))
    if limits.step_time is not None and option.step_time_s > limits.step_time / PS_PER_S:
        limit_s = limits.step_time / PS_PER_S
        yield _violation(
            "step_time", option.step_time_s, limit_s, f"{limit_s:.4g} s a step", f"{option.step_time_s:.4g} s"
        )
    if num_steps is None:
        return
    for name, limit, each, unit, scale in (
        ("deadline", limits.deadline, option.step_time_s, "days", _DAY_S),
        ("budget", limits.budget, option.cost_usd, "USD", 1),
        ("energy", limits.energy, option.energy_j, "MWh", 3.6e9),
    ):
        if limit is not None and each is not None and num_steps * each > limit:
            value = num_steps * each
            yield _violation(
                name, value, float(limit), f"{float(limit) / scale:.4g} {unit}", f"{value / scale:.4g} {unit}"
            )


def _violation(name: str, value: float, limit: float, allowed: str, got: str) -> Violation:
    return Violation(value / limit - 1 if limit else float("inf"), f"{name} {allowed}: the nearest takes {got}")
