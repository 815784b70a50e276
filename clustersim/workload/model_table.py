"""What each part of a model asks of one GPU: FLOP, bytes, parameters, activations and times, part by part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter

from clustersim.scenario.spec import Scenario
from clustersim.workload.model.layers import LayerKind, layer_kinds, mtp_kinds
from clustersim.workload.model.stage import (
    ModelPart,
    Repeated,
    stage_activations,
    stage_operators,
    stage_parameters,
    stage_recomputed,
)
from clustersim.workload.model.work import Work, total_work
from clustersim.workload.model_costs import model_stages

_NOTHING = ModelPart(())


@dataclass(frozen=True, slots=True)
class TimedWork:
    """FLOP, bytes moved between a GPU and its memory, and how long that takes. [ps]"""

    flop: int
    moved_bytes: int
    time_ps: int


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """An operator of a part; of each op that it has a share in."""

    name: str
    kind: str
    count: int
    work: Mapping[str, TimedWork]  # by op: forward, input_grad, weight_grad


@dataclass(frozen=True, slots=True)
class PartRow:
    """A part of a model on one GPU of its group, for one micro-batch."""

    name: str
    count: int  # of such parts in the model
    parameters: int
    activation_bytes: int  # kept from its forward to its backward
    peak_activation_bytes: int  # at the most, while it runs
    work: Mapping[str, TimedWork]  # by op: forward, input_grad, weight_grad, recompute
    operators: tuple[OperatorRow, ...]


def part_rows(scenario: Scenario) -> list[PartRow]:
    """Return what the parts of the scenario's model ask of a GPU, derived whatever a profile holds.

    Raises
    ------
    ScenarioError
        The topology names no device, or the catalogue does not say how fast it is.
    """
    assert scenario.model is not None
    model = scenario.model
    stages = model_stages(scenario, model)
    microbatch, shard, timing = stages.microbatch, stages.shard, stages.timing
    ops = {
        "forward": (timing.forward_ps, attrgetter("forward")),
        "input_grad": (timing.input_grad_ps, attrgetter("input_grad")),
        "weight_grad": (timing.weight_grad_ps, attrgetter("weight_grad")),
    }

    def timed(operators: Repeated, op: str) -> TimedWork:
        total_ps, work_of = ops[op]
        works = ((work_of(operator), count) for operator, count in operators.items())
        total = total_work(Work(count * work.flop, count * work.moved_bytes) for work, count in works)
        return TimedWork(total.flop, total.moved_bytes, total_ps(operators))

    rows = []
    for name, count, part in _parts(scenario):
        operators = stage_operators(model, part, microbatch, shard)
        again = ModelPart(part.layers) if microbatch.recompute != "none" else _NOTHING
        kept = stage_activations(model, part, microbatch, shard)
        work = {op: timed(operators, op) for op in ops}
        work["recompute"] = timed(stage_recomputed(model, again, microbatch, shard), "forward")
        each = tuple(
            OperatorRow(operator.name, operator.kind, times, {op: timed(Repeated({operator: times}), op) for op in ops})
            for operator, times in operators.items()
        )
        total = stage_parameters(model, part, shard).total
        rows.append(PartRow(name, count, total, kept.checkpoint_bytes, kept.whole_bytes, work, each))
    return rows


def _parts(scenario: Scenario) -> Iterator[tuple[str, int, ModelPart]]:
    assert scenario.model is not None
    yield "embedding", 1, ModelPart((), has_embedding=True)
    for kind, count in Counter(layer_kinds(scenario.model)).items():
        yield _name_of(kind), count, ModelPart((kind,))
    for kind, count in Counter(mtp_kinds(scenario.model)).items():
        yield f"MTP module, {_name_of(kind)}", count, ModelPart((), mtp_kinds=(kind,))
    yield "output", 1, ModelPart((), has_output=True)


def _name_of(kind: LayerKind) -> str:
    name = "layer of experts" if kind.has_experts else "dense layer"
    return f"{name}, window {kind.window}" if kind.window else name
