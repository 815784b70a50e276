"""Measured times: what a configuration took, or one of its layers, and the scenario that it was measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from clustersim.errors import Fault, Position, ScenarioError
from clustersim.scenario.spec import Scenario

Quantity = Literal["step", "forward", "backward"]


@dataclass(frozen=True, slots=True)
class Layer:
    """Which layer was measured, and whether its times hold what its tensor-parallel group exchanges."""

    index: int = 0
    has_communication: bool = True


@dataclass(frozen=True, slots=True)
class Measured:
    """One measured time."""

    name: str  # of the configuration; the forward and the backward of a layer share it
    source: str
    quantity: Quantity
    time_ps: int
    scenario: Scenario
    layer: Layer | None = None  # None for a step

    @property
    def label(self) -> str:
        """What reports call it."""
        return self.name if self.layer is None else f"{self.name} {self.quantity}"


@dataclass(frozen=True, slots=True)
class MeasuredFile:
    """A file of measured times as it was read."""

    name: str
    sha256: str
    rows: tuple[Measured, ...]


def checked(scenario: Scenario, layer: Layer | None, position: Position) -> Scenario:
    """Return the scenario of a measured time, if times of a device can be told from it.

    Raises
    ------
    ScenarioError
        It has no model, or its topology no device; of a layer: there is none of this number, or it exchanges over
        other axes than tp.
    """
    faults = list(_faults(scenario, layer, position))
    if faults:
        raise ScenarioError(faults)
    return scenario


def _faults(scenario: Scenario, layer: Layer | None, position: Position) -> Sequence[Fault]:
    if scenario.model is None:
        return [Fault("stage_costs", "no constant of a device follows from given costs", position, "give a `model`")]
    if scenario.cluster.topology.device is None:
        return [Fault("cluster.topology", "it names no device, whose constants are looked for", position)]
    faults = []
    if layer is not None:
        parallelism, last = scenario.parallelism, scenario.model.num_layers - 1
        if layer.index > last:
            faults.append(Fault("layer", f"there is no layer {layer.index}; layers are 0 to {last}", position))
        other_experts = scenario.model.moe is not None and parallelism.expert_tp not in (1, parallelism.tp)
        other_axes = parallelism.cp * parallelism.ep > 1 or parallelism.zero_stage == 3 or other_experts
        if layer.has_communication and other_axes:
            what = "a layer's times are told with exchanges over tp alone"
            hint = "measure it without cp, ep, etp and zero_stage 3, or with `communication` false: without exchanges"
            faults.append(Fault("parallelism", what, position, hint))
    return faults
