"""A scenario on other numbers of GPUs: data parallelism grows, all other axes stay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clustersim.analysis.learning_rate import LEARNING_RATE_NOTE, learning_rate_factors
from clustersim.errors import Fault, ScenarioError
from clustersim.planning.point import Found, Refused, Runner, point_of
from clustersim.planning.variant import reason_of
from clustersim.scenario.batch import MAX_BATCH_SIZE
from clustersim.scenario.load import vary
from clustersim.scenario.spec import Scenario
from clustersim.workload.job import num_samples


def replica_gpus(scenario: Scenario) -> int:
    """Return the GPUs of one data-parallel replica, of which each larger job is a multiple."""
    return scenario.parallelism.num_gpus // scenario.parallelism.dp


def grown(scenario: Scenario, num_gpus: int, weak: bool = False, more: Mapping[str, Any] | None = None) -> Scenario:
    """Return `scenario` on `num_gpus` GPUs, by more or fewer replicas.

    Parameters
    ----------
    scenario
        A scenario that was loaded.
    num_gpus
        GPUs of the job.
    weak
        Whether each replica keeps its samples, so that the global batch grows with them; otherwise the global batch
        stays, and each replica gets fewer.
    more
        Further values to replace, by dotted key.

    Raises
    ------
    ScenarioError
        No whole number of replicas has so many GPUs, or they can't share the batch evenly.
    """
    unit = replica_gpus(scenario)
    if num_gpus < unit or num_gpus % unit:
        what = f"got {num_gpus}; a replica has {unit} GPUs (tp * cp * pp)"
        raise ScenarioError(Fault("cluster.gpus", what, hint=f"allowed: multiples of {unit}"))
    dp, samples = num_gpus // unit, num_samples(scenario)
    if weak:
        scaled = samples * dp
        if scaled % scenario.parallelism.dp:
            what = f"{samples} samples on {scenario.parallelism.dp} replicas are no whole number on {dp}"
            raise ScenarioError(Fault("batch.global_batch_size", what))
        samples = scaled // scenario.parallelism.dp
    batch = {"batch.global_batch_size": samples, "batch.num_microbatches": None}
    return vary(scenario, {"cluster.gpus": num_gpus, "parallelism.dp": dp, **batch, **(more or {})})


def grown_point(scenario: Scenario, num_gpus: int, weak: bool, runner: Runner) -> Found | Refused:
    """Return `scenario` on `num_gpus` GPUs with what was found of it; why not, if it can't be run."""
    try:
        asked = grown(scenario, num_gpus, weak)
    except ScenarioError as error:
        return Refused(num_gpus, reason_of(error))
    return point_of(asked, runner)


def admissible(scenario: Scenario, most_gpus: int | None = None, weak: bool = False) -> list[int]:
    """Return all numbers of GPUs, rising, on which replicas of `scenario` share its batch evenly.

    Parameters
    ----------
    scenario
        The job.
    most_gpus
        The largest number; None: as many as the batch has micro-batches for, or 1,024 replicas where it grows.
    weak
        Whether each replica keeps its samples.

    Examples
    --------
    >>> from clustersim.scenario.load import load_scenario
    >>> admissible(load_scenario("llama-3.1-8b-64gpus"))  # 512 samples on replicas of 2 GPUs
    [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
    """
    unit, samples, size = replica_gpus(scenario), num_samples(scenario), scenario.batch.micro_batch_size
    short = scenario.batch.remainder is not None
    if weak:
        each, most = samples // scenario.parallelism.dp, 1024
        numbers = [dp for dp in range(1, most + 1) if each * dp <= MAX_BATCH_SIZE]
    else:
        numbers = [dp for dp in range(1, samples + 1) if short or samples % (dp * size) == 0]
    counts = (dp * unit for dp in numbers)
    return [count for count in counts if most_gpus is None or count <= most_gpus]


def doubled(first: int, last: int) -> Iterator[int]:
    """Yield numbers from `first` to `last`, each twice the one before, and `last` itself.

    Examples
    --------
    >>> list(doubled(64, 600))
    [64, 128, 256, 512, 600]
    """
    while first < last:
        yield first
        first *= 2
    yield last


def learning_rate_note(scenario: Scenario, batch_sizes: Sequence[int]) -> str | None:
    """Return what batches other than the one that the learning rate was chosen for ask of it; None where there is none.

    That is `training.reference_global_batch_size`, or else the scenario's own batch.
    """
    reference = scenario.training.reference_global_batch_size or num_samples(scenario)
    other = [size for size in dict.fromkeys(batch_sizes) if size != reference]
    if not other:
        return None
    told = []
    for size in other:
        factors = learning_rate_factors(size, reference)
        told.append(f"{size} samples: {factors.linear:.4g} or {factors.square_root:.4g}")
    rules = "times the linear or the square-root rule's factor"
    return f"learning rate, chosen for {reference} samples a step, {rules}: {', '.join(told)}. {LEARNING_RATE_NOTE}"
