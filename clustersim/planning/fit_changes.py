"""Changes that may make a job fit in memory: each a few values of the scenario, on the same GPUs and the same batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from clustersim.scenario.costs import RankCosts
from clustersim.scenario.spec import Scenario
from clustersim.scenario.units import format_size, format_time

Values = Mapping[str, Any]

_LEAN_SCHEDULES = ("1f1b", "zb-h1", "v-half", "v-min")  # that hold fewer micro-batches than some others
_AXES = ("tp", "pp", "cp")


@dataclass(frozen=True, slots=True)
class Change:
    """Values to replace, by dotted key; of one family only the best is worth telling."""

    family: str
    values: Values


def changes_of(scenario: Scenario) -> Iterator[Change]:
    """Yield what may be changed about `scenario`, the mildest of each family first."""
    yield from _schedules(scenario)
    if scenario.model is None:
        yield from _explicit_recompute(scenario)
        return
    yield from _sharding(scenario)
    yield from _recompute(scenario)
    yield from _microbatch(scenario)
    yield from _layouts(scenario)


def _schedules(scenario: Scenario) -> Iterator[Change]:
    choice, parallelism = scenario.schedule, scenario.parallelism
    if parallelism.pp == 1:
        return
    for name in _LEAN_SCHEDULES:
        if name != choice.label:
            flat = {"parallelism.vpp": 1} if parallelism.vpp > 1 else {}
            posted = {"runtime.p2p": "asynchronous"} if scenario.runtime.p2p == "blocking" and name != "1f1b" else {}
            yield Change("schedule", {"schedule": name, **flat, **posted})


def _explicit_recompute(scenario: Scenario) -> Iterator[Change]:
    """Yield recomputation of the whole forward, from what the stage before has sent."""
    costs = scenario.stage_costs
    if isinstance(costs, RankCosts) and not costs.recompute and costs.message <= costs.activation:
        values = {
            "stage_costs.recompute": format_time(costs.forward),
            "stage_costs.checkpoint": format_size(costs.message),
        }
        yield Change("recompute", values)


def _sharding(scenario: Scenario) -> Iterator[Change]:
    parallelism = scenario.parallelism
    if parallelism.dp * parallelism.cp > 1:
        for stage in range(parallelism.zero_stage + 1, 4):
            yield Change("zero", {"parallelism.zero_stage": stage})
    if parallelism.tp > 1 and not parallelism.sequence_parallel:
        yield Change("sequence parallelism", {"parallelism.sequence_parallel": True})


def _recompute(scenario: Scenario) -> Iterator[Change]:
    """Yield more of recomputation than there is: the attention core, experts or MLPs, some layers, all of them."""
    training, model = scenario.training, scenario.model
    if not training.flash_attention:
        yield Change("attention", {"training.flash_attention": True})
    if training.recompute == "full" and training.recompute_num_layers is None and training.recompute_every is None:
        return
    choices = ("recompute_modules", "recompute_method", "recompute_every", "recompute_num_layers")
    cleared = {f"training.{key}": None for key in choices if getattr(training, key) is not None}
    if training.recompute in (None, "none"):
        if not training.flash_attention:
            yield Change("recompute", {"training.recompute": "selective"})
        part = "moe" if model and model.moe else "mlp"
        yield Change(
            "recompute", {"training.recompute": "selective", "training.recompute_modules": ["core_attn", part]}
        )
    for num_layers in _numbers_of_layers(scenario):
        values = {"training.recompute": "full", "training.recompute_num_layers": num_layers}
        yield Change("recompute", {**cleared, **values})
    yield Change("recompute", {**cleared, "training.recompute": "full"})


def _numbers_of_layers(scenario: Scenario) -> Iterator[int]:
    """Yield powers of two below the layers of a stage, beyond the number that is recomputed already."""
    assert scenario.model is not None
    parallelism, training = scenario.parallelism, scenario.training
    num_stages = scenario.schedule.rules.num_listed_stages(parallelism.pp, parallelism.vpp)
    number = 1
    while number < scenario.model.num_layers // num_stages:
        if number > (training.recompute_num_layers or 0):
            yield number
        number *= 2


def _microbatch(scenario: Scenario) -> Iterator[Change]:
    batch, parts = scenario.batch, 1
    while batch.micro_batch_size // parts % 2 == 0:
        parts *= 2
        more = {} if batch.num_microbatches is None else {"batch.num_microbatches": batch.num_microbatches * parts}
        yield Change("micro-batch", {"batch.micro_batch_size": batch.micro_batch_size // parts, **more})


def _layouts(scenario: Scenario) -> Iterator[Change]:
    """Yield layouts of the same GPUs in which one axis is twice as long and another half."""
    parallelism = scenario.parallelism
    sizes = parallelism.sizes
    for longer in _AXES:
        for shorter in ("dp", *_AXES):
            if shorter == longer or sizes[shorter] % 2:
                continue
            values = {f"parallelism.{longer}": 2 * sizes[longer], f"parallelism.{shorter}": sizes[shorter] // 2}
            if longer == "tp":
                values["parallelism.sequence_parallel"] = True
            yield Change("layout", values | (_same_batch(scenario) if shorter == "dp" else {}))
    if scenario.model and scenario.model.moe and (parallelism.tp * parallelism.cp * parallelism.dp) % 2 == 0:
        yield Change("experts", {"parallelism.ep": 2 * parallelism.ep})


def _same_batch(scenario: Scenario) -> dict[str, Any]:
    """Return what keeps the samples of a step when half the replicas are left."""
    number = scenario.batch.num_microbatches
    return {} if number is None else {"batch.num_microbatches": 2 * number}
