"""Our step times against published measurements, none of which a constant was made for."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from clustersim.analysis.memory import measure_memory
from clustersim.errors import ClustersimError
from clustersim.scenario.gallery import gallery_path
from clustersim.scenario.load import scenario_from_mapping, vary
from clustersim.scenario.units import PS_PER_S
from clustersim.simulation import simulate_representatives

GROUPS = ("dense", "fp8", "moe")


@dataclass(frozen=True, slots=True)
class Measurement:
    """A configuration that somebody ran, and what it took."""

    name: str
    group: str  # dense (16 bits), fp8, or moe
    source: str
    table: str
    step_time_s: float
    peak_memory_bytes: int | None
    scenario: Mapping[str, Any]
    changes: Mapping[str, Any]  # to the gallery's topology, by dotted key


@dataclass(frozen=True, slots=True)
class Deviation:
    """What we say of a measured configuration."""

    measurement: Measurement
    step_time_s: float | None  # None: it could not be run
    peak_bytes: int | None
    reason: str = ""

    @property
    def step_time_error(self) -> float | None:
        """Ours over theirs, less one."""
        return None if self.step_time_s is None else self.step_time_s / self.measurement.step_time_s - 1

    @property
    def memory_error(self) -> float | None:
        """Ours over theirs, less one; None where none is published."""
        published = self.measurement.peak_memory_bytes
        return None if self.peak_bytes is None or published is None else self.peak_bytes / published - 1


@dataclass(frozen=True, slots=True)
class Summary:
    """Errors of one group, as absolute values."""

    group: str
    num_rows: int
    median: float
    ninth_decile: float
    bias: float  # median with its sign
    memory_median: float | None


def read_measurements() -> list[Measurement]:
    """Return the packaged measurements."""
    path = gallery_path("measurements") / "published.jsonl"
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [
        Measurement(
            row["id"],
            row["group"],
            row["source"],
            row["table"] or "",
            row["step_time_s"],
            row.get("peak_memory_bytes"),
            row["scenario"],
            row.get("set", {}),
        )
        for row in rows
    ]


def deviation_of(measurement: Measurement) -> Deviation:
    """Return what we say of one configuration; the reason, if it can't be run."""
    try:
        scenario = vary(scenario_from_mapping(measurement.scenario), measurement.changes)
        trace = simulate_representatives(scenario)
    except ClustersimError as error:
        return Deviation(measurement, None, None, str(error).splitlines()[0])
    peak_bytes = int(measure_memory(trace).peak_bytes.max())
    return Deviation(measurement, trace.makespan_ps / PS_PER_S, peak_bytes)


def deviations(measurements: Sequence[Measurement], num_jobs: int) -> Iterator[Deviation]:
    """Yield the deviation of each configuration, in order, several at a time."""
    if num_jobs == 1 or len(measurements) < 2:
        yield from map(deviation_of, measurements)
        return
    with ProcessPoolExecutor(num_jobs, mp_context=get_context("spawn")) as executor:
        yield from executor.map(deviation_of, measurements)


def summaries(found: Iterable[Deviation]) -> list[Summary]:
    """Return the errors of each group that has any."""
    rows = list(found)
    result = []
    for group in GROUPS:
        mine = [row for row in rows if row.measurement.group == group]
        errors = [row.step_time_error for row in mine if row.step_time_error is not None]
        memory = [abs(row.memory_error) for row in mine if row.memory_error is not None]
        if errors:
            of_memory = statistics.median(memory) if memory else None
            sizes = error_sizes(errors)
            result.append(Summary(group, len(errors), sizes.median, sizes.ninth_decile, sizes.bias, of_memory))
    return result


@dataclass(frozen=True, slots=True)
class ErrorSizes:
    """How large some errors are."""

    median: float  # of their absolute values, as the ninth decile
    ninth_decile: float
    bias: float  # median with its sign


def error_sizes(errors: Sequence[float]) -> ErrorSizes:
    """Return how large some errors are.

    Examples
    --------
    >>> error_sizes([0.1, -0.3, 0.2])
    ErrorSizes(median=0.2, ninth_decile=0.3, bias=0.1)
    """
    sizes = sorted(map(abs, errors))
    ninth = sizes[round(0.9 * (len(sizes) - 1))]
    return ErrorSizes(statistics.median(sizes), ninth, statistics.median(errors))
