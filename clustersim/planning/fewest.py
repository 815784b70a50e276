"""The fewest GPUs that train on so many tokens by a date."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from clustersim.errors import Fault, ScenarioError
from clustersim.planning.assumptions import assumptions_of
from clustersim.planning.growth import admissible, grown_point, learning_rate_note
from clustersim.planning.point import Point, Refused, Runner, Training, scenario_of, training_of
from clustersim.result import plain_values
from clustersim.scenario.spec import Scenario
from clustersim.workload.job import num_samples
from clustersim.workload.rank_devices import usual_device
from clustersim.workload.step_work import step_work

FEWEST_SCHEMA = "clustersim/size-gpus/1"


@dataclass(frozen=True, slots=True)
class Sized:
    """One number of GPUs that was tried."""

    point: Point
    training: Training
    in_time: bool
    fits: bool  # in memory; where nobody knows the capacity, too


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
        No model, or nothing to train on.

    Notes
    -----
    More GPUs need not be faster, so numbers are tried one by one from the fewest; the first that meets the limit is the
    answer. Only those are left out of which it is certain that they can't: the model's FLOP, attention counted causal,
    at the peak of the device take longer than the limit.
    """
    scenario, runner = scenario_of(scenario), runner or Runner()
    _check(scenario, tokens, limit_s)
    counts = admissible(scenario, most_gpus, weak)
    if not counts:
        raise ScenarioError(Fault("most_gpus", f"got {most_gpus}; one replica alone has more GPUs"))
    too_few = tuple(count for count in counts if limit_s < _least_s(scenario, tokens) / count)
    tried: list[Sized] = []
    refused: list[Refused] = []
    for number in counts[len(too_few) :] or counts[-1:]:  # the most come nearest where all are too few
        if on_point is not None:
            on_point(number)
        found = grown_point(scenario, number, weak, runner)
        if isinstance(found, Refused):
            refused.append(found)
            continue
        tried.append(_sized(*found, tokens, limit_s, sure))
        if tried[-1].in_time and tried[-1].fits:
            break
    answer = tried[-1] if tried and tried[-1].in_time and tried[-1].fits else None
    nearest = None if answer else nearest_of(tried)
    told = [one.point.global_batch_size for one in (answer, nearest) if one]
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
        learning_rate_note(scenario, told),
        assumptions_of(scenario, runner),
    )


def _check(scenario: Scenario, tokens: int, limit_s: float) -> None:
    faults = []
    if scenario.model is None:
        faults.append(Fault("model", "the scenario gives the costs of its stages; tokens need a `model`"))
    if tokens <= 0:
        faults.append(Fault("tokens", f"got {tokens}; allowed: above 0"))
    if limit_s <= 0:
        faults.append(Fault("limit", f"got {limit_s} s; the time that is left is above 0"))
    if faults:
        raise ScenarioError(faults)


def _sized(scenario: Scenario, point: Point, tokens: int, limit_s: float, sure: bool) -> Sized:
    training = training_of(scenario, point, tokens)
    latest = training.time_interval_s[1] if sure and training.time_interval_s else training.time_s
    return Sized(point, training, latest <= limit_s, point.fits is not False)


def nearest_of(tried: Sequence[Sized]) -> Sized | None:
    """Return what comes nearest to a limit that nothing meets: the soonest that fits, or else the leanest."""
    fitting = [one for one in tried if one.fits]
    if fitting:
        return min(fitting, key=lambda one: (one.training.time_s, one.point.num_gpus))
    return min(tried, key=lambda one: (one.point.peak_bytes, one.point.num_gpus), default=None)


def _least_s(scenario: Scenario, tokens: int) -> Fraction:
    """Return how long one GPU at its peak would take, 0 if that is not published; no run can be faster. [s]"""
    assert scenario.model is not None
    rules, parallelism = scenario.schedule.rules, scenario.parallelism
    if not usual_device(scenario).peak_flop_per_s:
        return Fraction(0)
    work = step_work(scenario, rules.num_listed_stages(parallelism.pp, parallelism.vpp), "causal")
    samples = Fraction(tokens, scenario.model.seq_length)
    return samples * Fraction(work.model_flop) / num_samples(scenario) / Fraction(work.peak_flop_per_s or 1)
