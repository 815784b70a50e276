"""What a run says beside the account of its time: throughput, what tokens cost, what costs rest on, the learning rate.

Utilisations are told under both conventions for attention (see :mod:`clustersim.workload.model.flop`). What a job costs
and draws is worked out in :mod:`clustersim.economics`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction

from clustersim.analysis.busiest import BusyRank
from clustersim.analysis.learning_rate import LEARNING_RATE_NOTE, learning_rate_factors
from clustersim.economics import J_PER_KWH, Power, Rates, rates_of, spending
from clustersim.result import (
    BatchChange,
    CostOrigins,
    CostPart,
    FlopRates,
    OutOfRangeShape,
    PowerSummary,
    Spent,
    StepCost,
    Throughput,
    TokenCost,
)
from clustersim.scenario.devices import Device
from clustersim.scenario.spec import Scenario
from clustersim.topology.cluster import Cluster
from clustersim.trace import Trace
from clustersim.workload.job import budget_steps, num_samples
from clustersim.workload.model.flop import Convention
from clustersim.workload.origins import sources_of_compute, sources_of_exchanges
from clustersim.workload.rank_devices import RankDevices, usual_device
from clustersim.workload.shapes import dimensions_of, out_of_range
from clustersim.workload.step_work import StepWork, step_work

CONVENTION = "compute and exposed communication of the busiest GPU"
_CONVENTIONS: tuple[Convention, ...] = ("full", "causal")
_MILLION = 10**6


def throughput_of(
    scenario: Scenario, step_time_s: float, num_stages: int, devices: Sequence[Device | None] = (None,)
) -> Throughput:
    """Return the work per second of steps that take so long, and utilisations under both conventions.

    Parameters
    ----------
    scenario
        The job.
    step_time_s
        Time of a step. [s]
    num_stages
        Stages of one chain.
    devices
        That of each GPU; None: the topology's.
    """
    samples = num_samples(scenario)
    samples_per_s = samples / step_time_s if step_time_s else None
    if scenario.model is None or not step_time_s:
        return Throughput(samples_per_s, None, None, None, None, None, None, {})
    num_gpus, tokens_per_s = scenario.parallelism.num_gpus, samples * scenario.model.seq_length / step_time_s
    work = {name: step_work(scenario, num_stages, name, devices) for name in _CONVENTIONS}
    rates: dict[str, FlopRates] = {name: _flop_rates(asked, step_time_s * num_gpus) for name, asked in work.items()}
    full = rates["full"]
    return Throughput(
        samples_per_s,
        tokens_per_s,
        tokens_per_s / num_gpus,
        full.model_flop_per_s_per_gpu,
        full.mfu,
        full.hfu,
        work["full"].peak_flop_per_s,
        rates,
    )


def _flop_rates(work: StepWork, gpu_seconds: float) -> FlopRates:
    model_rate, hardware_rate = work.model_flop / gpu_seconds, work.hardware_flop / gpu_seconds
    peak = work.peak_flop_per_s
    return FlopRates(
        work.model_flop,
        work.hardware_flop,
        model_rate,
        hardware_rate,
        model_rate / peak if peak else None,
        hardware_rate / peak if peak else None,
    )


def token_cost_of(scenario: Scenario, rates: Rates, step_time_s: float) -> TokenCost | None:
    """Return what a million tokens and the scenario's token budget take; None without a model.

    Parameters
    ----------
    scenario, rates
        The job, and what it costs and draws.
    step_time_s
        Time of a step, at whose pace the training goes on. [s]
    """
    if scenario.model is None or not step_time_s:
        return None
    tokens_per_step = num_samples(scenario) * scenario.model.seq_length

    def spent(tokens: int, time_s: float) -> Spent:
        found = spending(rates, time_s)
        return Spent(tokens, time_s, found.gpu_hours, found.energy_j, found.cost_usd)

    num_steps = budget_steps(scenario)
    return TokenCost(
        step_time_s,
        tokens_per_step,
        spent(_MILLION, step_time_s * _MILLION / tokens_per_step),
        num_steps,
        None if num_steps is None else spent(num_steps * tokens_per_step, num_steps * step_time_s),
        None if rates.power is None else float(rates.power.total),
        rates.power_basis,
    )


def rates_on(scenario: Scenario, cluster: Cluster, trace: Trace) -> Rates:
    """Return what the job costs and draws where it ran, node by node and device by device.

    Where some of its GPUs stand for all, all are taken to be the topology's, on as few nodes as hold them.
    """
    gpus = trace.ranks.gpu.tolist()
    if len(gpus) != scenario.parallelism.num_gpus:
        return rates_of(scenario)
    names, nodes, devices = cluster.gpus, cluster.nodes, cluster.devices  # each made anew whenever it is asked for
    num_nodes = len(dict.fromkeys(nodes[names[gpu]].get("host", gpu) for gpu in gpus))
    return rates_of(scenario, Counter(devices[gpu] for gpu in gpus), num_nodes)


def step_cost_of(rates: Rates, step_time_s: float) -> StepCost:
    """Return what a step that takes so long costs and takes. [s]"""
    spent, power = spending(rates, step_time_s), rates.power
    energy_kwh = Fraction(spent.energy_j or 0) / J_PER_KWH
    return StepCost(
        step_time_s,
        spent.gpu_hours,
        spent.cost_usd,
        spent.energy_j,
        None if rates.usd_per_h is None else float(rates.usd_per_h),
        float(energy_kwh * rates.electricity_usd_per_kwh),
        None if power is None else _power_summary(power),
        rates.price_basis,
        rates.price_source,
        rates.power_basis,
    )


def _power_summary(power: Power) -> PowerSummary:
    device_w = None if power.device is None else float(power.device)
    return PowerSummary(device_w, float(power.host), float(power.network), float(power.site), float(power.total))


def cost_origins_of(
    scenario: Scenario, cluster: Cluster, num_stages: int, trace: Trace, busiest: BusyRank
) -> CostOrigins:
    """Return what the time of the busiest rank rests on, `num_stages` being those of one chain."""
    row = trace.ranks.rank.tolist().index(busiest.rank)
    (device,) = RankDevices(scenario, cluster).of([int(trace.ranks.gpu[row])])
    sources = sources_of_compute(scenario, num_stages, busiest.compute_ps, device)
    sources |= sources_of_exchanges(scenario, cluster, busiest.exposed_ps)
    total_s = sum(sources.values())
    parts = [
        CostPart(source.what, source.of, source.origin, time_s / trace.num_steps, time_s / total_s)
        for source, time_s in sorted(sources.items(), key=lambda entry: -entry[1])
    ]
    shares = dict.fromkeys(("measured", "derived", "assumed", "given"), 0.0)
    for part in parts:
        shares[part.origin] += part.share
    outside = _out_of_range(scenario, num_stages, device)
    return CostOrigins(CONVENTION, busiest.rank, total_s / trace.num_steps, shares, tuple(parts), tuple(outside))


def _out_of_range(scenario: Scenario, num_stages: int, device: Device | None) -> Iterator[OutOfRangeShape]:
    """Yield the shapes of the model that lie outside what was measured on a rank's device; None: the topology's."""
    if scenario.model is None:
        return
    device = device or usual_device(scenario)
    if device.kernels is None:
        return
    for found, measured in out_of_range(dimensions_of(scenario, num_stages), device.kernels):
        smallest, largest = measured or (None, None)
        yield OutOfRangeShape(found.shape, found.operator, found.name, found.value, smallest, largest, device.name)


def shape_warnings(origins: CostOrigins) -> Iterator[str]:
    """Yield which shapes lie outside what was measured."""
    for shape in origins.out_of_range:
        if shape.smallest is None:
            what = f"nothing of its kind ({shape.kind}) was measured on {shape.device}"
            yield f"{shape.operator}: {what}; its cost is extrapolated"
        else:
            measured = f"{shape.smallest} to {shape.largest} ({shape.kind})"
            what = f"{shape.dimension} {shape.value} lies outside what was measured on {shape.device}, {measured}"
            yield f"{shape.operator}: {what}; its cost is extrapolated"


def batch_change_of(scenario: Scenario) -> BatchChange | None:
    """Return what the batch asks of a learning rate chosen for another; None where none is named, or it is the same."""
    size, reference = num_samples(scenario), scenario.training.reference_global_batch_size
    if reference is None or size == reference:
        return None
    factors = learning_rate_factors(size, reference)
    return BatchChange(size, reference, factors.linear, factors.square_root, LEARNING_RATE_NOTE)
