"""Options of a plan: one layout on one cluster and number of GPUs, what it takes, and how options are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

from clustersim.analysis.mean_times import MeanTimes
from clustersim.planning.layouts import Layout
from clustersim.planning.plan_limits import Violation
from clustersim.scenario.plan import Objective

OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
_WORDS = {"step-time": "step time", "cost": "cost", "energy": "energy", "gpus": "GPUs"}


@dataclass(frozen=True, slots=True)
class Option:
    """The fastest layout on one cluster and number of GPUs, or another one that is worth telling."""

    cluster: str  # name of its topology
    layout: Layout
    scenario: Mapping[str, Any]  # that runs it, as a file has it
    step_time_s: float
    step_time_interval_s: tuple[float, float] | None  # of the step time, by the errors of published configurations
    gpus: int
    peak_bytes: int
    capacity_bytes: int | None
    cost_usd: float | None  # of a step
    energy_j: float | None  # of a step
    num_steps: int | None  # that the token budget takes, if there is one
    explained: MeanTimes | None = None
    is_proven: bool = True  # simulated; else its times are bounds
    violations: tuple[Violation, ...] = ()

    def of_training(self, of_a_step: float | None) -> float | None:
        """Return what all steps of the token budget take, if there is one, from what one of them does."""
        return None if self.num_steps is None or of_a_step is None else self.num_steps * of_a_step

    def to_dict(self) -> dict[str, Any]:
        """Return the option as ``plan --json`` has it."""
        names = ("step_time_s", "gpus", "peak_bytes", "cost_usd", "energy_j", "cluster", "capacity_bytes", "is_proven")
        interval_s = self.step_time_interval_s
        return {
            "scenario": dict(self.scenario),
            **{name: getattr(self, name) for name in names},
            "step_time_interval_s": None if interval_s is None else list(interval_s),
            "training_s": self.of_training(self.step_time_s),
            "training_interval_s": interval_s and self.num_steps and [self.of_training(end_s) for end_s in interval_s],
            "training_cost_usd": self.of_training(self.cost_usd),
            "training_energy_j": self.of_training(self.energy_j),
            "layout": self.layout._asdict(),
            "explained": None if self.explained is None else self.explained._asdict(),
            "misses": [violation.to_dict() for violation in self.violations],
        }


class Yardstick(NamedTuple):
    """How the options of a plan are compared: by money and by energy only if those of all are known.

    Where one option has no price, dollars would stand against nothing: all are then weighed by their GPU-time.
    """

    is_priced: bool
    is_powered: bool

    @classmethod
    def of(cls, options: Sequence[Option]) -> Yardstick:
        """Return the one that measures all options alike."""
        return cls(
            all(option.cost_usd is not None for option in options),
            all(option.energy_j is not None for option in options),
        )

    def words(self, objective: Objective) -> str:
        """Return what an objective is measured by.

        Examples
        --------
        >>> Yardstick(is_priced=False, is_powered=True).words("cost")
        'GPU-time'
        """
        is_known = {"cost": self.is_priced, "energy": self.is_powered}.get(objective, True)
        return _WORDS[objective] if is_known else "GPU-time"

    def value(self, option: Option, objective: Objective) -> tuple[float, ...]:
        """Return what is compared: the smallest is the best."""
        gpu_s = option.gpus * option.step_time_s
        first = {
            "step-time": option.step_time_s,
            "cost": option.cost_usd if self.is_priced else gpu_s,
            "energy": option.energy_j if self.is_powered else gpu_s,
            "gpus": option.gpus,
        }[objective]
        assert first is not None
        return first, option.step_time_s, option.gpus, option.peak_bytes

    def front(self, options: Sequence[Option]) -> tuple[Option, ...]:
        """Return the options that no other one is at least as good as: in step time, cost, energy and GPUs.

        On one cluster and number of GPUs cost and energy go with the step time, so that its fastest layout is all of
        the front there.
        """
        front: list[tuple[tuple[float, ...], Option]] = []
        for option in sorted(options, key=lambda option: (self.value(option, "step-time"), option.layout)):
            axes = tuple(self.value(option, objective)[0] for objective in OBJECTIVES)
            if not any(all(a <= b for a, b in zip(other, axes, strict=True)) for other, _ in front):
                front.append((axes, option))
        return tuple(option for _, option in front)
