"""How long one layer takes, forward and backward, as a profiler of its kernels tells it."""

from __future__ import annotations

from dataclasses import dataclass

from clustersim.ops import Kind, StageCosts
from clustersim.scenario.devices import Device
from clustersim.scenario.fabrics import Fabric
from clustersim.scenario.spec import Scenario
from clustersim.topology.rank_layout import RankCoordinates, RankLayout
from clustersim.topology.table import build_cluster
from clustersim.workload.group_plan import GroupPlanner, idle_ps
from clustersim.workload.job import gpus_of_ranks
from clustersim.workload.model.layers import layer_kinds
from clustersim.workload.model.stage import ModelPart
from clustersim.workload.model_costs import model_stages


@dataclass(frozen=True, slots=True)
class LayerTimes:
    """How long a layer takes for one micro-batch. [ps]"""

    forward_ps: int
    backward_ps: int  # with what it recomputes


def layer_costs(scenario: Scenario, layer: int, device: Device | None = None) -> StageCosts:
    """Return what one micro-batch costs on a stage that holds a single layer of the scenario's model.

    Parameters
    ----------
    scenario
        A scenario with a model.
    layer
        Number of the layer, from 0.
    device
        What times follow from; None: the topology's.
    """
    assert scenario.model is not None
    part = ModelPart(layer_kinds(scenario.model)[layer : layer + 1])
    return model_stages(scenario, scenario.model, device).costs(part)


def layer_times(scenario: Scenario, costs: StageCosts, fabric: Fabric | None) -> LayerTimes:
    """Return how long a layer with these costs takes, one op and then its exchanges after the other.

    Parameters
    ----------
    scenario
        What is run.
    costs
        Those of the layer.
    fabric
        What its tensor-parallel group exchanges over, as the first of the job; None: exchanges are not counted.
    """
    exchanged_ps = dict.fromkeys(Kind, 0)
    if fabric is not None and costs.exchanges:
        planner = _tensor_parallel_group(scenario, fabric)
        for exchange in costs.exchanges:
            plan = planner.plan(exchange.operation, exchange.size_bytes)
            exchanged_ps[exchange.kind] += exchange.num_calls * idle_ps(plan, planner.cluster)
    forward_ps = costs.forward_ps + exchanged_ps[Kind.F]
    exchanged_back_ps = exchanged_ps[Kind.RECOMPUTE] + exchanged_ps[Kind.I] + exchanged_ps[Kind.W]
    return LayerTimes(forward_ps, costs.recompute_ps + costs.backward_ps + exchanged_back_ps)


def _tensor_parallel_group(scenario: Scenario, fabric: Fabric) -> GroupPlanner:
    parallelism, cluster = scenario.parallelism, build_cluster(fabric)  # type: ignore[arg-type]
    layout = RankLayout(parallelism.tp, parallelism.cp, parallelism.dp, parallelism.pp, parallelism.order)
    gpu_by_rank = gpus_of_ranks(scenario, layout.num_ranks, cluster)
    ranks = [layout.rank(RankCoordinates(tp, 0, 0, 0)) for tp in range(parallelism.tp)]
    return GroupPlanner([gpu_by_rank[rank] for rank in ranks], cluster, in_training=True)
