"""Where costs come from: which constants decide the time of ops and exchanges, and how each of them is known.

A time derived from a model is the work of kernels, each at the share of a peak that its class reaches or at the share
of the memory's bandwidth, and a launch for each. So every time parts among the constants of the device, and each of
those was measured, derived from measurements by a fit, or assumed. What a tile loses counts with its class. What a
profile holds was measured; a host gap is the device's, or as the scenario says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from clustersim.ops import Kind
from clustersim.scenario.devices import ConstantName, Device, Origin
from clustersim.scenario.spec import Scenario
from clustersim.scenario.units import PS_PER_S
from clustersim.topology.cluster import Cluster
from clustersim.workload.group_plan import domain_of
from clustersim.workload.host_gap import host_gap_ps
from clustersim.workload.measured import OpTimes
from clustersim.workload.model.stage import ModelPart, Repeated
from clustersim.workload.model_costs import ModelStages, model_parts, model_stages


class CostSource(NamedTuple):
    """Something that times rest on."""

    what: str
    of: str  # whose constant it is
    origin: Origin


Seconds = dict[CostSource, float]
Weights = Mapping[CostSource, float]


def sources_of_compute(
    scenario: Scenario,
    num_stages: int,
    compute_ps: Mapping[tuple[Kind, int, int], int],
    device: Device | None = None,
) -> Seconds:
    """Return what the compute of a rank rests on. [s]

    Parameters
    ----------
    scenario
        The job.
    num_stages
        Stages of one chain.
    compute_ps
        Time of the rank's ops by kind, stage, and the backward's stage in an overlapped slot. [ps]
    device
        The rank's; None: the topology's.
    """
    if scenario.model is None:
        return {_GIVEN: sum(compute_ps.values()) / PS_PER_S} if compute_ps else {}
    splits_backward = any(kind is Kind.W for kind, _, _ in compute_ps)
    stages = model_stages(scenario, scenario.model, device)
    weights = _StageWeights(scenario, stages, model_parts(scenario, num_stages), splits_backward)
    found: Seconds = {}
    for place, time_ps in compute_ps.items():
        by_source = weights.of(*place)
        total_s = sum(by_source.values())
        for source, seconds in by_source.items():
            if seconds:
                found[source] = found.get(source, 0.0) + time_ps / PS_PER_S * seconds / total_s
    return found


# Costs that a scenario states itself; where they were measured, it is the scenario's author who knows.
_GIVEN = CostSource("stage costs", "the scenario", "given")


class _StageWeights:
    """How the time of an op parts among what it rests on, by kind and stage."""

    def __init__(
        self, scenario: Scenario, stages: ModelStages, parts: Sequence[ModelPart], splits_backward: bool
    ) -> None:
        self.stages, self.parts, self.splits_backward = stages, parts, splits_backward
        self._known: dict[tuple[Kind, int], Weights] = {}
        file = scenario.profile.file if scenario.profile else ""
        self._profile = CostSource("profile", file or "the scenario", "measured")
        self._gap_s = host_gap_ps(scenario, stages.device) / PS_PER_S
        is_given = scenario.runtime.host_gap is not None
        self._gap = CostSource("host_gap", "the scenario", "given") if is_given else self._source("host_gap")

    def of(self, kind: Kind, stage: int, backward_stage: int) -> Weights:
        """Return the weights of an op; of an overlapped slot those of its forward and its backward together."""
        if kind is Kind.OPTIMIZER:
            is_measured = "optimizer" in self.stages.measured.rows
            return {self._profile if is_measured else self._source("memory"): 1.0}
        if kind is Kind.FB:
            return _summed(self._plain(Kind.F, stage), self._plain(Kind.B, backward_stage))
        if kind is Kind.PART:  # the first part of the backward that reduces gradients: W, where it stands by itself
            return self._plain(Kind.W if self.splits_backward else Kind.B, stage)
        return self._plain(kind, stage)

    def _plain(self, kind: Kind, stage: int) -> Weights:
        key = (kind, stage % len(self.parts))  # two chains of stages are two copies of one
        if key not in self._known:
            self._known[key] = self._weights(kind, self.parts[key[1]])
        return self._known[key]

    def _weights(self, kind: Kind, part: ModelPart) -> Weights:
        gap_s = 0.0 if kind is Kind.RECOMPUTE else self._gap_s  # which is part of its backward
        beside = {self._profile: _measured_ps(kind, self.stages.measured_times(part)) / PS_PER_S, self._gap: gap_s}
        operators = self.stages.recomputed(part) if kind is Kind.RECOMPUTE else self.stages.operators(part)
        return _summed(beside, self._derived(kind, operators)) if operators else beside

    def _derived(self, kind: Kind, operators: Repeated) -> Weights:
        timing = self.stages.timing
        directions = {
            Kind.F: (timing.forward,),
            Kind.RECOMPUTE: (timing.forward,),
            Kind.I: (timing.input_grad,),
            Kind.W: (timing.weight_grad,),
            Kind.B: (timing.input_grad, timing.weight_grad),
        }[kind]
        total: Weights = {}
        for time_of in directions:
            seconds = timing.seconds_by_constant(operators, time_of)
            total = _summed(total, {self._source(constant): value for constant, value in seconds.items()})
        return total

    def _source(self, constant: ConstantName) -> CostSource:
        device, kernels = self.stages.device, self.stages.device.kernels
        if kernels is None:
            return CostSource(constant, device.name, "assumed")
        fitted_on = kernels.fitted_on if constant in kernels.fitted else None
        return CostSource(constant, fitted_on or device.name, kernels.origin(constant))


def _measured_ps(kind: Kind, times: OpTimes) -> int:
    return {
        Kind.F: times.forward_ps,
        Kind.RECOMPUTE: times.recompute_ps,
        Kind.I: times.input_grad_ps,
        Kind.W: times.weight_grad_ps,
        Kind.B: times.input_grad_ps + times.weight_grad_ps,
    }[kind]


def _summed(first: Weights, second: Weights) -> Weights:
    return {source: first.get(source, 0.0) + second.get(source, 0.0) for source in {**first, **second}}


def sources_of_exchanges(
    scenario: Scenario, cluster: Cluster, exposed_ps: Mapping[tuple[str, tuple[int, ...]], int]
) -> Seconds:
    """Return what the exposed communication of a rank rests on: collectives and messages on the topology. [s]

    Parameters
    ----------
    scenario, cluster
        The job, and where it ran.
    exposed_ps
        Waits by axis and the GPUs of the group; no GPUs: messages. [ps]

    Notes
    -----
    Messages take the links' bandwidths as vendors write them, and latencies; no topology of the gallery has those
    measured. A topology that is the user's own counts as given.
    """
    found: Seconds = {}
    for (axis, gpus), time_ps in exposed_ps.items():
        is_within = len({domain_of(gpu, cluster) for gpu in gpus}) == 1
        scope = "scaleup" if is_within else "network"
        where = " within a node or domain" if is_within else " over the network" if gpus else ""
        what = f"{axis} {'collectives' if gpus else 'messages'}{where}"
        origin: Origin = "assumed"
        if not _is_of_the_gallery(scenario):
            origin = "given"
        elif gpus and scope in cluster.library.fitted:
            origin = "derived"
        source = CostSource(what, _topology_name(scenario), origin)
        found[source] = found.get(source, 0.0) + time_ps / PS_PER_S
    return found


def _is_of_the_gallery(scenario: Scenario) -> bool:
    origin = scenario.loaded_from
    return bool(origin and origin.topology and origin.topology.is_gallery)


def _topology_name(scenario: Scenario) -> str:
    origin = scenario.loaded_from
    return origin.topology_name if origin else scenario.cluster.topology.fabric
