"""Where costs come from: which constants decide the time of ops and exchanges, and how each of them is known.

A time derived from a model is the work of kernels, each at the share of a peak that its class reaches or at the share
of the memory's bandwidth, and a launch for each. So every time parts among the constants of the device, and each of
those was measured, derived from measurements by a fit, or assumed. What a tile loses counts with its class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from clustersim.ops import Kind
from clustersim.scenario.devices import ConstantName, Kernels, Origin, load_device
from clustersim.scenario.spec import Scenario
from clustersim.scenario.units import PS_PER_S
from clustersim.topology.cluster import Cluster
from clustersim.workload.group_plan import domain_of
from clustersim.workload.model.stage import ModelPart
from clustersim.workload.model_costs import ModelStages, model_stages


class CostSource(NamedTuple):
    """Something that times rest on."""

    what: str
    of: str  # whose constant it is
    origin: Origin


Seconds = dict[CostSource, float]
Weights = Mapping[ConstantName, float]


def sources_of_compute(scenario: Scenario, num_stages: int, compute_ps: Mapping[tuple[Kind, int, int], int]) -> Seconds:
    """Return what the compute of a rank rests on. [s]

    Parameters
    ----------
    scenario
        The job.
    num_stages
        Stages of one chain.
    compute_ps
        Time of the rank's ops by kind, stage, and the backward's stage in an overlapped slot. [ps]
    """
    if scenario.model is None:
        return {_GIVEN: sum(compute_ps.values()) / PS_PER_S} if compute_ps else {}
    name = scenario.cluster.topology.device
    assert name is not None
    kernels = load_device(name).kernels
    assert kernels is not None
    stages, parts = model_stages(scenario, num_stages)
    weights = _StageWeights(stages, parts, any(kind is Kind.W for kind, _, _ in compute_ps))
    found: Seconds = {}
    for place, time_ps in compute_ps.items():
        by_constant = weights.of(*place)
        total_s = sum(by_constant.values())
        for constant, seconds in by_constant.items():
            if seconds:
                source = _source(constant, name, kernels)
                found[source] = found.get(source, 0.0) + time_ps / PS_PER_S * seconds / total_s
    return found


# Costs that a scenario states itself; where they were measured, it is the scenario's author who knows.
_GIVEN = CostSource("stage costs", "the scenario", "given")


def _source(constant: ConstantName, device: str, kernels: Kernels) -> CostSource:
    fitted_on = kernels.fitted_on if constant in kernels.fitted else None
    return CostSource(constant, fitted_on or device, kernels.origin(constant))


class _StageWeights:
    """How the time of an op parts among the constants of the device, by kind and stage."""

    def __init__(self, stages: ModelStages, parts: Sequence[ModelPart], splits_backward: bool) -> None:
        self.stages, self.parts, self.splits_backward = stages, parts, splits_backward
        self._known: dict[tuple[Kind, int], Weights] = {}

    def of(self, kind: Kind, stage: int, backward_stage: int) -> Weights:
        """Return the weights of an op; of an overlapped slot those of its forward and its backward together."""
        if kind is Kind.OPTIMIZER:
            return {"memory": 1.0}
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
        timing = self.stages.timing
        if kind is Kind.RECOMPUTE:
            return timing.seconds_by_constant(self.stages.recomputed(part), timing.forward)
        operators = self.stages.operators(part)
        if kind is Kind.F:
            return timing.seconds_by_constant(operators, timing.forward)
        input_grads = timing.seconds_by_constant(operators, timing.input_grad)
        weight_grads = timing.seconds_by_constant(operators, timing.weight_grad)
        return {Kind.I: input_grads, Kind.W: weight_grads}.get(kind) or _summed(input_grads, weight_grads)


def _summed(first: Weights, second: Weights) -> Weights:
    return {name: first.get(name, 0.0) + second.get(name, 0.0) for name in {**first, **second}}


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
