"""What a training step asks of all GPUs together, and what one of them could do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from clustersim.scenario.batch import deal_samples
from clustersim.scenario.devices import Device
from clustersim.scenario.precision import PrecisionName
from clustersim.scenario.spec import Scenario
from clustersim.workload.model.flop import Convention, hardware_flop, model_flop
from clustersim.workload.model.stage import recomputed_layers
from clustersim.workload.model.timing import peak_rate
from clustersim.workload.model_costs import microbatch_of, model_parts
from clustersim.workload.rank_devices import usual_device


@dataclass(frozen=True, slots=True)
class StepWork:
    """What a training step asks of all GPUs together, and what one of them could do."""

    model_flop: int  # without recomputation
    hardware_flop: int  # the same with recomputation
    peak_flop_per_s: float | None  # of one GPU, in the number format of the linear layers; None: not published


def step_work(
    scenario: Scenario,
    num_stages: int,
    convention: Convention = "full",
    devices: Sequence[Device | None] = (None,),
) -> StepWork:
    """Return what a training step of the scenario's model asks for.

    Parameters
    ----------
    scenario
        A scenario with a model.
    num_stages
        Stages of one chain.
    convention
        How attention is counted.
    devices
        That of each GPU, of whose peaks the mean is taken; None: the topology's.
    """
    model, training = scenario.model, scenario.training
    assert model is not None
    samples = sum(share.num_samples for share in deal_samples(scenario.batch, scenario.parallelism.dp))
    microbatch = microbatch_of(scenario)
    parts = model_parts(scenario, num_stages)
    again = hardware_flop(
        model,
        samples,
        microbatch.recompute,
        flash_attention=training.flash_attention,
        modules=microbatch.recomputed_modules,
        convention=convention,
        layers=[kind for part in parts for kind in recomputed_layers(part, microbatch).layers],
    )
    counts = Counter[Device]()
    for device, count in Counter(devices).items():
        counts[device or usual_device(scenario)] += count
    return StepWork(model_flop(model, samples, convention), again, _mean_peak(counts, training.precision))


def _mean_peak(counts: Counter[Device], precision: PrecisionName) -> float | None:
    """Return the mean peak of so many of each device; None if that of one is not published. [FLOP/s]"""
    if not all(device.peak_flop_per_s for device in counts):
        return None
    total = sum(count * peak_rate(device.peak_flop_per_s, precision) for device, count in counts.items())
    return total / counts.total()
