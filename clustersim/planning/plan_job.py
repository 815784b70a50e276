"""What a plan searches: the scenario's own choices, and what it leaves open, on each cluster and number of GPUs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clustersim.errors import Fault, ScenarioError
from clustersim.planning.layout_work import Setting
from clustersim.planning.layouts import KEYS, Layout, Space, frames, variants
from clustersim.planning.plan_sizes import numbers_of_gpus, pools_of, require_numbers_there, seed_of
from clustersim.scenario.devices import load_device
from clustersim.scenario.load import Draft
from clustersim.scenario.parallelism import Parallelism
from clustersim.scenario.plan import Objective, PlanSpec
from clustersim.scenario.schedule_choice import SCHEDULE_RULES
from clustersim.scenario.spec import Scenario
from clustersim.workload.job import budget_steps

_OF_RECOMPUTATION = ("recompute_modules", "recompute_method", "recompute_num_layers", "recompute_every")


@dataclass(frozen=True, slots=True)
class Job:
    """One cluster and number of GPUs to search."""

    draft: Draft
    scenario: Scenario  # one layout of it, on one GPU
    spec: PlanSpec
    fixed: Mapping[str, Any]
    values: Mapping[str, Any]  # by which it differs from the draft, by dotted key; None takes one away
    num_gpus: int
    cluster_name: str

    @property
    def name(self) -> str:
        """What the scenario is called."""
        return self.scenario.name

    @property
    def space(self) -> Space:
        """What is searched."""
        scenario = self.scenario
        assert scenario.model is not None
        assert scenario.batch.global_batch_size is not None
        return Space(
            scenario.model,
            scenario.batch.global_batch_size,
            self.num_gpus,
            self.fixed,
            self.spec,
            scenario.parallelism.model_copy(update=self._unsearched()),
            scenario.runtime.p2p == "blocking",
        )

    @property
    def capacity_bytes(self) -> int | None:
        """Memory of a GPU that may be used: the device's, or less. [bytes]"""
        device, limit = self.scenario.cluster.topology.device, self.spec.limits.memory
        known = [size for size in (load_device(device).memory if device else None, limit) if size is not None]
        return min(known, default=None)

    @property
    def num_steps(self) -> int | None:
        """Steps that the token budget takes, None without one."""
        return budget_steps(self.scenario)

    def setting(self) -> Setting | None:
        """Return what workers need to know, with the first layout that there is; None if there is none."""
        frame = next(frames(self.space), None)
        if frame is None:
            return None
        layout = frame.layout(*variants(self.space, frame)[0])
        return Setting(self.draft.scenario(self._values_of(layout)), self.fixed, self.capacity_bytes)

    def file_of(self, layout: Layout) -> dict[str, Any]:
        """Return the scenario of a layout as a file has it."""
        values = self.draft.values(self._values_of(layout))
        if self.fixed.get("vpp") is None and layout.vpp == 1:
            values["parallelism"].pop("vpp", None)
        return values

    def assumptions(self) -> Iterator[str]:
        """Yield what was taken as given, and what was searched."""
        kept = {KEYS[name]: value for name, value in self.fixed.items()}
        if kept:
            yield "as the scenario says: " + ", ".join(f"{key} = {value}" for key, value in kept.items())
        searched = [name for name in KEYS if name not in self.fixed and name != "sequence_parallel"]
        yield "searched: " + ", ".join(searched) + "; the batch and everything else stay as they are"
        if "sequence_parallel" not in self.fixed:
            yield "tensor parallelism shards the sequence, too, wherever it can"
        yield (
            "layouts are legal where the scenario's rules allow them, and distinct: one schedule stands for all on one "
            "pipeline rank, no ZeRO without replicas, two chunks at least under a schedule with loops; all "
            "micro-batches have one size, all replicas one share"
        )
        yield "bounds take messages and collectives as unhindered; what was pruned can't be faster in the simulation"
        if any(SCHEDULE_RULES[name].is_bidirectional for name in self._schedules()):
            yield "the two copies of a stage under a bidirectional schedule do not pay for summing their gradients"
        yield (
            "one step is looked at; steps follow one another without failures, restarts, evaluation or waiting for data"
        )
        if self.capacity_bytes is None:
            yield "memory of the GPUs is not known: nothing is too large"

    def _schedules(self) -> Sequence[str]:
        fixed = self.fixed.get("schedule")
        return self.spec.schedules or () if fixed is None else (fixed,)

    def require_one_device(self, cluster: Any) -> None:
        """Refuse a cluster of several kinds of GPUs, on which times are not bounded."""
        names = sorted({name for name in cluster.devices if name})
        if len(names) > 1:
            what = f"has {' and '.join(names)}; a plan is for GPUs of one kind"
            raise ScenarioError(Fault("cluster.topology", what, hint="plan for each of them, with `plan.clusters`"))

    def _values_of(self, layout: Layout) -> dict[str, Any]:
        return {**self.values, "cluster.gpus": None, **layout.values(self.fixed), "plan": None, "steps": 1}

    def _unsearched(self) -> dict[str, Any]:
        """Return what the scenario says of its parallelism beside the choices."""
        given = self.draft.value("parallelism")
        given = given if isinstance(given, dict) else {}
        kept = {key: value for key, value in given.items() if key in ("etp", "order", "split")}
        return {key: getattr(Parallelism.model_validate(kept), key) for key in kept}


def jobs_of(scenario: Scenario | str | Path, overrides: Sequence[str], objective: Objective | None) -> list[Job]:
    """Return what a scenario asks to be searched, one entry a cluster and number of GPUs.

    Raises
    ------
    ScenarioError
        The scenario has mistakes, or is none that a plan can be made for.
    """
    draft = Draft.of(scenario) if isinstance(scenario, Scenario) else Draft.read(scenario, overrides)
    fixed = _fixed(draft)
    seed = seed_of(draft)
    _require_plannable(seed, draft)
    spec, pools = seed.plan or PlanSpec(), pools_of(draft, seed)
    require_numbers_there(draft, spec, pools)
    return [
        Job(draft, pool.scenario, spec, fixed, pool.values, num_gpus, pool.name)
        for pool in pools
        for num_gpus in numbers_of_gpus(spec, pool, objective or spec.objective)
    ]


def _fixed(draft: Draft) -> dict[str, Any]:
    """Return the choices that the scenario makes itself."""
    fixed = {}
    for name, key in KEYS.items():
        value = draft.value(key)
        if value is not None:
            fixed[name] = value
    schedule = fixed.get("schedule")
    if isinstance(schedule, dict):
        if "name" not in schedule:
            what = "a plan is made for schedules by their names, which order any shape"
            raise ScenarioError(Fault("schedule", what, hint="name one, or leave it out to search all"))
        fixed["schedule"] = schedule["name"]
    if "recompute" not in fixed and any(draft.value(f"training.{key}") is not None for key in _OF_RECOMPUTATION):
        fixed["recompute"] = "none"
    return fixed


def _require_plannable(seed: Scenario, draft: Draft) -> None:
    faults = []
    if seed.model is None:
        faults.append(Fault("model", "a plan needs one, from which the costs of each layout follow"))
    if seed.batch.global_batch_size is None:
        what = "a plan compares layouts of one batch"
        faults.append(Fault("batch.global_batch_size", what, hint="give it in place of num_microbatches"))
    if draft.value("profile") is not None:
        faults.append(Fault("profile", "holds times of one layout, and a plan is about all", hint="remove it"))
    if seed.plan and seed.plan.limits.of_whole_training and seed.training.token_budget is None:
        names = " and ".join(seed.plan.limits.of_whole_training)
        what = f"counts the whole training ({names}), and how many tokens that has is not said"
        faults.append(Fault("plan.limits", what, hint="give `training.token_budget`"))
    if faults:
        raise ScenarioError(faults)
