"""Host gaps: what the software takes beside each op, while its GPU waits for the next kernel.

Python, the scheduler of the framework and the first launch of an op come between one op of the pipeline and the next.
The time does not depend on how large the micro-batch is, so that a schedule of many small ops pays it more often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clustersim.ops import StageCosts
from clustersim.scenario.devices import Device
from clustersim.scenario.spec import Scenario
from clustersim.workload.rank_devices import usual_device


def host_gap_ps(scenario: Scenario, device: Device | None = None) -> int:
    """Return what each op takes beside its own time: as the scenario says, or else the device's file. [ps]

    The file is that of `device`, or else of the topology's.
    Explicit stage costs are times of whole ops: of them a device's gap is a part already.
    """
    if scenario.runtime.host_gap is not None:
        return scenario.runtime.host_gap
    if scenario.model is None:
        return 0
    kernels = (device or usual_device(scenario)).kernels
    return kernels.host_gap if kernels else 0


def with_host_gap(costs: Sequence[StageCosts], gap_ps: int) -> tuple[StageCosts, ...]:
    """Return ``costs[stage]`` with a gap for each op, which lowering adds to it."""
    return tuple(replace(cost, host_gap_ps=gap_ps) for cost in costs) if gap_ps else tuple(costs)


def with_gaps_in_times(costs: Sequence[StageCosts], parts_backward: bool) -> tuple[StageCosts, ...]:
    """Return ``costs[stage]`` with gaps put into their times, for those who look at times alone.

    Parameters
    ----------
    costs
        Costs with gaps.
    parts_backward
        Whether every backward is run as I and W, two ops.

    Examples
    --------
    >>> with_gaps_in_times([StageCosts(10, 10, 10, 25, host_gap_ps=1)], parts_backward=True)[0].backward_ps
    22
    """
    return tuple(_with_gap_in_times(cost, parts_backward) if cost.host_gap_ps else cost for cost in costs)


def _with_gap_in_times(cost: StageCosts, parts_backward: bool) -> StageCosts:
    gap_ps = cost.host_gap_ps
    of_weight_grad_ps = gap_ps if parts_backward else 0
    return replace(
        cost,
        forward_ps=cost.forward_ps + gap_ps,
        input_grad_ps=cost.input_grad_ps + gap_ps,
        weight_grad_ps=cost.weight_grad_ps + of_weight_grad_ps,
        forward_backward_ps=cost.forward_backward_ps + 2 * gap_ps + of_weight_grad_ps,
        host_gap_ps=0,
    )
