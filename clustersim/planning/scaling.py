"""Strong and weak scaling: one job on more and more GPUs, how well they are used, and when the network is the limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clustersim.errors import Fault, ScenarioError
from clustersim.planning.assumptions import assumptions_of
from clustersim.planning.growth import grown_point, learning_rate_note
from clustersim.planning.point import Found, Point, Refused, Runner, scenario_of
from clustersim.result import plain_values
from clustersim.scenario.spec import Scenario

SCALE_SCHEMA = "clustersim/scale/1"
NETWORK_LIMIT = 0.2
"""Share of the critical path from which on the network is called the limit, unless another is asked for."""


@dataclass(frozen=True, slots=True)
class ScalingPoint:
    """One number of GPUs on a curve."""

    point: Point
    speedup: float  # samples a second, over those of the first point
    efficiency: float  # speedup over that of the GPUs
    is_network_limited: bool  # its links and latencies take at least the given share of the critical path


@dataclass(frozen=True, slots=True)
class Scaling:
    """A scaling curve."""

    name: str
    weak: bool  # the batch grows with the GPUs, otherwise it stays
    network_limit: float
    network_limited_from: int | None  # GPUs of the first point from which on all are; None: none is
    points: tuple[ScalingPoint, ...]
    refused: tuple[Refused, ...]
    learning_rate: str | None
    assumptions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``scale --json``."""
        return {"schema": SCALE_SCHEMA, **plain_values(self)}


def scaling(
    scenario: Scenario | str | Path,
    gpus: Sequence[int],
    weak: bool = False,
    network_limit: float = NETWORK_LIMIT,
    runner: Runner | None = None,
    on_point: Callable[[int], None] | None = None,
) -> Scaling:
    """Return how a job scales over numbers of GPUs, rising.

    Parameters
    ----------
    scenario
        A scenario that was loaded, the path of a file, or a name from the gallery; dp grows with the GPUs, all other
        axes stay unless `runner` lays them out.
    gpus
        Numbers of GPUs.
    weak
        Whether the global batch grows with the GPUs (weak scaling), or stays (strong scaling).
    network_limit
        Share of the critical path that links outside scale-up domains, and latencies, take where the network is the
        limit.
    runner
        How each configuration is laid out and run.
    on_point
        Called with each number before it is run.

    Raises
    ------
    ScenarioError
        No numbers, or a share that is none.

    Notes
    -----
    Efficiency is that of Amdahl's law in strong scaling, and of Gustafson's in weak scaling: samples a second and GPU,
    over those of the first point.

    References
    ----------
    Gustafson, "Reevaluating Amdahl's law", Communications of the ACM 31 (5), 1988.
    """
    if not gpus or not 0 < network_limit <= 1:
        what = "no numbers of GPUs" if not gpus else f"network_limit: got {network_limit}; allowed: above 0, to 1"
        raise ScenarioError(Fault("scale", what))
    scenario, runner = scenario_of(scenario), runner or Runner()
    ran: list[Found] = []
    refused: list[Refused] = []
    for number in sorted(set(gpus)):
        if on_point is not None:
            on_point(number)
        found = grown_point(scenario, number, weak, runner)
        if isinstance(found, Refused):
            refused.append(found)
        else:
            ran.append(found)
    points = [found.point for found in ran]
    shown = tuple(_on_curve(point, points[0], network_limit) for point in points)
    return Scaling(
        scenario.name,
        weak,
        network_limit,
        _limited_from(shown),
        shown,
        tuple(refused),
        learning_rate_note(scenario, [point.global_batch_size for point in points]),
        assumptions_of(scenario, runner, ran[-1].rates if ran else None),
    )


def _on_curve(point: Point, first: Point, network_limit: float) -> ScalingPoint:
    speedup = point.samples_per_s / first.samples_per_s
    efficiency = speedup * first.num_gpus / point.num_gpus
    return ScalingPoint(point, speedup, efficiency, point.network_share >= network_limit)


def _limited_from(points: Sequence[ScalingPoint]) -> int | None:
    """Return the GPUs of the first of the last points that are all limited by the network."""
    found = None
    for shown in reversed(points):
        if not shown.is_network_limited:
            break
        found = shown.point.num_gpus
    return found
