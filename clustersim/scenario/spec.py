"""The scenario: frozen models of everything that a scenario file may say.

Every key is documented here or in the file of its section, and nowhere else; ``schema`` shows these texts. Rules over
several sections stand in ``rules.py`` and run whenever a Scenario is built.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, WithJsonSchema, model_validator

from clustersim.scenario.batch import Batch
from clustersim.scenario.costs import CostsByStage, RankCosts, StageCosts
from clustersim.scenario.economics import Economics
from clustersim.scenario.fabrics import Topology
from clustersim.scenario.findings import Finding, raise_if_any
from clustersim.scenario.memory import MemoryOptions
from clustersim.scenario.model import ModelSpec
from clustersim.scenario.node import Node
from clustersim.scenario.order_file import OrderFile
from clustersim.scenario.parallelism import MAX_GPUS, Parallelism
from clustersim.scenario.placement import PLACEMENT_NAMES, Placement
from clustersim.scenario.plan import PlanSpec
from clustersim.scenario.profile import PartName, Profile, ProfileRow, chosen_rows, configuration_of
from clustersim.scenario.rules import Parts, costs_findings, scenario_findings
from clustersim.scenario.schedule_choice import SCHEDULE_RULES, ScheduleChoice
from clustersim.scenario.shorthand import OrText
from clustersim.scenario.sweep import Sweep, sweep_findings
from clustersim.scenario.topology_file import TopologySource
from clustersim.scenario.training import Training
from clustersim.scenario.units import SizeBytes, TimePs

SPEC_VERSION = 1
MAX_STEPS = 10_000

# built when first used: most sections are only ever built as parts of a Scenario
_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


def _spec_version(value: Any) -> Any:
    if type(value) is not int or value != SPEC_VERSION:
        raise ValueError(f"got {value!r}; this version of clustersim reads `version: {SPEC_VERSION}`")
    return value


class ClusterSpec(BaseModel):
    """The cluster that the job runs on."""

    model_config = _STRICT

    topology: Annotated[Topology, OrText("a name from the gallery, or a path relative to this file")] = Field(
        description="Topology of the cluster: a gallery name, a path, or the topology itself."
    )
    gpus: int | None = Field(
        None,
        ge=1,
        le=MAX_GPUS,
        description="GPUs of the job; absent: all that the topology has. A gallery topology is built this large.",
    )
    placement: Annotated[Placement, OrText("the placement's name", PLACEMENT_NAMES)] = Field(
        default_factory=Placement, description="Which hosts the job gets, and which GPU each rank."
    )


class Overlap(BaseModel):
    """Which communication runs beside compute."""

    model_config = _STRICT

    grad_reduce: bool = Field(True, description="Reduction of gradients over dp beside the backward.")
    param_gather: bool = Field(True, description="Gathering of parameters over dp beside the forward.")
    tp: bool = Field(False, description="Tensor-parallel communication beside its layer's compute.")
    cp: bool = Field(False, description="Context-parallel communication beside its layer's compute.")
    fsdp_forward: bool = Field(True, description="ZeRO 3: gathering of a layer's weights beside the forward before.")
    fsdp_backward: bool = Field(
        True,
        description="ZeRO 3: the same beside the backward, as FSDP's BACKWARD_PRE; false: its BACKWARD_POST. Gradients "
        "are scattered beside the backward always.",
    )


class Runtime(BaseModel):
    """How the training framework behaves."""

    model_config = _STRICT

    p2p: Literal["asynchronous", "blocking"] = Field(
        "asynchronous", description="asynchronous: a send starts when its op ends; blocking: rendezvous, as Megatron's."
    )
    overlap: Overlap = Field(default_factory=Overlap, description="Which communication runs beside compute.")
    optimizer_barrier: bool = Field(
        True, description="Whether all ranks wait for one another before the optimizer step."
    )
    gradient_bucket: Annotated[SizeBytes, Field(ge=1)] = Field(
        160_000_000,
        description="Gradients that are reduced at once beside the backward; absent: 160 MB, Megatron-LM's 40 million "
        "in fp32.",
    )
    host_gap: TimePs | None = Field(
        None,
        description="What the host takes beside each forward and backward op; absent: as in the device's file, none "
        "with stage_costs.",
    )
    scatter_gather: bool = Field(
        False,
        description="Whether each rank of a tp group sends its part of a message, and the receivers gather the parts.",
    )
    memory: MemoryOptions = Field(
        default_factory=MemoryOptions, description="What a GPU holds beside the model's tensors."
    )


@dataclass(frozen=True, slots=True)
class LoadedFrom:
    """Where a scenario and its topology come from."""

    path: str | None
    folder: FilePath  # from which its paths start
    sha256: str  # of the scenario file's bytes, or of the mapping as canonical JSON
    topology_name: str
    topology_sha256: str
    topology: TopologySource | None  # None for one that stands in the scenario itself
    order: OrderFile | None  # of `schedule.csv`
    root: Node  # the whole scenario with positions, for `show` and for variants


class Scenario(BaseModel):
    """One job on one cluster, complete and checked."""

    model_config = _STRICT

    version: Annotated[int, BeforeValidator(_spec_version), WithJsonSchema({"const": SPEC_VERSION})] = Field(
        description="Version of this format."
    )
    name: str = Field("", max_length=1000, description="What the scenario is called in reports.")
    model: Annotated[ModelSpec, OrText("a name from the gallery")] | None = Field(
        None, description="The model that is trained: a gallery name, {huggingface: config.json}, or its shape."
    )
    stage_costs: StageCosts | None = Field(
        None, description="Explicit costs of one micro-batch in place of a model: per rank, or {stages: [...]}."
    )
    cluster: ClusterSpec = Field(description="The cluster that the job runs on.")
    parallelism: Parallelism = Field(default_factory=Parallelism, description="Sizes of the parallelism axes.")
    batch: Batch = Field(description="Samples of one training step.")
    schedule: Annotated[ScheduleChoice, OrText("the schedule's name", tuple(SCHEDULE_RULES))] = Field(
        description="The pipeline schedule."
    )
    training: Training = Field(default_factory=Training, description="How the model is trained.")
    runtime: Runtime = Field(default_factory=Runtime, description="How the training framework behaves.")
    profile: Annotated[Profile, OrText("the path of a CSV file, relative to this one")] | None = Field(
        None, description="Measured times of the model's parts: a CSV file, or its rows. Absent: all are derived."
    )
    economics: Annotated[Economics, OrText("a name from the gallery, or a path relative to this file")] | None = Field(
        None, description="What GPUs cost and draw: a file, or the values; what is not given is as in list-prices."
    )
    steps: int = Field(1, ge=1, le=MAX_STEPS, description="Training steps in a row.")
    seed: int = Field(0, ge=0, le=2**63 - 1, description="Seed of everything random.")
    sweep: Sweep | None = Field(None, description="Values to vary.")
    plan: PlanSpec | None = Field(None, description="What `plan` searches, and within which limits.")

    _loaded_from: LoadedFrom | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        sections = {name: getattr(self, name) for name in SECTIONS}
        raise_if_any([*costs_findings(self.model is not None, self.stage_costs is not None), *cross_findings(sections)])
        return self

    @property
    def has_split_backward(self) -> bool:
        """Whether the two halves of the backward are known apart."""
        given = self.stage_costs
        if given is None:
            return all(row.has_split_backward for row in self.measured_rows().values())
        return all(cost.has_split_backward for cost in ((given,) if isinstance(given, RankCosts) else given.stages))

    def measured_rows(self, device: str | None = None) -> dict[PartName, ProfileRow]:
        """Return the rows of the profile for this scenario's configuration, by part; those that are not are derived.

        Parameters
        ----------
        device
            Name of a GPU's device; None: the topology's.

        Raises
        ------
        ValueError
            The profile has rows of a part, but none for this configuration.
        """
        if self.model is None or self.profile is None:
            return {}
        asked = configuration_of(self.model, self.cluster, self.parallelism, self.batch, self.training, device)
        return chosen_rows(self.profile, self.model, asked)

    @property
    def loaded_from(self) -> LoadedFrom | None:
        """Where the scenario was read; None for one that was built in Python."""
        return self._loaded_from

    def with_origin(self, loaded_from: LoadedFrom) -> Self:
        """Return this scenario with the place where it was read."""
        copy = self.model_copy()
        copy._loaded_from = loaded_from
        return copy


SECTIONS: Mapping[str, Any] = {
    "model": ModelSpec,
    "stage_costs": StageCosts,
    "profile": Profile,
    "cluster": ClusterSpec,
    "parallelism": Parallelism,
    "batch": Batch,
    "schedule": ScheduleChoice,
    "training": Training,
    "runtime": Runtime,
    "economics": Economics,
    "sweep": Sweep,
    "plan": PlanSpec,
}


def cross_findings(sections: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong between `sections`, each validated, or None if it has mistakes of its own."""
    yield from scenario_findings(Parts(**{name: sections[name] for name in SECTIONS if name not in ("sweep", "plan")}))
    if sections["sweep"]:
        yield from sweep_findings(Scenario, sections["sweep"])


__all__ = ["ClusterSpec", "CostsByStage", "Overlap", "RankCosts", "Runtime", "Scenario", "Sweep", "Training"]
