"""The fewest GPUs that train on so many tokens by a date."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from clustersim.economics import Rates
from clustersim.errors import Fault, ScenarioError
from clustersim.planning.assumptions import assumptions_of
from clustersim.planning.growth import admissible, grown_point, learning_rate_note, replica_gpus
from clustersim.planning.point import Found, Point, Refused, Runner, Training, scenario_of, training_of
from clustersim.result import plain_values
from clustersim.scenario.devices import Device
from clustersim.scenario.fabrics import GraphFile
from clustersim.scenario.spec import Scenario
from clustersim.workload.job import num_samples
from clustersim.workload.rank_devices import named_devices
from clustersim.workload.step_work import step_work

FEWEST_SCHEMA = "clustersim/size-gpus/1"


@dataclass(frozen=True, slots=True)
class Sized:
    """One number of GPUs that was tried."""

    point: Point
    training: Training
    in_time: bool
    fits: bool  # in memory; where nobody knows the capacity, too
    price_basis: str


@dataclass(frozen=True, slots=True)
class Fewest:
    """The fewest GPUs, and all that were tried on the way."""

    name: str
    tokens: int
    limit_s: float
    sure: bool  # the later end of the interval meets the limit, too
    answer: Sized | None  # None: no number of GPUs meets the limit
    nearest: Sized | None  # then the one that comes nearest
    tried: tuple[Sized, ...]
    too_few: tuple[int, ...]  # that would be late even if every GPU computed at its peak all the time: not run
    refused: tuple[Refused, ...]
    most_gpus: int  # the largest number that the batch can be shared by, or that was allowed
    learning_rate: str | None
    assumptions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``size gpus --json``."""
        return {"schema": FEWEST_SCHEMA, **plain_values(self)}


def fewest_gpus(
    scenario: Scenario | str | Path,
    tokens: int,
    limit_s: float,
    most_gpus: int | None = None,
    weak: bool = False,
    sure: bool = False,
    runner: Runner | None = None,
    on_point: Callable[[int], None] | None = None,
) -> Fewest:
    """Return the fewest GPUs on which a model is trained on `tokens` within `limit_s` and fits in memory.

    Parameters
    ----------
    scenario
        A scenario with a model that was loaded, the path of a file, or a name from the gallery; dp grows with the
        GPUs, all other axes stay unless `runner` lays them out.
    tokens
        Tokens of the training.
    limit_s
        How long it may take. [s]
    most_gpus
        GPUs that there are; None: as many as can share the batch.
    weak
        Whether the global batch grows with the GPUs.
    sure
        Whether the later end of the interval of the time must meet the limit.
    runner
        How each configuration is laid out and run.
    on_point
        Called with each number before it is run.

    Raises
    ------
    ScenarioError
        No model, nothing to train on, no time for it, or fewer GPUs than a replica has.

    Notes
    -----
    More GPUs need not be faster, so numbers are tried one by one from the fewest; the first that meets the limit is the
    answer. Only those are left out of which it is certain that they can't: the model's FLOP, attention counted causal,
    at the peak of the fastest device of the topology take longer than the limit.
    """
    scenario, runner = scenario_of(scenario), runner or Runner()
    _check(scenario, tokens, limit_s)
    counts = admissible(scenario, most_gpus, weak)
    if not counts:
        unit = replica_gpus(scenario)
        what = f"got at most {most_gpus}; a replica has {unit} GPUs (tp * cp * pp)"
        raise ScenarioError(Fault("cluster.gpus", what, hint=f"allowed: from {unit}"))
    least_s = _least_s(scenario, tokens)
    too_few = tuple(count for count in counts[:-1] if limit_s < least_s / count)  # the most come nearest if all are
    tried: list[Sized] = []
    refused: list[Refused] = []
    rates_by_gpus: dict[int, Rates] = {}
    for number in counts[len(too_few) :]:
        if on_point is not None:
            on_point(number)
        found = grown_point(scenario, number, weak, runner)
        if isinstance(found, Refused):
            refused.append(found)
            continue
        rates_by_gpus[number] = found.rates
        tried.append(_sized(found, tokens, limit_s, sure))
        if tried[-1].in_time and tried[-1].fits:
            break
    answer = tried[-1] if tried and tried[-1].in_time and tried[-1].fits else None
    nearest = None if answer else nearest_of(tried)
    best = answer or nearest
    return Fewest(
        scenario.name,
        tokens,
        limit_s,
        sure,
        answer,
        nearest,
        tuple(tried),
        too_few,
        tuple(refused),
        counts[-1],
        learning_rate_note(scenario, [best.point.global_batch_size] if best else []),
        assumptions_of(scenario, runner, rates_by_gpus[best.point.num_gpus] if best else None),
    )


def _check(scenario: Scenario, tokens: int, limit_s: float) -> None:
    faults = []
    if scenario.model is None:
        faults.append(Fault("model", "the scenario gives the costs of its stages; tokens need a `model`"))
    if tokens <= 0:
        faults.append(Fault("tokens", f"got {tokens}; allowed: above 0"))
    faults += limit_faults(limit_s)
    if faults:
        raise ScenarioError(faults)


def limit_faults(limit_s: float) -> list[Fault]:
    """Return what is wrong with the time that a training may take. [s]"""
    if 0 < limit_s < math.inf:
        return []
    return [Fault("limit", f"got {limit_s} s; the time that is left is a number above 0")]


def _sized(found: Found, tokens: int, limit_s: float, sure: bool) -> Sized:
    training = training_of(found, tokens)
    latest = training.time_interval_s[1] if sure and training.time_interval_s else training.time_s
    fits = found.point.fits is not False
    return Sized(found.point, training, latest <= limit_s, fits, found.rates.price_basis)


def nearest_of(tried: Sequence[Sized]) -> Sized | None:
    """Return what comes nearest to a limit that nothing meets: the soonest that fits, or else the leanest."""
    fitting = [one for one in tried if one.fits]
    if fitting:
        return min(fitting, key=lambda one: (one.training.time_s, one.point.num_gpus))
    return min(tried, key=lambda one: (one.point.peak_bytes, one.point.num_gpus), default=None)


def _least_s(scenario: Scenario, tokens: int) -> Fraction:
    """Return how long one GPU at its peak would take, the fastest that the topology names; no run can be faster. [s]

    0 where the peak of one of them is not published, or nodes of a graph's file may name others.
    """
    devices = named_devices(scenario)
    if isinstance(scenario.cluster.topology, GraphFile):
        return Fraction(0)
    return min(_least_on_s(scenario, tokens, device) for device in devices)


def _least_on_s(scenario: Scenario, tokens: int, device: Device) -> Fraction:
    assert scenario.model is not None
    rules, parallelism = scenario.schedule.rules, scenario.parallelism
    num_stages = rules.num_listed_stages(parallelism.pp, parallelism.vpp)
    work = step_work(scenario, num_stages, "causal", (device,))
    if work.peak_flop_per_s is None:
        return Fraction(0)
    samples = Fraction(tokens, scenario.model.seq_length)
    return samples * Fraction(work.model_flop) / num_samples(scenario) / Fraction(work.peak_flop_per_s)
