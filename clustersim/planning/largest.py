"""The largest model that fits in memory: the largest value of one of its sizes, or the largest of a list of models."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clustersim.errors import ClustersimError, Fault, InvariantError, ScenarioError
from clustersim.planning.assumptions import assumptions_of
from clustersim.planning.point import Found, Point, Refused, Runner, point_of, scenario_of
from clustersim.planning.threshold import largest_that_fits
from clustersim.planning.variant import reason_of
from clustersim.result import plain_values
from clustersim.scenario.aliases import canonical
from clustersim.scenario.keys import axis_findings
from clustersim.scenario.load import vary
from clustersim.scenario.models import load_model, model_names
from clustersim.scenario.override import split_key
from clustersim.scenario.spec import Scenario
from clustersim.simulation import peak_bytes_by_rank
from clustersim.workload.capacities import capacities_by_rank
from clustersim.workload.model.parameters import parameters

LARGEST_SCHEMA = "clustersim/size-model/1"
NUM_LAYERS, HIDDEN_SIZE, SEQ_LENGTH = "model.num_layers", "model.hidden_size", "model.seq_length"


@dataclass(frozen=True, slots=True)
class ModelSize:
    """One model that was tried."""

    value: int | str  # of the key, or the model's name
    parameters: int
    peak_bytes: int
    over_bytes: int  # that the fullest GPU lacks; 0 where all fit
    fits: bool


@dataclass(frozen=True, slots=True)
class Largest:
    """The largest model that fits, and the next that does not."""

    name: str
    key: str
    capacity_bytes: int  # of the smallest GPU of the job
    answer: ModelSize | None  # None: nothing that was tried fits
    point: Point | None  # its run
    next: ModelSize | None  # the smallest that was found not to fit
    tried: tuple[ModelSize, ...]
    refused: tuple[str, ...]
    assumptions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``size model --json``."""
        return {"schema": LARGEST_SCHEMA, **plain_values(self)}


def largest_model(
    scenario: Scenario | str | Path,
    key: str = NUM_LAYERS,
    step: int | None = None,
    runner: Runner | None = None,
    on_value: Callable[[int], None] | None = None,
) -> Largest:
    """Return the largest value of a size of the model with which the job fits in memory, whose peaks are exact.

    Parameters
    ----------
    scenario
        A scenario with a model, on a device: one that was loaded, the path of a file, or a name from the gallery.
    key
        Which size, a whole number, by its dotted key.
    step
        What values are multiples of; None: for layers the stages of the pipeline, which share them evenly, for the
        hidden size the heads, which tp shares, for the sequence what tp and cp share, else 1.
    runner
        How each configuration is laid out and run.
    on_value
        Called with each value before it is tried.

    Raises
    ------
    ScenarioError
        No model, no device, a step below 1, or a key that is no size of the model.

    Notes
    -----
    The peak must not fall where the size grows. The search starts at the scenario's own value, doubles until it does
    not fit, and then bisects; the answer's next multiple is tried, where it can be run, so that it is told how much it
    lacks.
    """
    scenario, runner = scenario_of(scenario), runner or Runner()
    capacity, own = _capacity(scenario), _value_of(scenario, key)
    if step is not None and step < 1:
        raise ScenarioError(Fault("step", f"got {step}; allowed: from 1"))
    step = step or _usual_step(scenario, key)
    search = _Search(scenario, runner, key, on_value)
    most = largest_that_fits(lambda times: search.fits(times * step), max(1, own // step))
    answer = None if most is None else search.tried[most * step]
    beyond = [size for size in search.tried.values() if not size.fits]
    return _answer(scenario, runner, key, capacity, search, answer, beyond)


def largest_of_models(scenario: Scenario | str | Path, models: Sequence[str], runner: Runner | None = None) -> Largest:
    """Return the model with most parameters, of some in the gallery, with which the job fits in memory.

    A name with ``*`` stands for all names of the gallery that are like it: ``llama-3.1-*``.

    Raises
    ------
    ScenarioError
        No device, no models, or a name that the gallery has not.
    """
    scenario, runner = scenario_of(scenario), runner or Runner()
    capacity = _capacity(scenario)
    search = _Search(scenario, runner, "model", None)
    for name in sorted(_names(models), key=lambda name: parameters(load_model(name)).total):
        search.fits(name)
    sizes = list(search.tried.values())
    answer = max((size for size in sizes if size.fits), key=lambda size: size.parameters, default=None)
    larger = [size for size in sizes if not size.fits and (answer is None or size.parameters > answer.parameters)]
    return _answer(scenario, runner, "model", capacity, search, answer, larger)


class _Search:
    """Values of one key that were tried, with their peaks."""

    def __init__(
        self,
        scenario: Scenario,
        runner: Runner,
        key: str,
        on_value: Callable[[int], None] | None,
    ) -> None:
        self._scenario, self._runner = scenario, runner
        self._key, self._on_value = key, on_value
        self.tried: dict[int | str, ModelSize] = {}
        self.refused: dict[int | str, str] = {}

    def scenario_with(self, value: int | str) -> Scenario:
        """Return the scenario with a value, laid out."""
        return self._runner.laid_out(vary(self._scenario, {self._key: value}))

    def fits(self, value: int | str) -> bool | None:
        """Return whether the job fits with a value; None if it can't be run."""
        if value in self.refused:
            return None
        if value in self.tried:
            return self.tried[value].fits
        if self._on_value is not None and isinstance(value, int):
            self._on_value(value)
        try:
            scenario = self.scenario_with(value)
            peaks = peak_bytes_by_rank(scenario, self._runner.plugins)
            capacities = capacities_by_rank(scenario)
        except InvariantError:
            raise
        except ClustersimError as error:
            self.refused[value] = f"{self._key} {value}: {reason_of(error)}"
            return None
        assert scenario.model is not None
        lacking = (peak - capacity for peak, capacity in zip(peaks, capacities, strict=True) if capacity is not None)
        over = max(0, *lacking)
        size = ModelSize(value, parameters(scenario.model).total, max(peaks), over, over == 0)
        self.tried[value] = size
        return size.fits


def _answer(
    scenario: Scenario,
    runner: Runner,
    key: str,
    capacity: int,
    search: _Search,
    answer: ModelSize | None,
    beyond: Sequence[ModelSize],
) -> Largest:
    found: Found | Refused | None = None
    if answer is not None:
        scenario = search.scenario_with(answer.value)  # what the answer rests on is that of its own model
        found = point_of(scenario, Runner(None, runner.limits, runner.plugins))
    ran = found if isinstance(found, Found) else None
    return Largest(
        scenario.name,
        key,
        capacity,
        answer,
        ran and ran.point,
        min(beyond, key=lambda size: (size.parameters, str(size.value)), default=None),
        tuple(sorted(search.tried.values(), key=lambda size: size.parameters)),
        tuple(search.refused.values()),
        (
            "peaks of memory are exact for what is run; how far off they are stands in `validate-model`",
            *assumptions_of(scenario, runner, ran and ran.rates),
        ),
    )


def _capacity(scenario: Scenario) -> int:
    faults = []
    if scenario.model is None:
        faults.append(Fault("model", "the scenario gives the costs of its stages, and has no model to make larger"))
    known = [capacity for capacity in capacities_by_rank(scenario) if capacity is not None]
    if len(known) < scenario.parallelism.pp:
        faults.append(Fault("cluster.topology", "it names no device, so that nobody knows how much memory there is"))
    if faults:
        raise ScenarioError(faults)
    return min(known)


def _value_of(scenario: Scenario, key: str) -> int:
    """Return the scenario's own value of a size of the model."""
    findings = list(axis_findings(Scenario, [key]))
    if findings or not key.startswith("model."):
        hint = findings[0].hint if findings else "name a size of the model, such as model.num_layers"
        raise ScenarioError(Fault(key, "no size of the model", hint=hint))
    value: Any = scenario
    for name in canonical(split_key(key)):
        value = getattr(value, str(name), None)
    if type(value) is not int:
        what = f"the scenario gives it no whole number to start at, but {value!r}"
        raise ScenarioError(Fault(key, what, hint=f"--set {key}=N, or another size of the model"))
    return value


def _names(models: Sequence[str]) -> list[str]:
    """Return the names of models, each once."""
    known = model_names()
    found = [name for asked in models for name in (fnmatch.filter(known, asked) if "*" in asked else [asked])]
    if not found:
        raise ScenarioError(Fault("models", f"got {', '.join(models) or 'none'}; no model of the gallery is called so"))
    return list(dict.fromkeys(found))


def _usual_step(scenario: Scenario, key: str) -> int:
    parallelism, model = scenario.parallelism, scenario.model
    assert model is not None
    if key == NUM_LAYERS:
        return scenario.schedule.rules.num_listed_stages(parallelism.pp, parallelism.vpp)
    if key == SEQ_LENGTH:
        return math.lcm(parallelism.tp, 2 * parallelism.cp)
    return math.lcm(model.num_attention_heads, parallelism.tp) if key == HIDDEN_SIZE else 1
